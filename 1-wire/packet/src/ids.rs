//! Newtypes for what would otherwise be bare integers.

use std::fmt;
use std::ops::Add;
use std::time::Duration;

/// Index of an interface of the gateway: dense, from 0, in the order of the configuration file.
/// It is not the kernel's ifindex, of which an interface has two (the device's and its tap's).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct IfIndex(pub u16);

impl IfIndex {
    /// No interface: packets that the gateway made itself did not come in anywhere.
    pub const NONE: Self = Self(u16::MAX);

    /// The index as a subscript.
    #[must_use]
    pub const fn slot(self) -> usize {
        self.0 as usize
    }
}

/// A virtual routing and forwarding instance (RFC 4364 calls its table a VRF).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct VrfId(pub u16);

impl VrfId {
    /// The VRF that every interface is in unless it is put elsewhere.
    pub const DEFAULT: Self = Self(0);
}

/// Index into a snapshot's next hops. 0 is "no route".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct NextHopId(pub u32);

impl NextHopId {
    /// What a lookup answers when no prefix covers the address.
    pub const NO_ROUTE: Self = Self(0);

    /// The index as a subscript.
    #[must_use]
    pub const fn slot(self) -> usize {
        self.0 as usize
    }
}

/// What tells flows between two hosts apart: the ports of TCP, UDP and SCTP; identifier and type of an
/// ICMP query (see `portcullis_wire::Tuple`); zero where a protocol has nothing of the kind.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Ports {
    /// The sender's.
    pub src: u16,
    /// The receiver's.
    pub dst: u16,
}

impl Ports {
    /// None known.
    pub const NONE: Self = Self { src: 0, dst: 0 };

    /// Those of the other direction.
    #[inline(always)]
    #[must_use]
    pub const fn reversed(self) -> Self {
        Self { src: self.dst, dst: self.src }
    }
}

/// A worker: one I/O thread and one pipeline thread.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct WorkerId(pub u16);

/// Generation of a published snapshot; each publication has a greater one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Epoch(pub u64);

/// An IEEE 802 MAC address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// ff:ff:ff:ff:ff:ff.
    pub const BROADCAST: Self = Self([0xff; 6]);

    /// Whether the group bit is set: multicast or broadcast.
    #[must_use]
    pub const fn is_group(self) -> bool {
        self.0[0] & 1 != 0
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Nanoseconds on a monotonic clock whose zero means nothing. The lower layers never read a
/// clock: time is passed to them, so a test moves it at will.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Instant(pub u64);

impl Instant {
    /// The time since `earlier`; zero if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, rhs: Duration) -> Self {
        let nanos = u64::try_from(rhs.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }
}
