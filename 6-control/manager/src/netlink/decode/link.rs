//! `RTM_*LINK`.

use portcullis_packet::Mac;

use super::super::bytes::{Fields, Malformed};
use crate::event::{KernelIndex, Link};

/// Reads a `struct ifinfomsg` and its attributes.
pub(super) fn decode(body: &[u8]) -> Result<Option<Link>, Malformed> {
    let mut fields = Fields(body);
    let (Some(family), Some(_), Some(_), Some(index), Some(flags), Some(_)) =
        (fields.u8(), fields.u8(), fields.u16(), fields.u32(), fields.u32(), fields.u32())
    else {
        return Err(Malformed("a link shorter than its header"));
    };
    // Other families report what a bridge or IPv6 thinks of the link.
    if i32::from(family) != libc::AF_UNSPEC {
        return Ok(None);
    }
    let mut link = Link {
        index: KernelIndex(index),
        up: flags & libc::IFF_UP as u32 != 0,
        carrier: flags & libc::IFF_LOWER_UP as u32 != 0,
        ..Link::default()
    };
    for attribute in fields.attributes() {
        let (kind, value) = attribute?;
        match kind {
            libc::IFLA_IFNAME => link.name = value.text()?.into(),
            libc::IFLA_ADDRESS => link.mac = value.mac().unwrap_or(Mac::default()),
            libc::IFLA_MTU => link.mtu = value.u32()?,
            // IFF_LOWER_UP is never set on a device that is down.
            libc::IFLA_CARRIER => link.carrier = value.u8()? != 0,
            _ => {}
        }
    }
    Ok(Some(link))
}
