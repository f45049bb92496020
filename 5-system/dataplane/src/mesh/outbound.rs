//! The way to another worker.

use portcullis_packet::{BATCH, Packet, Pool};

use super::HANDOVERS;
use crate::{Receiver, Sender};

/// A `Vec` that is not full is sent only if so many others are at hand. Else it is filled on: a
/// receiver that is late must find many packets in few `Vec`s, not `Vec`s of one packet each and
/// the rest dropped.
const EAGER: usize = HANDOVERS / 2;

#[derive(Debug)]
pub(super) struct Outbound {
    /// None once it is closed.
    out: Option<Sender<Vec<Packet>>>,
    home: Receiver<Vec<Packet>>,
    spares: Vec<Vec<Packet>>,
    /// Never empty.
    filling: Option<Vec<Packet>>,
    /// Something was queued since the bell was last rung.
    unrung: bool,
}

impl Outbound {
    pub(super) fn new(out: Sender<Vec<Packet>>, home: Receiver<Vec<Packet>>) -> Self {
        let spares = (0..HANDOVERS).map(|_| Vec::with_capacity(BATCH)).collect();
        Self { out: Some(out), home, spares, filling: None, unrung: false }
    }

    /// Puts the buffers that came back into `pool`.
    #[inline]
    pub(super) fn collect(&mut self, pool: &mut Pool) {
        while let Some(mut buffers) = self.home.take() {
            // They were another CPU's until now.
            buffers.iter().for_each(Packet::prefetch_header);
            buffers.drain(..).for_each(|buffer| pool.put(buffer));
            self.spares.push(buffers);
        }
    }

    /// Takes a packet along; gives it back if there is no room, or nobody to take it.
    #[inline]
    pub(super) fn give(&mut self, packet: Packet) -> Result<(), Packet> {
        if self.filling.is_none() && self.is_open() {
            self.filling = self.spares.pop();
        }
        let Some(filling) = self.filling.as_mut().filter(|filling| filling.len() < BATCH) else {
            return Err(packet);
        };
        filling.push(packet);
        if filling.len() >= BATCH {
            self.dispatch();
        }
        Ok(())
    }

    fn is_open(&self) -> bool {
        self.out.as_ref().is_some_and(|out| !out.is_abandoned())
    }

    /// Sends what there is, at the end of a turn.
    #[inline]
    pub(super) fn send(&mut self) {
        if self.filling.is_some() && self.spares.len() >= EAGER {
            self.dispatch();
        }
        if std::mem::take(&mut self.unrung)
            && let Some(out) = &self.out
        {
            out.ring();
        }
    }

    fn dispatch(&mut self) {
        // If the receiver is gone the packets stay here, to be counted.
        if let Some(out) = self.out.as_mut().filter(|out| !out.is_abandoned())
            && let Some(filling) = self.filling.take()
        {
            // The ring has room for all that go round.
            let _ = out.push(filling);
            self.unrung = true;
        }
    }

    /// Sends what there is, and nothing any more after it.
    pub(super) fn close(&mut self) {
        self.dispatch();
        self.send();
        self.out = None;
    }

    /// Whether packets wait here for a `Vec` to come home.
    pub(super) const fn is_filling(&self) -> bool {
        self.filling.is_some()
    }

    /// Whether none of our buffers is on its way there.
    pub(super) fn is_quiet(&self) -> bool {
        self.filling.is_none() && self.out.as_ref().is_none_or(Sender::is_empty)
    }

    /// What could not be sent.
    pub(super) fn take_rest(&mut self) -> Vec<Packet> {
        self.filling.take().unwrap_or_default()
    }
}
