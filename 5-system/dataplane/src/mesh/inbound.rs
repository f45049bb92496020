//! The way from another worker.

use portcullis_packet::{BATCH, HEADROOM, LARGE_CAPACITY, Packet, Pool, SMALL_CAPACITY};

use crate::{Receiver, Sender};

#[derive(Debug)]
pub(super) struct Inbound {
    incoming: Receiver<Vec<Packet>>,
    home: Sender<Vec<Packet>>,
    /// What was taken of in part; never empty.
    current: Option<Vec<Packet>>,
    debt: Debt,
    /// A `Vec` that waits for buffers to be paid with it.
    vehicle: Option<Vec<Packet>>,
}

/// Buffers taken over and not paid for yet.
#[derive(Debug, Default)]
struct Debt {
    small: usize,
    large: usize,
}

impl Inbound {
    pub(super) fn new(incoming: Receiver<Vec<Packet>>, home: Sender<Vec<Packet>>) -> Self {
        Self { incoming, home, current: None, debt: Debt::default(), vehicle: None }
    }

    /// Appends up to `max` packets to `into`, and pays for them out of `pool`.
    #[inline]
    pub(super) fn take(&mut self, pool: &mut Pool, into: &mut Vec<Packet>, max: usize) -> usize {
        let mut taken = 0;
        while taken < max
            && let Some(mut packets) = self.next()
        {
            let count = packets.len().min(max - taken);
            let debt = &mut self.debt;
            into.extend(packets.drain(..count).inspect(|packet| debt.incur(packet)));
            taken += count;
            if packets.is_empty() {
                if let Some(earlier) = self.vehicle.replace(packets) {
                    self.send_home(earlier);
                }
                self.settle(pool);
            } else {
                self.current = Some(packets);
            }
        }
        taken
    }

    fn next(&mut self) -> Option<Vec<Packet>> {
        self.current.take().or_else(|| {
            let packets = self.incoming.take()?;
            // They were another CPU's until now.
            packets.iter().for_each(Packet::prefetch_header);
            Some(packets)
        })
    }

    /// Pays what is owed as far as `pool` has it. What it has not is paid later, as long as there is
    /// a `Vec` to send it in: the peer can do with fewer buffers for a while, but not with fewer `Vec`s.
    #[inline]
    pub(super) fn settle(&mut self, pool: &mut Pool) {
        let Some(vehicle) = &mut self.vehicle else { return };
        while vehicle.len() < BATCH
            && let Some(buffer) = self.debt.pay(pool)
        {
            vehicle.push(buffer);
        }
        if (vehicle.len() >= BATCH || self.debt.is_none())
            && let Some(vehicle) = self.vehicle.take()
        {
            self.send_home(vehicle);
        }
    }

    fn send_home(&mut self, buffers: Vec<Packet>) {
        // The ring has room for all that go round. Nobody sleeps for what comes home.
        let _ = self.home.push(buffers);
    }

    /// Whether packets wait to be taken.
    pub(super) fn is_waiting(&self) -> bool {
        self.current.is_some() || !self.incoming.is_empty()
    }

    /// Whether nothing waits, and nothing will come any more.
    pub(super) fn is_at_its_end(&self) -> bool {
        // In this order: what was queued before the other end went is seen after it.
        self.incoming.is_abandoned() && !self.is_waiting()
    }

    /// What was never taken; the oldest first.
    pub(super) fn take_rest(&mut self) -> Option<Vec<Packet>> {
        self.current.take().or_else(|| self.incoming.take())
    }
}

impl Debt {
    /// For a buffer of a pool, one of the same size is owed. One that is a driver's own goes home by itself.
    #[inline]
    fn incur(&mut self, packet: &Packet) {
        let size = (packet.headroom() + packet.room()).saturating_sub(HEADROOM);
        if size < SMALL_CAPACITY || !packet.is_heap() {
            return;
        }
        if size < LARGE_CAPACITY {
            self.small += 1;
        } else {
            self.large += 1;
        }
    }

    #[inline]
    fn pay(&mut self, pool: &mut Pool) -> Option<Packet> {
        let from = |owed: &mut usize, buffer: fn(&mut Pool) -> Option<Packet>, pool: &mut Pool| {
            let left = owed.checked_sub(1)?;
            let buffer = buffer(pool)?;
            *owed = left;
            Some(buffer)
        };
        from(&mut self.small, Pool::take_small, pool)
            .or_else(|| from(&mut self.large, Pool::take_large, pool))
    }

    const fn is_none(&self) -> bool {
        self.small == 0 && self.large == 0
    }
}
