//! The same packets through the gateway and through the kernel with the same rules come out the same.

use portcullis_blackbox::{
    Action, Firewall, Forwarder, Lab, Policy, PortForward, Rule, Site, SiteOptions, StaticNat,
    joins_fragments,
};

use crate::masquerade;

/// Where the gateway and the kernel differ, and both may: odd segments of TCP by the state that they come in, the
/// side that they come from, their flags, and how far their numbers are from the expected ones; and the clause that leaves
/// it open. `*` stands for everything, `!` for everything but one, `|` separates alternatives.
const ACCEPTED: &[(&str, &str)] = &[
    // Whatever acknowledges something takes a connection up; of the kernel's, no FIN does.
    ("nothing in FA at * *", "RFC 5382, REQ-1: none but those that the rules let through"),
    // The gateway leaves to the other end what to make of what its opener sends too early.
    ("syn in A|PA|FA|R|RA at * *", "RFC 9293, 3.10.7.4: answered with a reset, or dropped"),
    ("syn out FA at * *", "RFC 9293, 3.10.7.3: answered with a reset, or dropped"),
    // The kernel lets these in.
    ("syn out R at * *", "RFC 9293, 3.10.7.3: no reset without an acknowledgment of the SYN"),
    ("syn out RA at * !0", "RFC 9293, 3.10.7.3: no reset without an acknowledgment of the SYN"),
    // The kernel lets in what acknowledges something old.
    ("syn out SA at * -70000", "RFC 9293, 3.10.7.3: not an acknowledgment of the SYN"),
    // A peer that was started anew opens again; the other one's acknowledgment tells it.
    ("established in SA at * *", "RFC 5961, 4.2: answered with a challenge, whatever its number"),
    ("established out S at * *", "RFC 5961, 4.2: answered with a challenge, whatever its number"),
    // They pass, and end nothing; elsewhere than in the window they do not pass.
    ("established * R at !0 *", "RFC 5961, 3.2: answered with a challenge if in the window"),
    ("established * RA at * *", "RFC 5961, 3.2: answered with a challenge if in the window"),
    ("closed|reset * R|RA at * *", "RFC 5961, 3.2: dropped if out of the window"),
    // The kernel lets through what is old, for it does no harm.
    ("established|closed|reset * * at -1048576 *", "RFC 9293, 3.10.7.4: unacceptable"),
    ("established|closed|reset * * at * -70000", "RFC 5961, 5.2: unacceptable"),
    // A connection that is over has no second beginning from the other side: that is a new one, for the rules.
    ("closed out S at * *", "RFC 5382, REQ-3: none but those that the rules let through"),
    ("closed|reset in SA at * *", "RFC 9293, 3.10.7.1: answered with a reset, or dropped"),
];

/// All kinds of episodes, four times.
const EPISODES: u32 = 4 * 40;

const SCRIPT: &str =
    concat!(include_str!("differential/wire.py"), include_str!("differential/episodes.py"));

fn policy(tcp_pickup: bool) -> Policy {
    let forward = |protocol: &str, outside, inside| PortForward {
        on: "wan".to_owned(),
        protocol: protocol.to_owned(),
        address: "203.0.113.1".to_owned(),
        ports: outside..=outside,
        to: "10.1.0.2".to_owned(),
        to_port: inside,
    };
    let rules = vec![
        Rule::new("refused", Action::Reject).between("lan", "wan").services(&["tcp/23", "udp/23"]),
        Rule::new("dropped", Action::Drop).between("lan", "wan").services(&["tcp/25", "udp/25"]),
        Rule::new("out", Action::Accept).between("lan", "wan"),
        Rule::new("served", Action::Accept)
            .between("wan", "lan")
            .destination(&["10.1.0.2", "10.1.0.66"])
            .services(&["tcp/443", "udp/53"]),
    ];
    Policy {
        forwards: vec![forward("tcp", 8443, 443), forward("udp", 5353, 53)],
        statics: vec![StaticNat {
            on: "wan".to_owned(),
            external: "203.0.113.64/28".to_owned(),
            internal: "10.1.0.64/28".to_owned(),
        }],
        firewall: Some(Firewall { tcp_pickup, ..Firewall::of(rules) }),
        ..masquerade()
    }
}

/// What comes out of a forwarder, a packet a line.
fn transcript(forwarder: Forwarder, tcp_pickup: bool, seed: u32) -> Vec<String> {
    let lab = Lab::new("the_same_packets_come_out_the_same");
    let options = SiteOptions { policy: policy(tcp_pickup), ..SiteOptions::default() };
    let site = Site::with(&lab, forwarder, &options);
    for address in ["10.1.0.4/24", "10.1.0.9/24", "10.1.0.66/24"] {
        site.inside.run(&format!("ip address add {address} dev eth0"));
    }
    // The hosts answer ARP and neighbour discovery, and have no part in the rest.
    let mute = "table inet mute {
        chain in { type filter hook input priority raw
        icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
        drop
        }\n}";
    for host in [&site.inside, &site.outside] {
        host.run_words(&["nft", mute]);
    }
    let control = site.gateway.control();
    // Errors are many here, and meant.
    control.run("sysctl -qw net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0");
    let (seed, episodes) = (seed.to_string(), EPISODES.to_string());
    let script = lab.folder().join("differential.py");
    std::fs::write(&script, SCRIPT).expect("the lab's folder can be written");
    let said = site.inside.run_words(&[
        "/usr/bin/python3",
        &script.to_string_lossy(),
        &seed,
        &episodes,
        site.outside.namespace(),
        &control.mac("lan"),
        &control.mac("wan"),
    ]);
    let lines: Vec<_> = said.lines().map(str::to_owned).collect();
    assert_eq!(lines.last().map(String::as_str), Some("done"), "{said}");
    let file = lab.folder().join(format!("{forwarder:?}.txt"));
    std::fs::write(file, said).expect("the lab's folder can be written");
    lines
}

fn is_accepted(line: &str) -> bool {
    let Some((_, odd)) = line.split_once(" tcp_odd ") else { return false };
    ACCEPTED.iter().any(|(pattern, _)| {
        pattern.split(' ').zip(odd.split(' ')).all(|(pattern, word)| {
            match pattern.strip_prefix('!') {
                Some(other) => word != other,
                None => pattern == "*" || pattern.split('|').any(|it| it == word),
            }
        })
    })
}

#[test]
fn accepted_differences_are_told_from_others() {
    assert!(is_accepted("7 tcp_odd syn out RA at 0 1 4 in: tcp"));
    assert!(!is_accepted("7 tcp_odd syn out RA at 1 0 4 in: tcp"));
    assert!(!is_accepted("7 tcp_out syn out RA at 0 1 4 in: tcp"));
}

fn compare(tcp_pickup: bool, seed: u32) {
    let kernel = transcript(Forwarder::Kernel, tcp_pickup, seed);
    let gateway = transcript(Forwarder::Portcullis, tcp_pickup, seed);
    assert!(kernel.len() > 2 * EPISODES as usize, "little came out: {} packets", kernel.len());
    for lines in [&kernel, &gateway] {
        let wrong: Vec<_> = lines.iter().filter(|line| line.contains("WRONG")).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
    expect_equal(&kernel, &gateway);
}

fn expect_equal(kernel: &[String], other: &[String]) {
    let compared = |lines: &[String]| -> Vec<String> {
        let joined = |line: &str| joins_fragments() && line.contains(" fragments");
        lines.iter().filter(|line| !is_accepted(line) && !joined(line)).cloned().collect()
    };
    let (kernel, other) = (compared(kernel), compared(other));
    let only = |ours: &[String], others: &[String]| -> Vec<String> {
        ours.iter().filter(|line| !others.contains(line)).cloned().collect()
    };
    let (missing, more) = (only(&kernel, &other), only(&other, &kernel));
    assert!(
        missing.is_empty() && more.is_empty(),
        "only out of the kernel: {missing:#?}\nonly out of the other one: {more:#?}"
    );
    assert_eq!(kernel, other, "in another order, or another number of times");
}

#[test]
fn the_same_packets_come_out_the_same() {
    for seed in 1..=3 {
        compare(true, seed);
    }
}

#[test]
fn the_same_packets_come_out_the_same_where_nothing_is_taken_up_in_the_middle() {
    for seed in 4..=6 {
        compare(false, seed);
    }
}

/// That the comparison is one: the kernel with itself.
#[test]
fn the_kernel_is_its_own_equal() {
    expect_equal(&transcript(Forwarder::Kernel, true, 7), &transcript(Forwarder::Kernel, true, 7));
}
