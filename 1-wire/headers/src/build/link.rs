//! What is not IP: bare Ethernet frames, tags, ARP.

use std::net::Ipv4Addr;

use portcullis_packet::Mac;

use crate::{EtherType, ethernet};

/// An Ethernet frame of any type, without padding.
#[must_use]
pub fn ethernet(dst: Mac, src: Mac, ether_type: EtherType, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(ethernet::LEN + payload.len());
    frame.extend(dst.0);
    frame.extend(src.0);
    frame.extend(ether_type.0.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A VLAN tag put into a frame, before its type.
#[must_use]
pub fn tagged(frame: &[u8], tag: EtherType, vlan: u16) -> Vec<u8> {
    let (addresses, rest) = frame.split_at(12);
    let tag = [tag.0.to_be_bytes(), vlan.to_be_bytes()].concat();
    [addresses, &tag, rest].concat()
}

/// An ARP request for `target`, broadcast.
#[must_use]
pub fn arp_request(sender_mac: Mac, sender: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    arp(Mac::BROADCAST, 1, (sender_mac, sender), (Mac([0; 6]), target))
}

/// The answer to an ARP request.
#[must_use]
pub fn arp_reply(sender: (Mac, Ipv4Addr), target: (Mac, Ipv4Addr)) -> Vec<u8> {
    arp(target.0, 2, sender, target)
}

fn arp(dst: Mac, operation: u8, sender: (Mac, Ipv4Addr), target: (Mac, Ipv4Addr)) -> Vec<u8> {
    let mut message = vec![0, 1, 8, 0, 6, 4, 0, operation];
    for (mac, address) in [sender, target] {
        message.extend(mac.0);
        message.extend(address.octets());
    }
    ethernet(dst, sender.0, EtherType::ARP, &message)
}
