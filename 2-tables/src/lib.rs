//! Lookup tables: longest prefix match, ECMP buckets, neighbours, and how a table is published.
//!
//! Every table here has one writer, on the control side, and any number of readers on worker
//! threads, which never wait, allocate or free:
//!
//! * [`lpm`]: [`Fib4`] and [`Fib6`] are handles to tables that their writers change in place, one
//!   atomic store at a time. What a change unlinks is reused once every reader has passed an epoch
//!   that was published later.
//! * [`neighbors`] and whatever else is small is immutable, and replaced as a whole.
//! * [`publish`] hands such snapshots to the workers and tells which epoch all of them have passed.
//! * [`ecmp`] computes which member of a next-hop group owns which bucket.
//!
//! Nothing here knows a clock, a thread or an operating system.

#![forbid(unsafe_code)]

pub mod ecmp;
pub mod lpm;
pub mod neighbors;
pub mod publish;
mod sync;

pub use lpm::{Fib4, Fib6, FibError, FibWriter4, FibWriter6};
pub use neighbors::NeighborTable;
pub use publish::{Publisher, Subscriber};
