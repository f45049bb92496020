//! rtnetlink (RFC 3549 and `linux/rtnetlink.h`): bytes to [`Event`](crate::event::Event)s, requests
//! to bytes, and the sockets between.
//!
//! The decoder is our own for two reasons: nexthop objects, which `netlink-packet-route` does not
//! know, and the rate at which routes arrive. It reads only what the gateway needs, never
//! allocates for a route with a single path, and answers whatever is malformed with an error.

mod bytes;
mod decode;
mod encode;
mod socket;
#[cfg(test)]
mod tests;

pub(crate) use bytes::{Header, Messages};
pub(crate) use decode::{Answer, decode};
pub(crate) use encode::{Dump, Encoder};

pub(crate) use socket::{Buffer, NetlinkSocket, Received, Requests};
