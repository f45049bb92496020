//! What is known of a packet once its header has been checked.

use std::ops::{BitOr, BitOrAssign};

/// Anything that keeps a packet off the fastest way.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Flags(u8);

impl Flags {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// The source address is none of a forwarded packet.
    pub const MARTIAN_SOURCE: Self = Self(1);
    /// The source address must not leave its link.
    pub const LINK_LOCAL_SOURCE: Self = Self(2);
    /// The frame was a link-layer broadcast or multicast.
    pub const GROUP_FRAME: Self = Self(4);
    /// A checksum or the segmentation is still to be done.
    pub const OFFLOAD: Self = Self(8);
    /// The header has options.
    pub const UNUSUAL: Self = Self(16);

    /// Whether none is set.
    #[inline(always)]
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether all of `other` are set.
    #[inline(always)]
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Flags {
    type Output = Self;

    #[inline(always)]
    fn bitor(self, rhs: Self) -> Self {
        Self(self.0 | rhs.0)
    }
}

impl BitOrAssign for Flags {
    #[inline(always)]
    fn bitor_assign(&mut self, rhs: Self) {
        self.0 |= rhs.0;
    }
}

/// A packet whose header was checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Inspected<A> {
    /// Its destination, in host order.
    pub destination: A,
    /// Its length from the network header on, in bytes.
    pub length: u16,
    /// What is special about it.
    pub flags: Flags,
}
