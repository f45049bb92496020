//! The configuration as what packets are judged by.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::sync::Arc;

use ipnet::IpNet;
use portcullis_config::{self as config, Config};
use portcullis_firewall::{
    Action, AddressRange, AntiSpoofing, RuleCounters, RuleSpec, Rules, RulesSpec, Service, ZoneId,
};
use portcullis_nat::{
    Filtering, ForwardSpec, MasqueradeSpec, NatPolicy, NatSpec, Static4Spec, Static6Spec, Steering,
};
use portcullis_packet::IfIndex;
use portcullis_policy::{InterfacePolicy, Policy};
use portcullis_tracking::Timeouts;
use portcullis_wire::{IpProtocol, icmp_port};

/// Compiles a configuration. `number` tells the policies of one gateway apart; `seed` is the same for all of them.
pub(crate) fn compile(config: &Config, number: u32, workers: u16, seed: u64) -> Policy {
    let zones = Zones::of(config);
    let nat = NatPolicy::new(nat(config));
    let rules = config.firewall().map(|firewall| Rules::compile(rules(firewall, &zones)));
    let slots = rules.as_ref().map_or(0, Rules::slots);
    let interfaces: Vec<_> = config
        .interfaces()
        .iter()
        .map(|interface| InterfacePolicy {
            zone: zones.id(&interface.zone),
            anti_spoofing: match interface.anti_spoofing {
                config::AntiSpoofing::Strict => AntiSpoofing::Strict,
                config::AntiSpoofing::Loose => AntiSpoofing::Loose,
                config::AntiSpoofing::Off => AntiSpoofing::Off,
            },
            mss_clamp: interface.mss_clamp,
        })
        .collect();
    // Whatever asks for something that only a flow can remember makes the gateway stateful.
    let is_stateful = rules.is_some()
        || !nat.is_empty()
        || interfaces.iter().any(|i| i.mss_clamp || i.anti_spoofing != AntiSpoofing::Off);
    let flows = if is_stateful { flows_per_worker(config, workers) } else { 0 };
    let timeouts = config.timeouts();
    let steering =
        (workers > 1 && is_stateful).then(|| Arc::new(Steering::new(&nat, workers, seed)));
    Policy {
        number,
        nat,
        rules,
        hits: (0..workers).map(|_| Arc::new(RuleCounters::new(slots))).collect(),
        interfaces,
        timeouts: Timeouts {
            tcp_established: timeouts.tcp_established,
            tcp_transitory: timeouts.tcp_transitory,
            udp: timeouts.udp,
            icmp: timeouts.icmp,
            other: timeouts.other,
        },
        tcp_pickup: config.firewall().is_none_or(|firewall| firewall.tcp_pickup),
        steering,
        flows,
        flows_per_source: config.limits().flows_per_source.get(),
    }
}

/// A worker's share of the flows. With several, one may have more than its share to do.
pub(crate) fn flows_per_worker(config: &Config, workers: u16) -> usize {
    let workers = usize::from(workers.max(1));
    (config.limits().flows.get() as usize).div_ceil(workers)
}

/// The zones, numbered in the order of the file.
struct Zones<'c>(Vec<&'c config::ZoneName>);

impl<'c> Zones<'c> {
    fn of(config: &'c Config) -> Self {
        let mut zones: Vec<_> = Vec::new();
        for interface in config.interfaces() {
            if !zones.contains(&&interface.zone) {
                zones.push(&interface.zone);
            }
        }
        Self(zones)
    }

    fn id(&self, name: &config::ZoneName) -> ZoneId {
        let place = self.0.iter().position(|zone| *zone == name);
        // Those of rules are those of interfaces: the file was checked.
        place.map_or(ZoneId(u16::MAX), |place| ZoneId(place as u16 + 1))
    }

    fn ids(&self, zones: &[config::Zone]) -> Vec<ZoneId> {
        let id = |zone: &config::Zone| match zone {
            config::Zone::Gateway => ZoneId::GATEWAY,
            config::Zone::Named(name) => self.id(name),
        };
        zones.iter().map(id).collect()
    }
}

fn action(action: config::Action) -> Action {
    match action {
        config::Action::Accept => Action::Accept,
        config::Action::Drop => Action::Drop,
        config::Action::Reject => Action::Reject,
    }
}

fn bits4(range: &RangeInclusive<Ipv4Addr>) -> RangeInclusive<u32> {
    range.start().to_bits()..=range.end().to_bits()
}

fn address(range: &config::AddressRange) -> AddressRange {
    let bits6 = |range: &RangeInclusive<Ipv6Addr>| range.start().to_bits()..=range.end().to_bits();
    match range {
        config::AddressRange::V4(range) => AddressRange::V4(bits4(range)),
        config::AddressRange::V6(range) => AddressRange::V6(bits6(range)),
    }
}

fn service(service: &config::Service) -> Service {
    let protocol = IpProtocol(service.protocol().number());
    let ports = match service {
        config::Service::Protocol(_) => 0..=u16::MAX,
        config::Service::Ports { ports, .. } => ports.clone(),
        config::Service::Icmp { kind, code: Some(code), .. } => {
            icmp_port(*kind, *code)..=icmp_port(*kind, *code)
        }
        config::Service::Icmp { kind, code: None, .. } => {
            icmp_port(*kind, 0)..=icmp_port(*kind, u8::MAX)
        }
    };
    Service { protocol, ports }
}

fn rules(firewall: &config::Firewall, zones: &Zones<'_>) -> RulesSpec {
    let addresses = |list: &Option<config::Addresses>| {
        list.as_ref().map(|list| list.iter().map(address).collect())
    };
    let rule = |rule: &config::Rule| RuleSpec {
        name: rule.name.as_str().into(),
        from: rule.from.as_deref().map(|from| from.iter().map(|zone| zones.id(zone)).collect()),
        to: rule.to.as_deref().map(|to| zones.ids(to)),
        source: addresses(&rule.source),
        destination: addresses(&rule.destination),
        service: rule.service.as_ref().map(|list| list.iter().map(service).collect()),
        action: action(rule.action),
        log: rule.log,
    };
    RulesSpec {
        rules: firewall.rules.iter().map(rule).collect(),
        default: action(firewall.default),
        gateway_default: action(firewall.gateway_default),
        log_default: firewall.log_default,
    }
}

/// The interface with a name; every name in a checked file is one.
fn index(config: &Config, name: &config::InterfaceName) -> IfIndex {
    let place = config.interfaces().iter().position(|interface| interface.name == *name);
    place.map_or(IfIndex::NONE, |place| IfIndex(place as u16))
}

fn nat(config: &Config) -> NatSpec {
    let nat = config.nat();
    let masquerades = nat.masquerades.iter().map(|masquerade| MasqueradeSpec {
        sources: masquerade.source.clone(),
        except: masquerade.except.clone(),
        out: index(config, &masquerade.out),
        pool: masquerade.pool.iter().map(bits4).collect(),
        ports: masquerade.ports.clone(),
        filtering: match masquerade.filtering {
            config::Filtering::EndpointIndependent => Filtering::EndpointIndependent,
            config::Filtering::AddressDependent => Filtering::AddressDependent,
        },
        ports_per_source: masquerade.ports_per_source.map_or(0, |most| most.get().into()),
        block_size: masquerade.port_block_size.map(config::PortBlockSize::get),
    });
    let forwards = nat.forwards.iter().map(|forward| ForwardSpec {
        ingress: index(config, &forward.interface),
        protocol: match forward.protocol {
            config::ForwardProtocol::Tcp => IpProtocol::TCP,
            config::ForwardProtocol::Udp => IpProtocol::UDP,
        },
        external: forward.destination.address.to_bits(),
        external_ports: forward.destination.ports.clone(),
        internal: forward.to.address.to_bits(),
        internal_first_port: *forward.to.ports.start(),
        hairpin: forward.hairpin,
    });
    let (mut statics4, mut statics6) = (Vec::new(), Vec::new());
    for one in &nat.statics {
        let on = index(config, &one.on);
        match (one.external, one.internal) {
            (IpNet::V4(external), IpNet::V4(internal)) => {
                statics4.push(Static4Spec { on, external, internal });
            }
            (IpNet::V6(external), IpNet::V6(internal)) => {
                statics6.push(Static6Spec { on, external, internal });
            }
            // They are of one family: the file was checked.
            (IpNet::V4(_), IpNet::V6(_)) | (IpNet::V6(_), IpNet::V4(_)) => {}
        }
    }
    NatSpec { masquerades: masquerades.collect(), forwards: forwards.collect(), statics4, statics6 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_config::Host;
    use portcullis_firewall::{Query, RuleId};
    use portcullis_packet::Ports;
    use portcullis_wire::Tuple;

    const TWO: &str = r#"
[[interface]]
name = "wan"
device = "eth1"
addresses = ["203.0.113.1/24"]
zone = "untrusted"
[[interface]]
name = "lan"
device = "eth2"
addresses = ["10.0.0.1/24"]
"#;

    fn compiled(more: &str) -> Policy {
        let text = format!("{TWO}{more}");
        let config = Config::parse("f", &text, &Host { name: "gw" }).expect("a good file");
        compile(&config, 1, 1, 7)
    }

    #[test]
    fn only_a_file_that_asks_for_it_makes_a_stateful_gateway() {
        assert!(!compiled("").is_stateful());
        for more in [
            "[firewall]",
            "[[nat.masquerade]]\nsource = [\"10.0.0.0/8\"]\nout = \"wan\"",
            "[[interface]]\nname = \"dmz\"\ndevice = \"eth3\"\nanti-spoofing = \"strict\"",
            "[[interface]]\nname = \"dmz\"\ndevice = \"eth3\"\nmss-clamp = true",
        ] {
            let policy = compiled(more);
            assert!(policy.is_stateful() && policy.flows == 1_000_000, "{more}");
        }
    }

    #[test]
    fn a_rule_says_what_the_file_says() {
        let policy = compiled(
            r#"
[firewall]
[[firewall.rule]]
name = "web in"
from = "untrusted"
to = "lan"
destination = ["10.0.0.5"]
service = ["tcp/443"]
action = "accept"
"#,
        );
        let rules = policy.rules.as_ref().expect("rules");
        let ask = |from: IfIndex, dst: u32, port| {
            let ports = Ports { src: 1, dst: port };
            let tuple = Tuple { src: 1, dst, ports, protocol: IpProtocol::TCP };
            let query = Query { from: policy.zone(from), to: policy.zone(IfIndex(1)), tuple };
            rules.decide4(&query)
        };
        let (web, wan) = (0x0a00_0005, IfIndex(0));
        assert_eq!(ask(wan, web, 443).rule, RuleId(0));
        for (from, dst, port) in [(IfIndex(1), web, 443), (wan, web + 1, 443), (wan, web, 444)] {
            let decision = ask(from, dst, port);
            assert_eq!((decision.rule, decision.action), (RuleId::DEFAULT, Action::Drop));
        }
    }
}
