//! The flow table of one worker: which flow a packet belongs to, and to which of its directions.
//!
//! All memory is made at the start. A flow ([`Flow`]) is three cache lines: a [`Line`] for each direction with
//! its key and all that its packets need, and one that both share, with what the table's user keeps
//! ([`FlowState`]) and a timer. Both directions are entries of one hash table, IPv4 and IPv6 alike. A
//! packet touches the bucket, its line and the shared one; lookups of a batch overlap their waiting.
//!
//! A million flows take 192 bytes each, 21 for the hash table and 4 for the counts of sources.
//! `examples/flows.rs` measures it.

#![forbid(unsafe_code)]

mod buckets;
mod flow;
mod key;
mod line;
mod sources;
mod table;
mod tick;
mod wheel;

pub use flow::{Flow, FlowState};
pub use key::{Address, Direction, FlowId, FlowRef, FlowStamp, Key};
pub use line::Line;
pub use table::{FlowTable, NewFlow, Refused, TableConfig};
pub use tick::Tick;
