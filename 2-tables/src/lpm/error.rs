//! Why a table refused a route.

use std::fmt;

use portcullis_packet::NextHopId;

/// Why a change was refused. The table is as it was before, and goes on working.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FibError {
    /// [`NextHopId::NO_ROUTE`] cannot be the next hop of a route.
    NoNextHop,
    /// The next hop's id is above [`MAX_NEXT_HOP`](super::MAX_NEXT_HOP).
    NextHopTooLarge(NextHopId),
    /// The table would need more entries than it can number.
    TooLarge,
    /// There is no memory for a larger table.
    OutOfMemory,
}

impl fmt::Display for FibError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoNextHop => f.write_str("a route needs a next hop"),
            Self::NextHopTooLarge(id) => write!(f, "next hop {} is too large a number", id.0),
            Self::TooLarge => f.write_str("the forwarding table cannot grow any further"),
            Self::OutOfMemory => f.write_str("no memory for a larger forwarding table"),
        }
    }
}

impl std::error::Error for FibError {}
