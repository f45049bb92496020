//! What flows are found by, and how it is hashed.

use portcullis_packet::VrfId;
use portcullis_wire::Tuple;

/// A tuple in a VRF: what a direction's packets have in common.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Key<A> {
    /// As the packets arrive.
    pub tuple: Tuple<A>,
    /// Where they arrive.
    pub vrf: VrfId,
}

/// Who sent a packet of a flow.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Direction {
    /// Who began the flow.
    Original,
    /// Who answers.
    Reply,
}

impl Direction {
    /// The other one.
    #[inline(always)]
    #[must_use]
    pub const fn reversed(self) -> Self {
        match self {
            Self::Original => Self::Reply,
            Self::Reply => Self::Original,
        }
    }

    /// It as a subscript of [`Flow::lines`](crate::Flow::lines).
    #[inline(always)]
    #[must_use]
    pub const fn slot(self) -> usize {
        self as usize
    }
}

/// A flow's place in the table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FlowId(pub u32);

/// A flow, and one of its directions.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FlowRef(u32);

impl FlowRef {
    /// No flow.
    pub const NONE: Self = Self(u32::MAX);

    /// A direction of a flow.
    #[inline(always)]
    #[must_use]
    pub const fn new(id: FlowId, direction: Direction) -> Self {
        Self(id.0 << 1 | direction as u32)
    }

    /// Whether it is none.
    #[inline(always)]
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.0 == u32::MAX
    }

    /// The flow.
    #[inline(always)]
    #[must_use]
    pub const fn id(self) -> FlowId {
        FlowId(self.0 >> 1)
    }

    /// The direction.
    #[inline(always)]
    #[must_use]
    pub const fn direction(self) -> Direction {
        if self.0 & 1 == 0 { Direction::Original } else { Direction::Reply }
    }

    /// The other direction of the same flow.
    #[inline(always)]
    #[must_use]
    pub const fn reversed(self) -> Self {
        Self(self.0 ^ 1)
    }

    pub(crate) const fn bits(self) -> u32 {
        self.0
    }

    pub(crate) const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }
}

/// A flow that a listing showed, told from others that have its place later.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FlowStamp {
    /// Its place.
    pub id: FlowId,
    /// How often the place had been used before.
    pub generation: u16,
}

/// Multipliers with well mixed bits (the fractions of the square roots of 2, 3 and 5).
const M0: u64 = 0x6a09_e667_f3bc_c909;
const M1: u64 = 0xbb67_ae85_84ca_a73b;
const M2: u64 = 0x3c6e_f372_fe94_f82b;

/// The 128-bit product of two numbers, folded: each bit of either moves half of the result's.
#[inline(always)]
const fn fold(a: u64, b: u64) -> u64 {
    let product = a as u128 * b as u128;
    product as u64 ^ (product >> 64) as u64
}

/// A hash function that nobody knows outside of the process: it is drawn at each start, so that nobody can
/// choose flows that collide.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hasher {
    first: u64,
    second: u64,
}

impl Hasher {
    pub(crate) const fn new(seed: u64) -> Self {
        Self { first: fold(seed ^ M0, M1), second: fold(seed ^ M1, M2) | 1 }
    }

    #[inline(always)]
    pub(crate) const fn two(self, a: u64, b: u64) -> u64 {
        fold(fold(a ^ self.first, b ^ self.second) ^ self.second, M0)
    }

    #[inline(always)]
    const fn five(self, a: u64, b: u64, c: u64, d: u64, e: u64) -> u64 {
        let left = fold(a ^ self.first, b ^ M1);
        let right = fold(c ^ self.second, d ^ M2);
        fold(left ^ self.second ^ e, right ^ self.first ^ M0)
    }
}

/// Ports as one number.
#[inline(always)]
pub(crate) const fn ports(ports: portcullis_packet::Ports) -> u32 {
    (ports.src as u32) << 16 | ports.dst as u32
}

/// IPv4 or IPv6 addresses.
pub trait Address: Copy + Eq + std::fmt::Debug + sealed::Sealed {}

impl Address for u32 {}
impl Address for u128 {}

pub(crate) mod sealed {
    use super::{Hasher, Key, ports};
    use crate::line::{Line, V4, V6};

    /// What the table does with addresses.
    pub trait Sealed: Sized {
        /// A key's hash.
        fn hash(hasher: HasherRef, key: &Key<Self>) -> u64;
        /// Whether a line has this key.
        fn is_at(line: &Line, key: &Key<Self>) -> bool;
        /// A line with this key.
        fn line(key: &Key<Self>) -> Line;
        /// What a source is counted under: an address, or the /64 that an IPv6 site gives one host or more.
        fn source(self) -> u64;
    }

    /// The table's hash function.
    #[derive(Clone, Copy, Debug)]
    pub struct HasherRef(pub(crate) Hasher);

    impl Sealed for u32 {
        #[inline(always)]
        fn hash(HasherRef(hasher): HasherRef, key: &Key<Self>) -> u64 {
            let tuple = &key.tuple;
            let addresses = u64::from(tuple.src) << 32 | u64::from(tuple.dst);
            let rest = u64::from(ports(tuple.ports)) << 32
                | u64::from(key.vrf.0) << 8
                | u64::from(tuple.protocol.0);
            hasher.two(addresses, rest)
        }

        #[inline(always)]
        fn is_at(line: &Line, key: &Key<Self>) -> bool {
            line.is(V4, key.tuple.protocol, key.vrf, key.tuple.ports)
                && line.addresses4() == (key.tuple.src, key.tuple.dst)
        }

        fn line(key: &Key<Self>) -> Line {
            Line::new4(key)
        }

        fn source(self) -> u64 {
            u64::from(self)
        }
    }

    impl Sealed for u128 {
        #[inline(always)]
        fn hash(HasherRef(hasher): HasherRef, key: &Key<Self>) -> u64 {
            let tuple = &key.tuple;
            let rest = u64::from(ports(tuple.ports)) << 32
                | u64::from(key.vrf.0) << 8
                | u64::from(tuple.protocol.0);
            let (src, dst) = (tuple.src, tuple.dst);
            hasher.five(src as u64, (src >> 64) as u64, dst as u64, (dst >> 64) as u64, rest)
        }

        #[inline(always)]
        fn is_at(line: &Line, key: &Key<Self>) -> bool {
            line.is(V6, key.tuple.protocol, key.vrf, key.tuple.ports)
                && line.addresses6() == (key.tuple.src, key.tuple.dst)
        }

        fn line(key: &Key<Self>) -> Line {
            Line::new6(key)
        }

        fn source(self) -> u64 {
            // No IPv4 address has its highest bit there.
            (self >> 64) as u64 | 1 << 63
        }
    }
}
