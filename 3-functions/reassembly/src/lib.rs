//! Virtual reassembly: a fragment's ports are those of its packet's first fragment (RFC 4787, 11; RFC 6888). No
//! payload is put together: fragments go on one by one, and those that come before their first one
//! wait for it.
//!
//! [`Reassembly::judge`] keeps the books and says what becomes of a fragment; one that is to wait is then handed
//! over by [`Reassembly::hold`]. Everything is bounded: packets, fragments of one, fragments that wait, the
//! share of one source; and nothing is ever searched through but the fragments of one packet.
//!
//! A packet whose fragments overlap is given up (RFC 5722; for IPv4 it is our rule as well: what its
//! receiver makes of it is anybody's guess, and so is what a rule would have to match).

#![forbid(unsafe_code)]

mod packet;
mod reassembly;

pub use reassembly::{FragmentKey, Judgement, Part, Reassembly};
