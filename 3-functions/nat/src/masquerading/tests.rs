use std::collections::HashMap as Map;
use std::time::Duration;

use ipnet::Ipv4Net;
use portcullis_packet::IfIndex;
use proptest::prelude::*;

use super::*;
use crate::spec::{Filtering, ForwardSpec, MasqueradeSpec, NatSpec};

const NOW: Instant = Instant(1_000_000_000_000);
const BY: MasqueradeId = MasqueradeId(0);
const UDP: IpProtocol = IpProtocol::UDP;
const GRE: IpProtocol = IpProtocol(47);
const HOST: u32 = 0x0a00_0005;
const REMOTE: u32 = 0xc000_0201;

fn spec() -> MasqueradeSpec {
    MasqueradeSpec {
        sources: vec![Ipv4Net::new_assert(Ipv4Addr::new(10, 0, 0, 0), 8)],
        except: vec![],
        out: IfIndex(1),
        pool: vec![0xcb00_7101..=0xcb00_7104],
        ports: 1024..=65535,
        filtering: Filtering::EndpointIndependent,
        ports_per_source: 0,
        block_size: None,
    }
}

fn with(spec: MasqueradeSpec) -> (NatPolicy, Masquerading) {
    let policy = NatPolicy::new(NatSpec { masquerades: vec![spec], ..NatSpec::default() });
    let config = MasqueradingConfig { worker: WorkerId(0), workers: 1, seed: 9, capacity: 70_000 };
    let mut nat = Masquerading::new(config);
    let _ = nat.adopt(&policy);
    (policy, nat)
}

fn external(nat: &mut Masquerading, policy: &NatPolicy, inside: (u32, u16)) -> (u32, u16) {
    nat.map(policy, BY, UDP, inside, REMOTE, NOW).expect("a mapping").external
}

#[test]
fn rfc4787_req1_and_req2_one_endpoint_one_mapping_one_host_one_address() {
    let (policy, mut nat) = with(spec());
    let first = nat.map(&policy, BY, UDP, (HOST, 5000), REMOTE, NOW).expect("a mapping");
    let again = nat.map(&policy, BY, UDP, (HOST, 5000), REMOTE + 1, NOW).expect("a mapping");
    assert_eq!((first.id, first.external), (again.id, again.external));
    assert!(first.is_new && !again.is_new);
    for port in 1..1000 {
        assert_eq!(external(&mut nat, &policy, (HOST, port)).0, first.external.0);
    }
    let tcp = nat.map(&policy, BY, IpProtocol::TCP, (HOST, 5000), REMOTE, NOW).expect("a mapping");
    assert_eq!(tcp.external.0, first.external.0, "whatever the protocol");
}

#[test]
fn rtp_and_rtcp_stay_neighbours() {
    let (policy, mut nat) = with(spec());
    let mut neighbours = 0;
    for n in 0..500 {
        let rtp = external(&mut nat, &policy, (HOST + n, 5004)).1;
        let rtcp = external(&mut nat, &policy, (HOST + n, 5005)).1;
        neighbours += usize::from(rtcp == rtp + 1);
        assert_eq!((rtp % 2, rtcp % 2), (0, 1));
    }
    assert!(neighbours > 480, "{neighbours}");
}

#[test]
fn a_mapping_lives_as_long_as_a_flow_uses_it() {
    let (policy, mut nat) = with(spec());
    let mapped = nat.map(&policy, BY, UDP, (HOST, 5000), REMOTE, NOW).expect("a mapping");
    nat.retain(mapped.id, REMOTE + 1);
    let found = || Lookup::Inside { id: mapped.id, address: HOST, port: 5000 };
    nat.release(mapped.id, REMOTE, NOW);
    assert_eq!(nat.inside_of(&policy, UDP, mapped.external, 1), found());
    nat.release(mapped.id, REMOTE + 1, NOW);
    assert_eq!(nat.inside_of(&policy, UDP, mapped.external, 1), Lookup::None);
    assert_eq!((nat.len(), nat.is_valid(mapped.id)), (0, false));
}

#[test]
fn rfc4787_req8_a_filter_opens_by_address_and_closes_with_the_last_flow() {
    let (policy, mut nat) =
        with(MasqueradeSpec { filtering: Filtering::AddressDependent, ..spec() });
    let mapped = nat.map(&policy, BY, UDP, (HOST, 5000), REMOTE, NOW).expect("a mapping");
    nat.map(&policy, BY, UDP, (HOST, 5000), REMOTE + 1, NOW).expect("a mapping");
    let ask = |nat: &Masquerading, remote| nat.inside_of(&policy, UDP, mapped.external, remote);
    assert!(matches!(ask(&nat, REMOTE), Lookup::Inside { .. }));
    assert_eq!(ask(&nat, REMOTE + 9), Lookup::Filtered);
    nat.release(mapped.id, REMOTE, NOW);
    assert_eq!(ask(&nat, REMOTE), Lookup::Filtered);
}

#[test]
fn rfc6888_req4_a_source_has_a_limit_of_its_own() {
    let (policy, mut nat) = with(MasqueradeSpec { ports_per_source: 3, ..spec() });
    for port in 1..=3 {
        external(&mut nat, &policy, (HOST, port));
    }
    let fourth = nat.map(&policy, BY, UDP, (HOST, 4), REMOTE, NOW);
    assert_eq!(fourth, Err(MapError::SourceLimit));
    external(&mut nat, &policy, (HOST + 1, 4));
    let known = nat.map(&policy, BY, UDP, (HOST, 3), REMOTE + 7, NOW);
    assert!(known.is_ok(), "a mapping that is there can be used");
}

#[test]
fn rfc6888_req11_running_out_ends_no_other_mapping() {
    let (policy, mut nat) =
        with(MasqueradeSpec { ports: 2000..=2009, pool: vec![1..=1], ..spec() });
    for port in 0..10 {
        external(&mut nat, &policy, (HOST + port, 7));
    }
    let eleventh = nat.map(&policy, BY, UDP, (HOST, 99), REMOTE, NOW);
    assert_eq!((eleventh, nat.len()), (Err(MapError::OutOfPorts), 10));
    let udp = nat.pools().find(|pool| pool.protocol == UDP).expect("a pool");
    assert_eq!((udp.ports, udp.in_use, udp.exhausted), (10, 10, 1));
}

#[test]
fn a_protocol_without_ports_is_mapped_by_its_two_ends() {
    let (policy, mut nat) = with(MasqueradeSpec { pool: vec![1..=1], ..spec() });
    let mapped = nat.map(&policy, BY, GRE, (HOST, 0), REMOTE, NOW).expect("a mapping");
    assert_eq!(mapped.external, (1, 0));
    let other = nat.map(&policy, BY, GRE, (HOST + 1, 0), REMOTE, NOW);
    assert_eq!(other, Err(MapError::OutOfPorts), "two tunnels to one end look the same outside");
    assert!(nat.map(&policy, BY, GRE, (HOST + 1, 0), REMOTE + 1, NOW).is_ok());
    let found = nat.inside_of(&policy, GRE, (1, 0), REMOTE);
    assert_eq!(found, Lookup::Inside { id: mapped.id, address: HOST, port: 0 });
}

#[test]
fn blocks_are_logged_once_when_given_and_once_when_given_back() {
    let (policy, mut nat) = with(MasqueradeSpec { block_size: Some(64), ..spec() });
    let ids: Vec<_> = (0..65)
        .map(|port| nat.map(&policy, BY, UDP, (HOST, port), REMOTE, NOW).expect("a mapping").id)
        .collect();
    let events: Vec<_> = std::iter::from_fn(|| nat.take_event()).collect();
    assert_eq!(events.len(), 2);
    assert!(events.iter().all(|e| e.allocated && e.last_port - e.first_port == 63));
    for id in ids {
        nat.release(id, REMOTE, NOW);
    }
    let back: Vec<_> = std::iter::from_fn(|| nat.take_event()).collect();
    assert_eq!(back.iter().filter(|event| !event.allocated).count(), 2);
}

#[test]
fn a_port_of_the_gateways_own_is_given_to_nobody() {
    let (policy, mut nat) =
        with(MasqueradeSpec { ports: 2000..=2001, pool: vec![1..=1], ..spec() });
    assert!(nat.reserve(UDP, (1, 2000)) && nat.reserve(UDP, (1, 2000)));
    assert_eq!(external(&mut nat, &policy, (HOST, 2000)), (1, 2001));
    assert!(!nat.reserve(UDP, (1, 2001)), "it is somebody's");
    nat.unreserve(UDP, (1, 2000), NOW);
    assert_eq!(nat.map(&policy, BY, UDP, (HOST, 4), REMOTE, NOW), Err(MapError::OutOfPorts));
    nat.unreserve(UDP, (1, 2000), NOW);
    let rested = NOW + Duration::from_secs(300);
    assert!(nat.map(&policy, BY, UDP, (HOST, 4), REMOTE, rested).is_ok());
}

#[test]
fn a_port_that_is_forwarded_is_nobodys_mapping() {
    let masquerade = MasqueradeSpec { pool: vec![1..=1], ports: 2000..=2063, ..spec() };
    let (policy, mut nat) = with(masquerade.clone());
    let map = |nat: &mut Masquerading, policy: &NatPolicy, protocol, port| {
        nat.map(policy, BY, protocol, (HOST, port), REMOTE, NOW)
    };
    let stays = map(&mut nat, &policy, UDP, 1).expect("a mapping");
    let goes = map(&mut nat, &policy, UDP, 50).expect("a mapping");
    let forward = |protocol, port| ForwardSpec {
        ingress: IfIndex(1),
        protocol,
        external: 1,
        external_ports: port..=port,
        internal: HOST,
        internal_first_port: 80,
        hairpin: true,
    };
    let forwards = vec![forward(UDP, goes.external.1), forward(IpProtocol::TCP, 2000)];
    let masquerades = vec![masquerade];
    let policy = NatPolicy::new(NatSpec { masquerades, forwards, ..NatSpec::default() });
    let _ = nat.adopt(&policy);
    assert_eq!((nat.is_valid(stays.id), nat.is_valid(goes.id)), (true, false));
    nat.release(goes.id, REMOTE, NOW);
    for (protocol, free) in [(UDP, 62), (IpProtocol::TCP, 63)] {
        let ports = (100..).map_while(|port| map(&mut nat, &policy, protocol, port).ok());
        assert_eq!(ports.count(), free, "of 64 ports");
    }
}

#[test]
fn another_policy_keeps_the_mappings_of_addresses_that_stay() {
    let (_, mut nat) = with(MasqueradeSpec { pool: vec![1..=2], ..spec() });
    let policy = NatPolicy::new(NatSpec {
        masquerades: vec![MasqueradeSpec { pool: vec![1..=2], ..spec() }],
        ..NatSpec::default()
    });
    let mapped: Vec<_> = (0..100)
        .map(|n| nat.map(&policy, BY, UDP, (HOST + n, 7), REMOTE, NOW).expect("a mapping"))
        .collect();
    let shrunk = NatPolicy::new(NatSpec {
        masquerades: vec![MasqueradeSpec { pool: vec![2..=3], ..spec() }],
        ..NatSpec::default()
    });
    let _ = nat.adopt(&shrunk);
    for one in &mapped {
        assert_eq!(nat.is_valid(one.id), one.external.0 == 2);
    }
    for one in &mapped {
        nat.release(one.id, REMOTE, NOW);
    }
    assert!(nat.is_empty());
}

/// What the model knows of a mapping: its id, its external endpoint, the other ends of its flows.
type Known = (MappingId, (u32, u16), Vec<u32>);

proptest! {
    /// Against plain maps: no port is anybody's twice, endpoints keep theirs, and all comes back.
    #[test]
    fn mappings_behave_like_plain_maps(
        steps in prop::collection::vec((0u32..6, 0u16..8, 0u32..3, any::<bool>(), 0u64..100), 1..400),
    ) {
        let small = MasqueradeSpec { ports: 2000..=2019, pool: vec![1..=2], ..spec() };
        let (policy, mut nat) = with(small);
        let mut model: Map<(u32, u16), Known> = Map::new();
        let mut freed: Map<(u32, u16), Instant> = Map::new();
        let mut now = NOW;
        for (host, port, remote, begins, seconds) in steps {
            now = now + Duration::from_secs(seconds);
            let inside = (HOST + host, port);
            if begins {
                let taken: Vec<_> = model.values().map(|(_, external, _)| *external).collect();
                match nat.map(&policy, BY, UDP, inside, remote, now) {
                    Ok(mapped) => {
                        if let Some((id, external, flows)) = model.get_mut(&inside) {
                            prop_assert_eq!((mapped.id, mapped.external), (*id, *external));
                            flows.push(remote);
                        } else {
                            prop_assert!(!taken.contains(&mapped.external));
                            if let Some(&at) = freed.get(&mapped.external) {
                                prop_assert!(now.since(at) >= Duration::from_secs(120));
                            }
                            model.insert(inside, (mapped.id, mapped.external, vec![remote]));
                        }
                    }
                    Err(error) => {
                        prop_assert_eq!(error, MapError::OutOfPorts);
                        prop_assert!(!model.contains_key(&inside));
                    }
                }
            } else if let Some((id, external, flows)) = model.get_mut(&inside) {
                let remote = flows.pop().expect("a flow");
                nat.release(*id, remote, now);
                if flows.is_empty() {
                    freed.insert(*external, now);
                    model.remove(&inside);
                }
            }
            prop_assert_eq!(nat.len(), model.len());
            for (inside, (id, external, flows)) in &model {
                let found = nat.inside_of(&policy, UDP, *external, 77);
                prop_assert_eq!(found, Lookup::Inside { id: *id, address: inside.0, port: inside.1 });
                prop_assert_eq!(nat.mapping(*id).map(|view| view.flows), Some(flows.len() as u32));
            }
        }
    }
}

#[test]
fn a_limit_that_comes_back_counts_each_mapping_once() {
    let limited = MasqueradeSpec { ports_per_source: 2, ..spec() };
    let (policy, mut nat) = with(limited);
    external(&mut nat, &policy, (HOST, 1));
    let unlimited = NatPolicy::new(NatSpec { masquerades: vec![spec()], ..NatSpec::default() });
    let _ = nat.adopt(&unlimited);
    let _ = nat.adopt(&policy);
    external(&mut nat, &policy, (HOST, 2));
    let third = nat.map(&policy, BY, UDP, (HOST, 3), REMOTE, NOW);
    assert_eq!(third.map(|mapped| mapped.id), Err(MapError::SourceLimit));
}
