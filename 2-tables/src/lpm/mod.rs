//! Longest prefix match: which [`NextHopId`](portcullis_packet::NextHopId) an address is sent to.
//!
//! Two algorithms stand behind the handles. A **trie** of 6-bit strides (Asai and Ohara, "Poptrie",
//! SIGCOMM 2015) behind a directly indexed array of the first 18 bits serves IPv6 and small IPv4
//! tables. **DIR-24-8** (Gupta, Lin and McKeown, INFOCOM 1998), two loads at most, serves IPv4
//! tables of tens of thousands of routes.
//!
//! Addresses are integers in host byte order. The routes themselves are kept by the writer; tables
//! hold only what a lookup needs. The default route is in no table: an entry of 0 means "ask the
//! default", which is one word of its own, so that a change of it costs one store.
//!
//! A reader that keeps an answer beyond a batch keeps the table's [`generation`](Fib4::generation) with
//! it, read before the lookup and after [`refresh`](crate::Subscriber::refresh); when the number is
//! another one, it looks up again.

mod address;
mod arena;
mod default_route;
mod dir24;
mod error;
mod generation;
mod grace;
mod rib;
mod trie;
mod v4;
mod v6;

pub use error::FibError;
pub use v4::{Fib4, FibWriter4};
pub use v6::{Fib6, FibWriter6};

/// The greatest [`NextHopId`](portcullis_packet::NextHopId) a table can hold: one bit of an entry
/// says what the other 31 are.
pub const MAX_NEXT_HOP: u32 = (1 << 31) - 1;
