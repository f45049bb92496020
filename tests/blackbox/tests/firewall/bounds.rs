//! How long flows are remembered, how many of them, and what a restart does to them.

use std::time::Duration;

use portcullis_blackbox::{
    Dial, Firewall, Forwarder, Lab, NumberedStream, Outcome, Reflector, Site, SiteOptions,
    by_portcullis_as_by_the_kernel, wait_until,
};

use crate::{guarded, out, policy};

by_portcullis_as_by_the_kernel! {
    an_answer_that_comes_too_late_does_not_come_in,
}

fn site(lab: &Lab, forwarder: Forwarder, file: &str) -> Site {
    let options = SiteOptions {
        policy: policy(Firewall::of(vec![out()])),
        routed: true,
        file: file.to_owned(),
        ..SiteOptions::default()
    };
    Site::with(lab, forwarder, &options)
}

/// Whether a datagram from outside reaches port 4000 of the inside host.
fn arrives(site: &Site, word: &str) -> bool {
    let capture = portcullis_blackbox::Capture::start(&site.inside, "eth0", "udp port 4000");
    let mac = site.gateway.control().mac("wan");
    site.outside.scapy(&format!(
        "sendp(Ether(dst='{mac}')/IP(src='203.0.113.254', dst='10.1.0.2')/
      UDP(sport=7000, dport=4000)/Raw(b'{word}'), iface='eth0')"
    ));
    // What comes later shows that this has had its time.
    assert!(site.inside.reaches("203.0.113.254"));
    !capture.fields("udp.srcport == 7000", &["frame.number"]).is_empty()
}

fn an_answer_that_comes_too_late_does_not_come_in(forwarder: Forwarder) {
    let lab = Lab::new("an_answer_that_comes_too_late_does_not_come_in");
    let site = site(&lab, forwarder, "[timeouts]\nudp = 6\n");
    if forwarder == Forwarder::Kernel {
        for name in ["udp_timeout", "udp_timeout_stream"] {
            site.gateway.host.run(&format!("sysctl -qw net.netfilter.nf_conntrack_{name}=6"));
        }
    }
    let _outside = Reflector::start(&site.outside, "7000");
    let _seen = Dial::udp("203.0.113.254:7000").from("10.1.0.2:4000").seen(&site.inside);
    assert!(arrives(&site, "in time"));
    let is_known = || match site.gateway.show("flows") {
        Some(flows) => flows.iter().any(|flow| flow["source_port"] == 4000),
        None => site.gateway.host.run("conntrack -L -p udp").contains("sport=4000"),
    };
    assert!(is_known());
    wait_until("the flow is forgotten", Duration::from_secs(15), || !is_known());
    assert!(!arrives(&site, "too late"));
}

#[test]
fn one_source_cannot_take_all_flows() {
    let lab = Lab::new("one_source_cannot_take_all_flows");
    let site =
        site(&lab, Forwarder::Portcullis, "[limits]\nflows = 5000\nflows-per-source = 100\n");
    let _outside = Reflector::start(&site.outside, "7000");
    let mac = site.gateway.control().mac("lan");
    site.inside.scapy(&format!(
        "link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
link.bind(('eth0', 0))
base = Ether(dst='{mac}', src=get_if_hwaddr('eth0'))/IP(src='10.1.0.2', dst='203.0.113.254')
for port in range(2000):
    link.send(raw(base/UDP(sport=1024 + port, dport=9)))"
    ));
    let of = |source: &str| {
        let flows = site.gateway.show("flows").expect("a gateway");
        flows.iter().filter(|flow| flow["source"] == source).count()
    };
    wait_until("the first hundred are there", Duration::from_secs(5), || of("10.1.0.2") >= 90);
    assert!(of("10.1.0.2") <= 100, "{}", of("10.1.0.2"));
    let refused = Dial::udp("203.0.113.254:7000").patience(Duration::from_millis(700));
    assert!(!matches!(refused.by(&site.inside).outcome, Outcome::Seen(_)), "one more flow");
    let _seen = Dial::udp("203.0.113.254:7000").seen(&site.second);
}

#[test]
fn allowed_flows_go_on_after_a_restart() {
    let lab = Lab::new("allowed_flows_go_on_after_a_restart");
    let mut site = guarded(&lab, Forwarder::Portcullis, vec![out()]);
    let _outside = Reflector::start(&site.outside, "7000");
    let to = "203.0.113.254";
    let stream = NumberedStream::start(&site.inside, to, (&site.outside, to), 7001);
    // A connection in which something is said after the gateway has forgotten it.
    let client = site.inside.start_words(&[
        "/usr/bin/python3",
        "-c",
        "
import socket, time
link = socket.create_connection(('203.0.113.254', 7000), timeout=20)
while b'\\n' not in link.recv(100):
    pass
while True:
    link.sendall(b'x')
    assert link.recv(1) == b'x'
    print('answered', flush=True)
    time.sleep(0.1)
",
    ]);
    let answered = || client.log().matches("answered").count();
    wait_until("the connection is there", Duration::from_secs(10), || answered() > 2);
    stream.until_more_arrive(10);
    let portcullis = site.gateway.portcullis();
    assert!(portcullis.stop().success());
    portcullis.start_again();
    stream.until_more_arrive(20);
    let before = answered();
    wait_until("the connection goes on", Duration::from_secs(15), || answered() > before + 3);
}
