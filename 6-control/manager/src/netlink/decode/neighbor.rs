//! `RTM_*NEIGH`.

use super::super::bytes::{Fields, Malformed};
use crate::event::{KernelIndex, Neighbor, NeighborKey, NeighborState};

/// Reads a `struct ndmsg` and its attributes. Entries of a bridge's table and proxied addresses are
/// no neighbours.
pub(super) fn decode(body: &[u8]) -> Result<Option<Neighbor>, Malformed> {
    let mut fields = Fields(body);
    let (Some(family), Some(_), Some(_), Some(index), Some(state), Some(flags), Some(_)) = (
        fields.u8(),
        fields.u8(),
        fields.u16(),
        fields.u32(),
        fields.u16(),
        fields.u8(),
        fields.u8(),
    ) else {
        return Err(Malformed("a neighbour shorter than its header"));
    };
    let is_ip = matches!(i32::from(family), libc::AF_INET | libc::AF_INET6);
    if !is_ip || flags & libc::NTF_PROXY != 0 {
        return Ok(None);
    }
    let (mut address, mut mac) = (None, None);
    for attribute in fields.attributes() {
        let (kind, value) = attribute?;
        match kind {
            libc::NDA_DST => address = Some(value.ip()?),
            libc::NDA_LLADDR => mac = value.mac(),
            _ => {}
        }
    }
    let address = address.ok_or(Malformed("a neighbour without an address"))?;
    let key = NeighborKey { index: KernelIndex(index), address };
    Ok(Some(Neighbor { key, state: state_of(state), mac }))
}

/// The kernel sets one bit of `NUD_*`.
const fn state_of(bits: u16) -> NeighborState {
    match bits {
        libc::NUD_INCOMPLETE => NeighborState::Incomplete,
        libc::NUD_REACHABLE => NeighborState::Reachable,
        libc::NUD_STALE => NeighborState::Stale,
        libc::NUD_DELAY => NeighborState::Delay,
        libc::NUD_PROBE => NeighborState::Probe,
        libc::NUD_FAILED => NeighborState::Failed,
        libc::NUD_NOARP => NeighborState::NoArp,
        libc::NUD_PERMANENT => NeighborState::Permanent,
        _ => NeighborState::None,
    }
}
