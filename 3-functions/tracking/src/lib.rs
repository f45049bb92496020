//! Connection tracking: what a packet means for its flow.
//!
//! [`Tracker`] is the state of one flow of any protocol, 28 bytes of it. TCP is followed with its windows (the way
//! of Guido van Rooij's "Real Stateful TCP Packet Filtering in IP Filter", 2001, which Linux and the BSDs go
//! as well), so that a segment that neither end would accept does not pass, and changes nothing. Every
//! other protocol is either answered or not.
//!
//! Packets come in, [`Step`]s go out: nothing here knows a table, a packet's bytes or a clock.

#![forbid(unsafe_code)]

mod tcp;
mod timeouts;
mod tracker;

pub use timeouts::Timeouts;
pub use tracker::{Segment, Side, Step, Tracker};
