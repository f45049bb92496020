//! Routing: the tables that a worker forwards by, as one immutable [`Snapshot`], and what happens to an
//! IP packet between two interfaces (RFC 1812 for IPv4, RFC 8200 and 4291 for IPv6).
//!
//! The control plane builds snapshots and publishes them; workers read. Nothing here reads a
//! clock, a socket or a thread: packets, tables and the time are arguments.

#![forbid(unsafe_code)]

mod decide;
mod family;
mod inspected;
mod interface;
pub mod ip4;
pub mod ip6;
mod next_hop;
pub mod punt;
mod snapshot;

pub use decide::{Complaint, Fate, Way, decide, is_behind, way_back};
pub use family::{Family, V4, V6};
pub use inspected::{Flags, Inspected};
pub use interface::Interface;
pub use next_hop::{Adjacency, NextHop, NextHops, UsedMarks};
pub use snapshot::{Snapshot, Vrf};
