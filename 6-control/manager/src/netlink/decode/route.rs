//! `RTM_*ROUTE`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::super::bytes::{Attributes, Fields, Malformed, Value};
use crate::event::{KernelIndex, ObjectId, Path, Protocol, Route, Table, Target, Weight};

/// `linux/rtnetlink.h`; not in libc.
const RTA_NH_ID: u16 = 30;
const RTAX_MTU: u16 = 2;
const RTNEXTHOP_HEADER: usize = 8;

/// Reads a `struct rtmsg` and its attributes. Routes of other tables than the three, for a TOS,
/// from a source, or cloned from another are not forwarded by.
pub(super) fn decode(body: &[u8]) -> Result<Option<Route>, Malformed> {
    let mut fields = Fields(body);
    let (Some(family), Some(length), Some(source_length), Some(tos)) =
        (fields.u8(), fields.u8(), fields.u8(), fields.u8())
    else {
        return Err(Malformed("a route shorter than its header"));
    };
    let (Some(table), Some(protocol), Some(_scope), Some(kind), Some(flags)) =
        (fields.u8(), fields.u8(), fields.u8(), fields.u8(), fields.u32())
    else {
        return Err(Malformed("a route shorter than its header"));
    };
    let any = match i32::from(family) {
        libc::AF_INET => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        libc::AF_INET6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        _ => return Ok(None),
    };
    let cloned = flags & libc::RTM_F_CLONED != 0;
    if cloned || tos != 0 || source_length != 0 {
        return Ok(None);
    }

    let mut attributes = Wanted::default();
    let mut destination = any;
    let (mut table, mut metric, mut mtu) = (u32::from(table), 0, None);
    for attribute in fields.attributes() {
        let (kind, value) = attribute?;
        match kind {
            libc::RTA_DST => destination = value.ip()?,
            libc::RTA_TABLE => table = value.u32()?,
            libc::RTA_PRIORITY => metric = value.u32()?,
            libc::RTA_METRICS => mtu = path_mtu(value)?,
            libc::RTA_MULTIPATH => attributes.multipath = Some(multipath(value)?),
            RTA_NH_ID => attributes.object = Some(ObjectId(value.u32()?)),
            kind => attributes.hop.take(kind, value)?,
        }
    }
    let table = match u8::try_from(table) {
        Ok(libc::RT_TABLE_LOCAL) => Table::Local,
        Ok(libc::RT_TABLE_MAIN) => Table::Main,
        Ok(libc::RT_TABLE_DEFAULT) => Table::Default,
        _ => return Ok(None),
    };
    let Some(target) = attributes.target(kind) else { return Ok(None) };
    let prefix =
        IpNet::new(destination, length).map_err(|_| Malformed("an impossible prefix length"))?;
    if prefix.addr().is_ipv4() != any.is_ipv4() {
        return Err(Malformed("a destination of the other family"));
    }
    let prefix = prefix.trunc();
    Ok(Some(Route { table, prefix, metric, protocol: Protocol(protocol), target, mtu }))
}

/// What decides where a route leads.
#[derive(Default)]
struct Wanted {
    hop: Hop,
    multipath: Option<Vec<(Hop, Weight)>>,
    object: Option<ObjectId>,
}

impl Wanted {
    /// `RTN_*` and the attributes together; `None` for what is no route.
    fn target(self, kind: u8) -> Option<Target> {
        // A route by a blackhole object has the type of what the object says at the time.
        if let (Some(id), libc::RTN_UNICAST | libc::RTN_BLACKHOLE) = (self.object, kind) {
            return Some(Target::Object(id));
        }
        let target = match kind {
            libc::RTN_UNICAST => self.forward(),
            libc::RTN_LOCAL | libc::RTN_ANYCAST => Target::Local,
            libc::RTN_BROADCAST => match self.hop.index {
                Some(index) => Target::Broadcast(index),
                None => Target::Local,
            },
            libc::RTN_MULTICAST => Target::Multicast,
            libc::RTN_BLACKHOLE => Target::Blackhole,
            libc::RTN_UNREACHABLE => Target::Unreachable,
            libc::RTN_PROHIBIT => Target::Prohibit,
            libc::RTN_THROW => Target::Throw,
            _ => return None,
        };
        Some(target)
    }

    fn forward(self) -> Target {
        match self.multipath {
            None => self.hop.path().map_or(Target::Unsupported, Target::Via),
            Some(hops) => {
                let paths = hops.into_iter().map(|(hop, weight)| Some((hop.path()?, weight)));
                let paths: Option<Box<[_]>> = paths.collect();
                match paths.as_deref() {
                    None | Some([]) => Target::Unsupported,
                    Some([(path, _)]) => Target::Via(*path),
                    Some(_) => paths.map_or(Target::Unsupported, Target::Multipath),
                }
            }
        }
    }
}

/// The attributes of one path.
#[derive(Default)]
struct Hop {
    index: Option<KernelIndex>,
    gateway: Option<IpAddr>,
    encapsulated: bool,
}

impl Hop {
    fn take(&mut self, kind: u16, value: Value<'_>) -> Result<(), Malformed> {
        match kind {
            libc::RTA_OIF => self.index = Some(KernelIndex(value.u32()?)),
            libc::RTA_GATEWAY => self.gateway = Some(value.ip()?),
            libc::RTA_VIA => self.gateway = Some(via(value)?),
            libc::RTA_ENCAP_TYPE | libc::RTA_NEWDST => self.encapsulated = true,
            _ => {}
        }
        Ok(())
    }

    fn path(&self) -> Option<Path> {
        if self.encapsulated {
            return None;
        }
        self.index.map(|index| Path { index, gateway: self.gateway })
    }
}

/// `struct rtvia`: a gateway of another family than the route's (RFC 8950).
fn via(value: Value<'_>) -> Result<IpAddr, Malformed> {
    let mut fields = Fields(value.0);
    fields.u16().ok_or(Malformed("a via without its family"))?;
    Value(fields.0).ip()
}

fn path_mtu(metrics: Value<'_>) -> Result<Option<u16>, Malformed> {
    for attribute in metrics.nested() {
        let (kind, value) = attribute?;
        if kind == RTAX_MTU {
            return Ok(u16::try_from(value.u32()?).ok().filter(|mtu| *mtu > 0));
        }
    }
    Ok(None)
}

/// A chain of `struct rtnexthop`, each with attributes; `rtnh_hops` is the weight less one.
fn multipath(value: Value<'_>) -> Result<Vec<(Hop, Weight)>, Malformed> {
    let mut hops = Vec::with_capacity(2);
    let mut rest = value.0;
    while !rest.is_empty() {
        let mut fields = Fields(rest);
        let (Some(length), Some(_flags), Some(weight), Some(index)) =
            (fields.u16(), fields.u8(), fields.u8(), fields.u32())
        else {
            return Err(Malformed("a path shorter than its header"));
        };
        let length = usize::from(length);
        let attributes = rest.get(RTNEXTHOP_HEADER..length);
        let attributes = attributes.ok_or(Malformed("path length out of bounds"))?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();

        let mut hop = Hop { index: Some(KernelIndex(index)), ..Hop::default() };
        for attribute in Attributes(attributes) {
            let (kind, value) = attribute?;
            hop.take(kind, value)?;
        }
        hops.push((hop, u16::from(weight).saturating_add(1)));
    }
    Ok(hops)
}
