//! What travels through the gateway: owned packet buffers, the metadata that goes with each, and
//! the one flat list of reasons for which a packet may be dropped.
//!
//! A [`Packet`] is one pointer wide, so that a `Vec<Packet>` of a whole batch is cheap to pass
//! between threads. Behind the pointer lies a 64-byte header (one cache line: where the data is,
//! and the [`Meta`]) and the bytes themselves. Buffers come from a [`Pool`] and go back to one;
//! which one does not matter, heap buffers are interchangeable. A driver with memory of its own
//! (DPDK) puts the header into its own buffers and names an [`Owner`] to give them back to.

mod buffer;
mod counters;
mod drop_reason;
mod ids;
mod meta;
mod pool;

pub use buffer::{Frame, HEADROOM, Owner, Packet, prefetch};
pub use counters::{Counter, DropCounters, Gauge};
pub use drop_reason::DropReason;
pub use ids::{Epoch, IfIndex, Instant, Mac, NextHopId, Ports, VrfId, WorkerId};
pub use meta::{GsoKind, Meta, Offload, PuntClass, TxOffload, Verdict};
pub use pool::{LARGE_CAPACITY, Pool, PoolLimits, SMALL_CAPACITY};

/// The largest number of packets in one batch.
pub const BATCH: usize = 64;
