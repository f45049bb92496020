//! A device as rtnetlink describes it.

use std::fmt;

use portcullis_packet::Mac;

use super::attributes::Attributes;

/// The kernel's number of a device, unique in its namespace only. (Not the gateway's own index of
/// an interface.)
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LinkIndex(pub u32);

impl fmt::Display for LinkIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// `IFF_` flags of netdevice(7).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct LinkFlags(pub u32);

impl LinkFlags {
    /// Someone wants it up.
    pub const UP: Self = Self(libc::IFF_UP as u32);
    /// It has carrier.
    pub const LOWER_UP: Self = Self(libc::IFF_LOWER_UP as u32);
    /// It receives frames for any address.
    pub const PROMISCUOUS: Self = Self(libc::IFF_PROMISC as u32);
    /// It is the loopback.
    pub const LOOPBACK: Self = Self(libc::IFF_LOOPBACK as u32);

    /// Whether all of `other` are set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// Operational state (RFC 2863, `ifOperStatus`), in the kernel's numbering.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum OperState {
    /// The driver does not say.
    Unknown,
    /// A part of it is missing.
    NotPresent,
    /// It cannot pass packets.
    Down,
    /// The device below it is down.
    LowerLayerDown,
    /// It is being tested.
    Testing,
    /// It waits for something.
    Dormant,
    /// It can pass packets.
    Up,
}

impl OperState {
    fn of(number: u8) -> Self {
        match number {
            1 => Self::NotPresent,
            2 => Self::Down,
            3 => Self::LowerLayerDown,
            4 => Self::Testing,
            5 => Self::Dormant,
            6 => Self::Up,
            _ => Self::Unknown,
        }
    }
}

/// A device.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Link {
    /// Its number.
    pub index: LinkIndex,
    /// Its name.
    pub name: String,
    /// Its kind if it is virtual: `veth`, `tun`, `bridge`; `None` for physical devices and
    /// loopback.
    pub kind: Option<String>,
    /// Its MAC address, if it has one of six bytes.
    pub mac: Option<Mac>,
    /// The largest packet, in bytes without the Ethernet header.
    pub mtu: u32,
    /// Its flags.
    pub flags: LinkFlags,
    /// Whether it can pass packets.
    pub oper_state: OperState,
    /// Whether it has carrier.
    pub carrier: bool,
    /// The other end of a veth, or the device it is stacked on, by its index over there.
    pub peer: Option<LinkIndex>,
    /// The bridge, bond or VRF that it belongs to.
    pub master: Option<LinkIndex>,
}

impl Link {
    /// From the body of an `RTM_NEWLINK`: `struct ifinfomsg`, then attributes.
    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        let (header, attributes) = body.split_first_chunk::<16>()?;
        let word = |at: usize| Some(u32::from_ne_bytes(*header.get(at..)?.first_chunk()?));
        let mut link = Self {
            index: LinkIndex(word(4)?),
            name: String::new(),
            kind: None,
            mac: None,
            mtu: 0,
            flags: LinkFlags(word(8)?),
            oper_state: OperState::Unknown,
            carrier: false,
            peer: None,
            master: None,
        };
        for attribute in Attributes(attributes) {
            match attribute.kind {
                libc::IFLA_IFNAME => link.name = attribute.string()?.to_owned(),
                libc::IFLA_ADDRESS => link.mac = attribute.value.try_into().ok().map(Mac),
                libc::IFLA_MTU => link.mtu = attribute.u32()?,
                libc::IFLA_OPERSTATE => link.oper_state = OperState::of(attribute.u8()?),
                libc::IFLA_CARRIER => link.carrier = attribute.u8()? != 0,
                libc::IFLA_LINK => link.peer = attribute.u32().map(LinkIndex),
                libc::IFLA_MASTER => link.master = attribute.u32().map(LinkIndex),
                libc::IFLA_LINKINFO => {
                    link.kind = attribute
                        .nested()
                        .find(|inner| inner.kind == libc::IFLA_INFO_KIND)
                        .and_then(|inner| inner.string())
                        .map(str::to_owned);
                }
                _ => {}
            }
        }
        if link.name.is_empty() { None } else { Some(link) }
    }

    /// Whether someone wants it up.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.flags.contains(LinkFlags::UP)
    }

    /// Whether someone wants it to receive frames for any address.
    #[must_use]
    pub fn is_promiscuous(&self) -> bool {
        self.flags.contains(LinkFlags::PROMISCUOUS)
    }
}
