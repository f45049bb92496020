//! When no error may be sent (RFC 1812, 4.3.2.7; RFC 4443, 2.4(e)).

use std::net::{Ipv4Addr, Ipv6Addr};

use super::Icmp6Error;
use crate::{IpProtocol, icmpv4, icmpv6, ipv4, ipv6};

/// Whether an error may be sent about this IPv4 packet; `to_group` says that its frame was addressed
/// to a link-layer multicast or broadcast address. Directed broadcasts, which no header shows, are the
/// caller's to know.
#[must_use]
pub fn may_answer_v4(packet: &[u8], to_group: bool) -> bool {
    let Ok(parts) = ipv4::Parts::new(packet) else { return false };
    let header = parts.header;
    !to_group
        && header.fragment_offset() == 0
        && is_host_v4(header.src())
        && !header.dst().is_multicast()
        && !is_class_e(header.dst())
        && !is_error_v4(header.protocol(), parts.payload)
}

/// Whether this is the address of one host: not 0/8, loopback, multicast, class E or broadcast.
#[must_use]
fn is_host_v4(address: Ipv4Addr) -> bool {
    let [first, ..] = address.octets();
    first != 0 && !address.is_loopback() && !address.is_multicast() && !is_class_e(address)
}

/// 240.0.0.0/4, the limited broadcast address among them.
fn is_class_e(address: Ipv4Addr) -> bool {
    address.octets()[0] >= 240
}

/// What can't be told apart from an error counts as one.
fn is_error_v4(protocol: IpProtocol, payload: &[u8]) -> bool {
    protocol == IpProtocol::ICMP
        && payload.first().is_none_or(|&message| !icmpv4::Type(message).is_query())
}

/// Whether this error may be sent about this IPv6 packet; `to_group` says that its frame was
/// addressed to a link-layer multicast address. Multicast is answered by packet too big alone, which
/// path MTU discovery of a group rests on. As in IPv4, no later fragment is answered: the first one
/// is as large, and shows what it is.
#[must_use]
pub fn may_answer_v6(packet: &[u8], to_group: bool, error: Icmp6Error) -> bool {
    let Ok(header) = ipv6::Header::new(packet) else { return false };
    let Ok(upper) = ipv6::upper(packet) else { return false };
    let group_is_answered = match error {
        Icmp6Error::PacketTooBig { .. } => true,
        Icmp6Error::HopLimitExceeded
        | Icmp6Error::NoRoute
        | Icmp6Error::Prohibited
        | Icmp6Error::BeyondScope
        | Icmp6Error::AddressUnreachable
        | Icmp6Error::RejectRoute => false,
    };
    let end = ipv6::LEN + usize::from(header.payload_len());
    let message = packet.get(upper.offset..end).unwrap_or_default();
    (group_is_answered || !(to_group || header.dst().is_multicast()))
        && upper.fragment.is_none_or(|fragment| !fragment.is_later())
        && is_host_v6(header.src())
        && !is_error_v6(upper.protocol, message)
}

/// Whether this can be the address of one host: not unspecified, loopback or multicast.
fn is_host_v6(address: Ipv6Addr) -> bool {
    !address.is_unspecified() && !address.is_loopback() && !address.is_multicast()
}

/// Errors and redirects (RFC 4443, 2.4(e.1), (e.2)); what can't be told apart counts as one.
fn is_error_v6(protocol: IpProtocol, message: &[u8]) -> bool {
    protocol == IpProtocol::ICMPV6
        && message.first().is_none_or(|&message| {
            let message = icmpv6::Type(message);
            message.is_error() || message == icmpv6::Type::REDIRECT
        })
}
