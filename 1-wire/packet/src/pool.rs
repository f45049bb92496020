//! Free packet buffers, kept for the next use.

use crate::{Owner, Packet};

/// Bytes a small buffer holds behind its headroom: any frame up to an MTU of 2,000 or so. With the
/// header and the headroom an odd number of cache lines, so that buffers do not share cache sets.
pub const SMALL_CAPACITY: usize = 2048;

/// Bytes a large buffer holds behind its headroom: a GSO super-frame (64 KiB of IP and the
/// link-layer header), or any jumbo frame.
pub const LARGE_CAPACITY: usize = 65_536 + 512;

/// How many buffers a pool may hold.
#[derive(Clone, Copy, Debug)]
pub struct PoolLimits {
    /// Small buffers; all are made at the start.
    pub small: usize,
    /// Large buffers; all are made at the start.
    pub large: usize,
}

/// A stack of free buffers of two sizes; the hottest is given out first. It belongs to one thread.
/// Buffers come home from anywhere: what a pool gave out need not come back to it, and a pool that
/// is full frees what it gets. An empty pool gives nothing, which the caller counts as a drop.
#[derive(Debug)]
pub struct Pool {
    small: Vec<Packet>,
    large: Vec<Packet>,
    limits: PoolLimits,
    /// Buffers of one driver, which go back to it together.
    strangers: Vec<Packet>,
    owner: Option<&'static Owner>,
}

/// Buffers that go back to their driver together.
const RETURN: usize = 32;

impl Pool {
    /// A pool with all its buffers made and their memory present.
    #[must_use]
    pub fn new(limits: PoolLimits) -> Self {
        // Room for as many again: buffers of other pools' making come home here too.
        let mut small = Vec::with_capacity(limits.small * 2);
        small.append(&mut Packet::slab(limits.small, SMALL_CAPACITY));
        let mut large = Vec::with_capacity(limits.large * 2);
        large.append(&mut Packet::slab(limits.large, LARGE_CAPACITY));
        Self { small, large, limits, strangers: Vec::with_capacity(RETURN), owner: None }
    }

    /// A small buffer, empty and reset.
    #[inline]
    pub fn take_small(&mut self) -> Option<Packet> {
        self.small.pop().map(fresh)
    }

    /// A large buffer, empty and reset.
    #[inline]
    pub fn take_large(&mut self) -> Option<Packet> {
        self.large.pop().map(fresh)
    }

    /// The smallest buffer with room for `len` bytes.
    #[inline]
    pub fn take(&mut self, len: usize) -> Option<Packet> {
        if len <= SMALL_CAPACITY { self.take_small() } else { self.take_large() }
            .filter(|packet| len <= packet.room())
    }

    /// Takes a buffer home. One that is not the heap's goes to its owner with the next of its kind, or by
    /// [`Self::return_strangers`].
    #[inline]
    pub fn put(&mut self, mut packet: Packet) {
        if let Some(owner) = packet.owner() {
            self.put_stranger(owner, packet);
        } else {
            packet.reset();
            let room = packet.room();
            let (stack, limit) = if room >= LARGE_CAPACITY {
                (&mut self.large, self.limits.large)
            } else if room >= SMALL_CAPACITY {
                (&mut self.small, self.limits.small)
            } else {
                return;
            };
            if stack.len() < limit * 2 {
                stack.push(packet);
            }
        }
    }

    fn put_stranger(&mut self, owner: &'static Owner, packet: Packet) {
        let is_another = self.owner.is_some_and(|other| !std::ptr::eq(owner, other));
        if is_another || self.strangers.len() >= RETURN {
            self.return_strangers();
        }
        self.owner = Some(owner);
        self.strangers.push(packet);
    }

    /// Gives the buffers back that are not the heap's. At the end of a turn: their driver may be short of them.
    #[inline]
    pub fn return_strangers(&mut self) {
        if let Some(owner) = self.owner.take() {
            Packet::release_all(owner, &mut self.strangers);
        }
    }

    /// Free buffers, small and large.
    #[must_use]
    pub fn free(&self) -> (usize, usize) {
        (self.small.len(), self.large.len())
    }

    /// Makes new buffers if more went out for good than came home, as many as bring each size back
    /// to its limit but no more than `most`. For threads whose buffers end elsewhere (the trap
    /// thread's inject path); returns how many it made.
    pub fn top_up(&mut self, most: usize) -> usize {
        let small = self.limits.small.saturating_sub(self.small.len()).min(most);
        self.small.extend((0..small).map(|_| Packet::with_capacity(SMALL_CAPACITY)));
        let large = self.limits.large.saturating_sub(self.large.len()).min(most - small);
        self.large.extend((0..large).map(|_| Packet::with_capacity(LARGE_CAPACITY)));
        small + large
    }
}

#[inline]
fn fresh(mut packet: Packet) -> Packet {
    packet.reset();
    packet
}

#[cfg(test)]
mod tests {
    use std::ptr::NonNull;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::Frame;

    const LIMITS: PoolLimits = PoolLimits { small: 2, large: 1 };

    #[test]
    fn an_empty_pool_gives_nothing_and_a_returned_buffer_is_given_again() {
        let mut pool = Pool::new(LIMITS);
        let a = pool.take(60).expect("one of two");
        let b = pool.take(1500).expect("two of two");
        assert!(pool.take(60).is_none());
        pool.put(a);
        assert!(pool.take(60).is_some());
        pool.put(b);
        assert_eq!(pool.free(), (1, 1));
    }

    #[test]
    fn a_buffer_is_as_large_as_asked_or_there_is_none() {
        let mut pool = Pool::new(LIMITS);
        assert!(pool.take(LARGE_CAPACITY + 1).is_none());
        let mut pool = Pool::new(LIMITS);
        assert!(pool.take(LARGE_CAPACITY).expect("large").room() >= LARGE_CAPACITY);
        assert!(pool.take(SMALL_CAPACITY + 1).is_none(), "the one large buffer is out");
    }

    #[test]
    fn strangers_come_home_up_to_twice_the_limit_and_odd_sizes_never() {
        let mut pool = Pool::new(LIMITS);
        for _ in 0..10 {
            pool.put(Packet::with_capacity(SMALL_CAPACITY));
            pool.put(Packet::with_capacity(LARGE_CAPACITY));
            pool.put(Packet::from_bytes(b"tiny"));
        }
        assert_eq!(pool.free(), (4, 2));
    }

    #[test]
    fn a_pool_that_was_robbed_is_topped_up_to_its_limit() {
        let mut pool = Pool::new(LIMITS);
        drop((pool.take_small(), pool.take_small(), pool.take_large()));
        assert_eq!(pool.top_up(1), 1);
        assert_eq!(pool.top_up(10), 2);
        assert_eq!(pool.top_up(10), 0);
        assert_eq!(pool.free(), (2, 1));
    }

    #[test]
    fn what_a_buffer_held_before_does_not_show_in_its_metadata() {
        let mut pool = Pool::new(LIMITS);
        let mut packet = pool.take_small().expect("a buffer");
        packet.meta_mut().flow_hash = 7;
        assert!(packet.set_len(10));
        pool.put(packet);
        let packet = pool.take_small().expect("the same");
        assert_eq!((packet.meta(), packet.len()), (&crate::Meta::NEW, 0));
    }

    /// How many buffers each of two drivers got back, and in how many calls.
    static RETURNED: [[AtomicUsize; 2]; 2] = [const { [const { AtomicUsize::new(0) }; 2] }; 2];
    static DRIVERS: [Owner; 2] = [Owner { release: release::<0> }, Owner { release: release::<1> }];

    unsafe fn release<const DRIVER: usize>(frames: &mut [NonNull<Frame>]) {
        RETURNED[DRIVER][0].fetch_add(frames.len(), Ordering::Relaxed);
        RETURNED[DRIVER][1].fetch_add(1, Ordering::Relaxed);
        for frame in frames {
            // SAFETY: the test below made the headers with `Box::new`.
            drop(unsafe { Box::from_raw(frame.as_ptr()) });
        }
    }

    #[test]
    fn buffers_of_drivers_go_back_together_and_each_to_its_own() {
        let returned = |driver: usize| {
            let [buffers, calls] = &RETURNED[driver];
            (buffers.load(Ordering::Relaxed), calls.load(Ordering::Relaxed))
        };
        let mut memory = [0u8; 64];
        let start = NonNull::new(memory.as_mut_ptr()).expect("not null");
        let make = |driver: usize| {
            // SAFETY: nobody touches the bytes, and `memory` outlives all packets.
            let frame = unsafe { Frame::foreign(start, 64, &DRIVERS[driver]) };
            // SAFETY: the header is this packet's alone.
            unsafe { Packet::from_foreign(NonNull::from(Box::leak(Box::new(frame)))) }
        };
        let mut pool = Pool::new(LIMITS);
        (0..RETURN).for_each(|_| pool.put(make(0)));
        assert_eq!(returned(0), (0, 0), "they wait for each other");
        pool.put(make(0));
        assert_eq!(returned(0), (RETURN, 1));
        pool.put(make(1));
        assert_eq!((returned(0), returned(1)), ((RETURN + 1, 2), (0, 0)));
        pool.return_strangers();
        pool.return_strangers();
        assert_eq!(returned(1), (1, 1));
        pool.put(make(0));
        drop(pool);
        assert_eq!(returned(0), (RETURN + 2, 3));
        assert_eq!(Pool::new(LIMITS).free(), (2, 1));
    }
}
