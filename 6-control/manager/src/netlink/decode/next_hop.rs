//! `RTM_*NEXTHOP` (`linux/nexthop.h`).

use super::super::bytes::{Fields, Malformed, Value};
use crate::event::{KernelIndex, Object, ObjectId, Path, Weight};

const NHA_ID: u16 = 1;
const NHA_GROUP: u16 = 2;
const NHA_BLACKHOLE: u16 = 4;
const NHA_OIF: u16 = 5;
const NHA_GATEWAY: u16 = 6;
const NHA_ENCAP_TYPE: u16 = 7;
const NHA_FDB: u16 = 11;

/// Reads a `struct nhmsg` and its attributes.
pub(super) fn decode(body: &[u8]) -> Result<Option<(ObjectId, Object)>, Malformed> {
    let mut fields = Fields(body);
    let (Some(_family), Some(_scope), Some(_protocol), Some(_), Some(_flags)) =
        (fields.u8(), fields.u8(), fields.u8(), fields.u8(), fields.u32())
    else {
        return Err(Malformed("a nexthop shorter than its header"));
    };
    let (mut id, mut index, mut gateway, mut group) = (None, None, None, None);
    let (mut blackhole, mut unsupported) = (false, false);
    for attribute in fields.attributes() {
        let (kind, value) = attribute?;
        match kind {
            NHA_ID => id = Some(ObjectId(value.u32()?)),
            NHA_OIF => index = Some(KernelIndex(value.u32()?)),
            NHA_GATEWAY => gateway = Some(value.ip()?),
            NHA_GROUP => group = Some(members(value)?),
            NHA_BLACKHOLE => blackhole = true,
            NHA_ENCAP_TYPE | NHA_FDB => unsupported = true,
            _ => {}
        }
    }
    let id = id.ok_or(Malformed("a nexthop without an id"))?;
    let object = match (group, index) {
        _ if unsupported => Object::Unsupported,
        _ if blackhole => Object::Blackhole,
        (Some(members), _) => Object::Group(members),
        (None, Some(index)) => Object::Via(Path { index, gateway }),
        (None, None) => Object::Unsupported,
    };
    Ok(Some((id, object)))
}

/// An array of `struct nexthop_grp`, whose weights are one less than what they mean and since 6.12
/// have an upper byte.
fn members(value: Value<'_>) -> Result<Box<[(ObjectId, Weight)]>, Malformed> {
    let mut fields = Fields(value.0);
    let mut members = Vec::with_capacity(value.0.len() / 8);
    while !fields.0.is_empty() {
        let (Some(id), Some(low), Some(high), Some(_)) =
            (fields.u32(), fields.u8(), fields.u8(), fields.u16())
        else {
            return Err(Malformed("a group with part of a member"));
        };
        members.push((ObjectId(id), u16::from_le_bytes([low, high]).saturating_add(1)));
    }
    Ok(members.into())
}
