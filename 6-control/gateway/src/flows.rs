//! Flows as rows.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use portcullis_api::IpProtocol;
use portcullis_api::rows::FlowRow;
use portcullis_firewall::RuleId;
use portcullis_flows::{FlowId, FlowStamp, Line, Tick};
use portcullis_packet::{IfIndex, Ports};
use portcullis_pipeline::{LineFlags, Record, Translation};
use portcullis_policy::Policy;

/// The number by which a flow is known outside: its worker, and what tells it from flows that had its place
/// before.
pub(crate) fn id(worker: usize, stamp: FlowStamp) -> u64 {
    (worker as u64) << 48 | u64::from(stamp.generation) << 32 | u64::from(stamp.id.0)
}

/// A flow of a listing.
pub(crate) struct Flow<'a> {
    pub(crate) worker: usize,
    pub(crate) stamp: FlowStamp,
    pub(crate) record: &'a Record,
}

/// What the numbers in a flow mean.
pub(crate) struct Names<'a> {
    pub(crate) interfaces: &'a [String],
    pub(crate) policy: &'a Policy,
    pub(crate) now: Tick,
}

impl Names<'_> {
    /// A flow as a row.
    pub(crate) fn row(&self, flow: &Flow<'_>) -> FlowRow {
        let Flow { worker, stamp, record } = *flow;
        let [original, reply] = &record.lines;
        let (there, back) = (ends(original), ends(reply));
        let protocol = original.protocol();
        let is_icmp = protocol == 1 || protocol == 58;
        let has_ports = matches!(protocol, 6 | 17 | 33 | 132 | 136);
        let port = |port: u16| has_ports.then_some(port);
        let identified = |port: u16| (has_ports || is_icmp).then_some(port);
        let [kind, code] = there.ports.dst.to_be_bytes();
        let idle = seconds(record.last_seen(), self.now);
        let flags = LineFlags(original.flags());
        FlowRow {
            id: id(worker, stamp),
            worker: worker as u32,
            protocol: IpProtocol(protocol).to_string(),
            state: record.state.tracker.state_name().to_owned(),
            source: there.src,
            source_port: identified(there.ports.src),
            destination: there.dst,
            destination_port: port(there.ports.dst),
            reply_source: back.src,
            reply_source_port: port(back.ports.src),
            reply_destination: back.dst,
            reply_destination_port: identified(back.ports.dst),
            icmp_type: is_icmp.then_some(kind),
            icmp_code: is_icmp.then_some(code),
            in_interface: self.interface(original.rx_if()),
            out_interface: self.interface(reply.rx_if()),
            rule: self.rule(record.state.rule),
            nat: nat(flags, LineFlags(reply.flags())),
            packets: original.packets(),
            bytes: original.bytes(),
            reply_packets: reply.packets(),
            reply_bytes: reply.bytes(),
            age_seconds: seconds(record.state.created, self.now),
            idle_seconds: idle,
            timeout_seconds: (ticks(record.timeout()) - idle).max(0.0),
        }
    }

    fn interface(&self, index: IfIndex) -> Option<String> {
        self.interfaces.get(index.slot()).cloned()
    }

    fn rule(&self, rule: RuleId) -> Option<String> {
        let rules = self.policy.rules.as_ref()?;
        (rule != RuleId::NONE).then(|| rules.name(rule).to_owned())
    }
}

fn nat(original: LineFlags, reply: LineFlags) -> Option<String> {
    let again = original.has(LineFlags::AGAIN) || reply.has(LineFlags::AGAIN);
    let name = match original.translation() {
        Translation::None => return None,
        _ if again => "hairpin",
        Translation::Masquerade => "masquerade",
        Translation::Forward => "forward",
        Translation::Static => "static",
    };
    Some(name.to_owned())
}

struct Ends {
    src: IpAddr,
    dst: IpAddr,
    ports: Ports,
}

fn ends(line: &Line) -> Ends {
    match (line.tuple4(), line.tuple6()) {
        (Some(tuple), _) => Ends {
            src: Ipv4Addr::from_bits(tuple.src).into(),
            dst: Ipv4Addr::from_bits(tuple.dst).into(),
            ports: tuple.ports,
        },
        (None, Some(tuple)) => Ends {
            src: Ipv6Addr::from_bits(tuple.src).into(),
            dst: Ipv6Addr::from_bits(tuple.dst).into(),
            ports: tuple.ports,
        },
        (None, None) => Ends {
            src: Ipv4Addr::UNSPECIFIED.into(),
            dst: Ipv4Addr::UNSPECIFIED.into(),
            ports: Ports::NONE,
        },
    }
}

/// Seconds from one tick to a later one.
fn seconds(from: Tick, to: Tick) -> f64 {
    ticks(to.0.saturating_sub(from.0))
}

/// So many ticks in seconds.
fn ticks(count: u32) -> f64 {
    f64::from(count) * (1u64 << 27) as f64 / 1e9
}

/// What tells the flow that a row was made of from others in its place.
pub(crate) fn stamp(id: u64) -> FlowStamp {
    FlowStamp { id: FlowId(id as u32), generation: (id >> 32) as u16 }
}
