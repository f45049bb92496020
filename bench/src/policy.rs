//! The policies of stateful cases, and the flows that go through them.

use std::net::Ipv4Addr;
use std::sync::Arc;

use ipnet::Ipv4Net;
use portcullis_firewall::{
    Action, AddressRange, RuleCounters, RuleSpec, Rules, RulesSpec, Service, ZoneId,
};
use portcullis_nat::{Filtering, MasqueradeSpec, NatPolicy, NatSpec};
use portcullis_packet::{IfIndex, Ports};
use portcullis_policy::{InterfacePolicy, Policy};
use portcullis_tracking::Timeouts;
use portcullis_wire::{IpProtocol, Tuple};

use crate::cases::Case;
use crate::rng::Rng;

/// The zone that packets come from.
const INSIDE: ZoneId = ZoneId(1);
/// The zone they go to.
const OUTSIDE: ZoneId = ZoneId(2);

/// First address of the inside network, a /12.
const INSIDE_NET: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(172, 16, 0, 0), 12);

/// External addresses: enough ports for a million mappings.
const POOL: std::ops::RangeInclusive<u32> = 0xc633_6400..=0xc633_641f;

/// What packets of a case are judged by.
pub(crate) fn policy(case: Case) -> Policy {
    match case {
        Case::Firewall(_) => stateful(1, NatSpec::default(), &few_rules()),
        Case::Nat(_) => stateful(1, masquerade(), &few_rules()),
        _ => Policy::stateless(0),
    }
}

/// A policy with these rules.
pub(crate) fn stateful(number: u32, nat: NatSpec, rules: &RulesSpec) -> Policy {
    let rules = Rules::compile(rules.clone());
    let interface = |zone| InterfacePolicy { zone, ..InterfacePolicy::default() };
    Policy {
        number,
        nat: NatPolicy::new(nat),
        hits: vec![Arc::new(RuleCounters::new(rules.slots()))],
        rules: Some(rules),
        interfaces: vec![interface(INSIDE), interface(OUTSIDE)],
        timeouts: Timeouts::default(),
        tcp_pickup: true,
        steering: None,
        flows: CAPACITY,
        flows_per_source: u32::MAX,
    }
}

/// Flows that there is memory for.
pub(crate) const CAPACITY: usize = 1_050_000;

/// Everything that the benchmarks' masquerading gateway translates.
pub(crate) fn masquerade() -> NatSpec {
    NatSpec {
        masquerades: vec![MasqueradeSpec {
            sources: vec![INSIDE_NET],
            except: vec![],
            out: IfIndex(1),
            pool: vec![POOL],
            ports: 1024..=65535,
            filtering: Filtering::EndpointIndependent,
            ports_per_source: 0,
            block_size: None,
        }],
        ..NatSpec::default()
    }
}

/// Three rules, of which the last one lets the flows in.
pub(crate) fn few_rules() -> RulesSpec {
    rules(2)
}

/// So many rules that match nothing, and one behind them that lets the flows in.
pub(crate) fn rules(others: usize) -> RulesSpec {
    let other = |n: usize| {
        let net = u32::from(Ipv4Addr::new(192, 0, 0, 0)) + (n as u32) * 16;
        RuleSpec {
            name: format!("other {n}").into(),
            from: Some(vec![INSIDE]),
            to: Some(vec![OUTSIDE]),
            source: Some(vec![AddressRange::V4(net..=net + 15)]),
            destination: None,
            service: Some(vec![Service {
                protocol: IpProtocol::TCP,
                ports: (n % 60_000) as u16..=(n % 60_000) as u16 + 10,
            }]),
            action: Action::Drop,
            log: false,
        }
    };
    let mut all: Vec<RuleSpec> = (0..others).map(other).collect();
    all.push(RuleSpec {
        name: "out".into(),
        from: Some(vec![INSIDE]),
        to: Some(vec![OUTSIDE]),
        source: None,
        destination: None,
        service: None,
        action: Action::Accept,
        log: false,
    });
    RulesSpec {
        rules: all,
        default: Action::Drop,
        gateway_default: Action::Accept,
        log_default: false,
    }
}

/// So many different flows, in random order.
pub(crate) fn tuples(count: usize, rng: &mut Rng) -> Vec<Tuple<u32>> {
    let first = u32::from(INSIDE_NET.network());
    let mut tuples: Vec<_> = (0..count as u32)
        .map(|n| Tuple {
            // Some 16 flows a host.
            src: first + n / 16,
            dst: 0x0a00_0000 | (rng.next() as u32 & 0x00ff_ffff),
            ports: Ports { src: 1024 + (n % 16) as u16 * 977, dst: 53 },
            protocol: IpProtocol::UDP,
        })
        .collect();
    for at in (1..tuples.len()).rev() {
        tuples.swap(at, rng.below(at + 1));
    }
    tuples
}
