//! Which worker's socket receives which flow.
//!
//! The kernel divides a device's flows among the sockets of a fanout group by a hash: the hash
//! picks a position, and positions go by the order in which the sockets joined. The hash of a flow
//! is the same on all devices and in both directions. So if on every device worker 0 joins
//! first, then worker 1 and so on, all packets of a flow come to one worker wherever they come in.
//!
//! Ports of one device are used by different threads. When the device comes back they join anew,
//! each when it is its turn: [`Group`] remembers how many have joined.

use std::io;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::socket::{FanoutId, KernelIndex, Socket};

/// The ports of one device, one per worker.
#[derive(Debug)]
struct Group {
    /// The [`Joined`] of the device's present life.
    joined: AtomicU64,
}

/// Who has joined for which life of the device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Joined {
    device: KernelIndex,
    members: u16,
    id: FanoutId,
}

impl Joined {
    fn pack(self) -> u64 {
        let device = u64::from(self.device.0.cast_unsigned());
        device << 32 | u64::from(self.members) << 16 | u64::from(self.id.0)
    }

    fn unpack(packed: u64) -> Self {
        Self {
            device: KernelIndex(((packed >> 32) as u32).cast_signed()),
            members: (packed >> 16) as u16,
            id: FanoutId(packed as u16),
        }
    }
}

/// One port's place among the ports of its device, of which each worker has one.
#[derive(Debug)]
pub struct Member {
    group: Arc<Group>,
    position: u16,
    size: u16,
}

impl Member {
    /// The places of one device's ports, in the order of the workers.
    pub fn group_of(workers: NonZeroU16) -> impl Iterator<Item = Self> {
        let group = Arc::new(Group { joined: AtomicU64::new(0) });
        let size = workers.get();
        (0..size).map(move |position| Self { group: Arc::clone(&group), position, size })
    }

    /// Whether the group needs no fanout.
    pub(super) const fn is_alone(&self) -> bool {
        self.size == 1
    }

    /// Whether it is the one that founds the group.
    pub(super) const fn is_first(&self) -> bool {
        self.position == 0
    }

    /// Whether those before this one have joined for this life of the device.
    pub(super) fn may_join(&self, device: KernelIndex) -> bool {
        let joined = Joined::unpack(self.group.joined.load(Ordering::Acquire));
        self.position == 0 || (joined.device == device && joined.members == self.position)
    }

    /// Joins, to be called when it may, with a socket bound to the device.
    pub(super) fn join(&self, socket: &Socket, device: KernelIndex) -> io::Result<()> {
        let id = if self.position == 0 {
            socket.found_fanout()?
        } else {
            let id = Joined::unpack(self.group.joined.load(Ordering::Acquire)).id;
            socket.join_fanout(id)?;
            id
        };
        let joined = Joined { device, members: self.position + 1, id };
        self.group.joined.store(joined.pack(), Ordering::Release);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_unpacked_the_same() {
        let joined =
            Joined { device: KernelIndex(0x7fff_fffe), members: 0xfffe, id: FanoutId(0xfffd) };
        assert_eq!(Joined::unpack(joined.pack()), joined);
    }

    #[test]
    fn each_member_waits_for_the_one_before_it_in_the_same_life_of_the_device() {
        let members: Vec<_> = Member::group_of(const { NonZeroU16::new(3).unwrap() }).collect();
        let [first, second, third] = members.as_slice() else { panic!("three") };
        let (old, new) = (KernelIndex(5), KernelIndex(9));
        assert!(first.may_join(old) && !second.may_join(old) && !third.may_join(old));
        let joined = |device, members| Joined { device, members, id: FanoutId(1) }.pack();
        first.group.joined.store(joined(old, 1), Ordering::Relaxed);
        assert!(second.may_join(old) && !third.may_join(old));
        first.group.joined.store(joined(old, 3), Ordering::Relaxed);
        assert!(first.may_join(new) && !second.may_join(new) && !third.may_join(new));
    }
}
