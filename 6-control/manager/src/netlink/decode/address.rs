//! `RTM_*ADDR`.

use ipnet::IpNet;

use super::super::bytes::{Fields, Malformed};
use crate::event::{Address, KernelIndex, Protocol};

/// `linux/if_addr.h`; not in libc.
pub(crate) const IFA_FLAGS: u16 = 8;
pub(crate) const IFA_PROTO: u16 = 11;

/// Reads a `struct ifaddrmsg` and its attributes.
pub(super) fn decode(body: &[u8]) -> Result<Option<Address>, Malformed> {
    let mut fields = Fields(body);
    let (Some(family), Some(length), Some(flags), Some(_scope), Some(index)) =
        (fields.u8(), fields.u8(), fields.u8(), fields.u8(), fields.u32())
    else {
        return Err(Malformed("an address shorter than its header"));
    };
    if !matches!(i32::from(family), libc::AF_INET | libc::AF_INET6) {
        return Ok(None);
    }
    let (mut flags, mut protocol) = (u32::from(flags), Protocol::default());
    let (mut local, mut address) = (None, None);
    for attribute in fields.attributes() {
        let (kind, value) = attribute?;
        match kind {
            libc::IFA_LOCAL => local = Some(value.ip()?),
            libc::IFA_ADDRESS => address = Some(value.ip()?),
            IFA_FLAGS => flags = value.u32()?,
            IFA_PROTO => protocol = Protocol(value.u8()?),
            _ => {}
        }
    }
    // On a point-to-point link IFA_ADDRESS is the peer's, and IFA_LOCAL ours.
    let own = local.or(address).ok_or(Malformed("an address message without an address"))?;
    let net = IpNet::new(own, length).map_err(|_| Malformed("an impossible prefix length"))?;
    Ok(Some(Address { index: KernelIndex(index), net, flags, protocol }))
}
