//! What tells flows apart.

use portcullis_packet::Ports;

use crate::IpProtocol;

/// The five numbers by which a packet belongs to a flow and to one of its two directions. Addresses
/// are `u32` for IPv4 and `u128` for IPv6, in host order, as [`Ports`] are.
///
/// A query of ICMP or ICMPv6 (echo, timestamp) has no ports, but an identifier that serves as the
/// asker's (RFC 5508, 3.1). The other port is the type and code of the *request*, whichever the message is,
/// as [`icmp_port`] has it: so request and reply are the two directions of one tuple, and a firewall
/// can match the type where it matches ports. Any other ICMP message has a source port of 0 and
/// [`icmp_port`] for its destination port.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Tuple<A> {
    /// Source address.
    pub src: A,
    /// Destination address.
    pub dst: A,
    /// Ports, or what stands for them.
    pub ports: Ports,
    /// The upper protocol.
    pub protocol: IpProtocol,
}

impl<A: Copy> Tuple<A> {
    /// The same flow seen from the other end.
    #[inline(always)]
    #[must_use]
    pub fn reversed(self) -> Self {
        let Self { src, dst, ports, protocol } = self;
        Self { src: dst, dst: src, ports: ports.reversed(), protocol }
    }
}

/// Type and code of an ICMP or ICMPv6 message as a port.
#[inline(always)]
#[must_use]
pub const fn icmp_port(message_type: u8, code: u8) -> u16 {
    (message_type as u16) << 8 | code as u16
}
