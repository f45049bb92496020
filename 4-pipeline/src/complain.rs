//! Telling a sender what became of its packet: complaints as ICMP (RFC 792, 1812) and ICMPv6 (RFC 4443).

use std::net::{Ipv4Addr, Ipv6Addr};

use portcullis_packet::Packet;
use portcullis_routing::{Complaint, Family, V4, V6};
use portcullis_wire::ethernet;
use portcullis_wire::icmp_error::{
    Icmp4Error, Icmp6Error, may_answer_v4, may_answer_v6, rewrite_v4, rewrite_v6,
};

use crate::counters::{Traffic, WorkerCounters};

/// TTL and hop limit of what the gateway itself sends (RFC 1700's default, as everybody's).
const OWN_TTL: u8 = 64;

/// What the two versions of IP differ in, for the pipeline.
pub(crate) trait Complain: Family {
    /// The counters of forwarded packets.
    fn traffic(counters: &WorkerCounters) -> &Traffic;
    /// The address to be told, if anybody may be told this about this frame.
    fn may_answer(frame: &[u8], complaint: Complaint) -> Option<Self::Addr>;
    /// A receiver as a number, for its rate limit.
    fn receiver(address: Self::Addr) -> u32;
    /// Turns the packet into the message about it; false if that failed.
    fn rewrite(packet: &mut Packet, complaint: Complaint, from: Self::Addr) -> bool;
}

fn is_group_frame(frame: &[u8]) -> bool {
    ethernet::Header::new(frame).is_none_or(|header| header.dst().is_group())
}

fn in_icmp4(complaint: Complaint) -> Option<Icmp4Error> {
    match complaint {
        Complaint::TimeExceeded => Some(Icmp4Error::TimeExceeded),
        Complaint::NoRoute => Some(Icmp4Error::NetUnreachable),
        Complaint::HostUnreachable => Some(Icmp4Error::HostUnreachable),
        Complaint::Prohibited => Some(Icmp4Error::CommunicationProhibited),
        Complaint::TooBig(mtu) => Some(Icmp4Error::FragmentationNeeded { mtu }),
        Complaint::BeyondScope => None,
    }
}

fn in_icmp6(complaint: Complaint) -> Icmp6Error {
    match complaint {
        Complaint::TimeExceeded => Icmp6Error::HopLimitExceeded,
        Complaint::NoRoute => Icmp6Error::NoRoute,
        Complaint::HostUnreachable => Icmp6Error::AddressUnreachable,
        Complaint::Prohibited => Icmp6Error::Prohibited,
        Complaint::TooBig(mtu) => Icmp6Error::PacketTooBig { mtu: u32::from(mtu) },
        Complaint::BeyondScope => Icmp6Error::BeyondScope,
    }
}

impl Complain for V4 {
    fn traffic(counters: &WorkerCounters) -> &Traffic {
        &counters.ip4
    }

    fn may_answer(frame: &[u8], complaint: Complaint) -> Option<u32> {
        in_icmp4(complaint)?;
        let packet = frame.get(ethernet::LEN..)?;
        may_answer_v4(packet, is_group_frame(frame)).then(|| Self::source(frame)).flatten()
    }

    fn receiver(address: u32) -> u32 {
        address.wrapping_mul(0x9e37_79b1) >> 16
    }

    fn rewrite(packet: &mut Packet, complaint: Complaint, from: u32) -> bool {
        let from = Ipv4Addr::from_bits(from);
        in_icmp4(complaint)
            .is_some_and(|error| rewrite_v4(packet, ethernet::LEN, error, from, OWN_TTL).is_ok())
    }
}

impl Complain for V6 {
    fn traffic(counters: &WorkerCounters) -> &Traffic {
        &counters.ip6
    }

    fn may_answer(frame: &[u8], complaint: Complaint) -> Option<u128> {
        let packet = frame.get(ethernet::LEN..)?;
        may_answer_v6(packet, is_group_frame(frame), in_icmp6(complaint))
            .then(|| Self::source(frame))
            .flatten()
    }

    fn receiver(address: u128) -> u32 {
        let folded = (address ^ (address >> 64)) as u64;
        (folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as u32
    }

    fn rewrite(packet: &mut Packet, complaint: Complaint, from: u128) -> bool {
        let from = Ipv6Addr::from_bits(from);
        rewrite_v6(packet, ethernet::LEN, in_icmp6(complaint), from, OWN_TTL).is_ok()
    }
}
