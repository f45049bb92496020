//! ARP for IPv4 over Ethernet (RFC 826).

use std::net::Ipv4Addr;

use portcullis_packet::Mac;

use crate::field;

/// Length of a message.
pub const LEN: usize = 28;

/// Hardware type Ethernet, protocol type IPv4, and the lengths of their addresses.
const ETHERNET_IPV4: [u8; 6] = [0, 1, 8, 0, 6, 4];

/// What a message does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Operation(pub u16);

impl Operation {
    /// Asks for an address.
    pub const REQUEST: Self = Self(1);
    /// Answers.
    pub const REPLY: Self = Self(2);
}

/// A view of a message.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a>(&'a [u8; LEN]);

impl<'a> Message<'a> {
    /// The message at the start of these bytes; `None` if it is cut short, or about anything but
    /// IPv4 over Ethernet.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        bytes.first_chunk().filter(|m| field::get::<0, 6, LEN>(m) == ETHERNET_IPV4).map(Self)
    }

    /// What it does.
    #[must_use]
    pub fn operation(&self) -> Operation {
        Operation(field::get_u16::<6, LEN>(self.0))
    }

    /// The sender's link-layer address.
    #[must_use]
    pub fn sender_mac(&self) -> Mac {
        Mac(field::get::<8, 6, LEN>(self.0))
    }

    /// The sender's IPv4 address.
    #[must_use]
    pub fn sender_ip(&self) -> Ipv4Addr {
        Ipv4Addr::from_octets(field::get::<14, 4, LEN>(self.0))
    }

    /// The target's link-layer address, which a request leaves open.
    #[must_use]
    pub fn target_mac(&self) -> Mac {
        Mac(field::get::<18, 6, LEN>(self.0))
    }

    /// The target's IPv4 address.
    #[must_use]
    pub fn target_ip(&self) -> Ipv4Addr {
        Ipv4Addr::from_octets(field::get::<24, 4, LEN>(self.0))
    }
}
