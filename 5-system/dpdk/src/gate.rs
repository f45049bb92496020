//! Between the threads that poll a device and the one that stops it: nobody is inside when it is stopped.
//!
//! To pass costs a poller one load. The one who closes the gate waits until every poller has noticed, which each does at its
//! next try. They say which closing they have noticed, by its number: that of an earlier one, said late, must not count. `5-system/loom`
//! proves all this under every order of loads and stores.

use crate::sync::{AtomicU32, Ordering};

/// A gate before a device, with a place for each thread that polls it. One thread opens and closes it.
#[derive(Debug)]
pub(crate) struct Gate {
    /// Counts on with each opening and closing; odd while it is closed.
    turn: AtomicU32,
    /// The turn that each thread has noticed last.
    places: Vec<AtomicU32>,
}

/// Nobody has the place.
const FREE: u32 = 0;
/// Its thread has noticed nothing yet.
const FIRST: u32 = 2;

impl Gate {
    /// An open gate, with places for so many.
    pub(crate) fn new(places: usize) -> Self {
        let places = (0..places).map(|_| AtomicU32::new(FREE)).collect();
        Self { turn: AtomicU32::new(FIRST), places }
    }

    /// Takes a place for a thread. False if it is taken, or there is none.
    pub(crate) fn enter(&self, place: usize) -> bool {
        let enter = |place: &AtomicU32| {
            place.compare_exchange(FREE, FIRST, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        };
        self.places.get(place).is_some_and(enter)
    }

    /// Whether the thread of a place may use the device, until it asks again.
    #[inline]
    pub(crate) fn lets_pass(&self, place: usize) -> bool {
        let turn = self.turn.load(Ordering::Acquire);
        let is_closed = turn % 2 == 1;
        if is_closed && let Some(place) = self.places.get(place) {
            // Whoever sees this knows that what the thread did inside is done; and the thread, having seen this turn,
            // sees no earlier one any more.
            place.store(turn, Ordering::Release);
        }
        !is_closed
    }

    /// The thread of a place does not come back.
    pub(crate) fn leave(&self, place: usize) {
        if let Some(place) = self.places.get(place) {
            place.store(FREE, Ordering::Release);
        }
    }

    /// Lets nobody pass any more. The device is free of threads once [`Self::is_deserted`].
    pub(crate) fn close(&self) {
        let turn = self.turn.load(Ordering::Relaxed);
        self.turn.store(turn | 1, Ordering::Release);
    }

    /// Whether all threads have noticed that the gate is closed, this time.
    pub(crate) fn is_deserted(&self) -> bool {
        let turn = self.turn.load(Ordering::Relaxed);
        self.places.iter().all(|place| [FREE, turn].contains(&place.load(Ordering::Acquire)))
    }

    /// Lets them pass again.
    pub(crate) fn open(&self) {
        let turn = self.turn.load(Ordering::Relaxed);
        // Zero is for places that are free.
        let next = (turn | 1).checked_add(1).unwrap_or(FIRST);
        self.turn.store(next, Ordering::Release);
    }
}
