//! Translated headers (RFC 3022): addresses and ports written, checksums mended (RFC 1624).

use portcullis_packet::Ports;

#[allow(unused_imports)]
use crate::Tuple;

/// What translation does to every IPv4 packet of one direction of a flow, worked out once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rewrite4 {
    /// The source address it gets.
    pub src: u32,
    /// The destination address it gets.
    pub dst: u32,
    /// The ports it gets; of an ICMP query, the identifier in its place (see [`Tuple`]).
    pub ports: Ports,
    /// What the addresses' change adds to a one's complement sum.
    pub address_delta: u16,
    /// What the change of addresses and ports adds to a one's complement sum.
    pub delta: u16,
}
