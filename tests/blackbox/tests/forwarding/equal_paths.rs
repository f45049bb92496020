//! Several equal next hops for one prefix.

use std::collections::BTreeMap;
use std::time::Duration;

use portcullis_blackbox::{
    Capture, Forwarder, Gateway, Host, Lab, Plan, Port, by_portcullis_as_by_the_kernel, wait_until,
};

by_portcullis_as_by_the_kernel! {
    flows_spread_over_equal_next_hops_and_each_stays_on_one,
    a_heavier_next_hop_carries_more_flows,
    only_the_flows_of_a_member_that_leaves_are_moved,
}

/// Enough flows that chance does not upset the shares.
const FLOWS: usize = 240;

/// A sender behind the forwarder, and three routers that all hold 10.9.0.1.
struct Fan {
    sender: Host,
    routers: Vec<Host>,
    gateway: Gateway,
    captures: Vec<Capture>,
}

impl Fan {
    fn new(lab: &Lab, forwarder: Forwarder) -> Self {
        let sender = lab.host("sender");
        let routers: Vec<_> = (1..=3).map(|number| lab.host(&format!("router{number}"))).collect();
        let mut ports = vec![Port::new("lan", &sender, &["10.1.0.1/24"])];
        for (number, router) in (1..).zip(&routers) {
            let address = format!("10.3.{number}.1/24");
            ports.push(Port::new(&format!("wan{number}"), router, &[&address]));
        }
        let gateway = Gateway::start(lab, forwarder, &Plan { ports, ..Plan::default() });
        sender.configure("eth0", &["10.1.0.2/24"]);
        sender.run("ip route add default via 10.1.0.1");
        for (number, router) in (1..).zip(&routers) {
            router.configure("eth0", &[&format!("10.3.{number}.2/24")]);
            router.run(&format!("ip route add default via 10.3.{number}.1"));
            router.run("ip addr add 10.9.0.1/32 dev lo");
            sender.reaches_within(Duration::from_secs(10), &format!("10.3.{number}.2"));
        }
        let captures =
            routers.iter().map(|router| Capture::start(router, "eth0", "udp port 9")).collect();
        Self { sender, routers, gateway, captures }
    }

    /// Waits until the forwarder has a way to all of the routers together.
    fn until_routed(&self) {
        self.sender.reaches_within(Duration::from_secs(5), "10.9.0.1");
    }

    /// Sends two packets of each flow, and says which router got which flow.
    ///
    /// # Panics
    ///
    /// If a flow comes to two routers, or to none.
    fn send(&mut self) -> BTreeMap<String, usize> {
        self.captures = self
            .routers
            .iter()
            .map(|router| Capture::start(router, "eth0", "udp port 9"))
            .collect();
        let script = format!(
            "import socket, time\n\
             for round in range(2):\n\
             \x20   for port in range({FLOWS}):\n\
             \x20       s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
             \x20       s.bind(('10.1.0.2', 20000 + port))\n\
             \x20       s.sendto(b'flow', ('10.9.0.1', 9))\n\
             \x20       time.sleep(0.0002)\n"
        );
        self.sender.run_words(&["/usr/bin/python3", "-c", &script]);
        let mut seen = BTreeMap::new();
        wait_until("every packet arrives", Duration::from_secs(10), || {
            let rows = self.captures.iter().map(|capture| {
                capture.fields("udp.dstport == 9 && ip.src == 10.1.0.2 && !icmp", &["udp.srcport"])
            });
            let rows: Vec<_> = rows.collect();
            if rows.iter().map(Vec::len).sum::<usize>() < 2 * FLOWS {
                return false;
            }
            for (router, rows) in rows.iter().enumerate() {
                for port in rows.iter().flatten() {
                    let other = seen.insert(port.clone(), router);
                    assert!(other.is_none_or(|other| other == router), "flow {port} moved");
                }
            }
            true
        });
        assert_eq!(seen.len(), FLOWS);
        seen
    }
}

fn share(flows: &BTreeMap<String, usize>, router: usize) -> usize {
    flows.values().filter(|&&other| other == router).count()
}

fn flows_spread_over_equal_next_hops_and_each_stays_on_one(forwarder: Forwarder) {
    let lab = Lab::quiet("flows_spread_over_equal_next_hops_and_each_stays_on_one");
    let mut fan = Fan::new(&lab, forwarder);
    fan.gateway.control().run(
        "ip route add 10.9.0.1/32 nexthop via 10.3.1.2 nexthop via 10.3.2.2 nexthop via 10.3.3.2",
    );
    fan.until_routed();
    let flows = fan.send();
    for router in 0..3 {
        let share = share(&flows, router);
        assert!((FLOWS / 5..FLOWS / 2).contains(&share), "{share} of {FLOWS} to one of three");
    }
}

fn a_heavier_next_hop_carries_more_flows(forwarder: Forwarder) {
    let lab = Lab::quiet("a_heavier_next_hop_carries_more_flows");
    let mut fan = Fan::new(&lab, forwarder);
    fan.gateway
        .control()
        .run("ip route add 10.9.0.1/32 nexthop via 10.3.1.2 weight 3 nexthop via 10.3.2.2");
    fan.until_routed();
    let share = share(&fan.send(), 0);
    assert!((FLOWS * 6 / 10..FLOWS * 9 / 10).contains(&share), "{share} of {FLOWS} at weight 3:1");
}

fn only_the_flows_of_a_member_that_leaves_are_moved(forwarder: Forwarder) {
    let lab = Lab::quiet("only_the_flows_of_a_member_that_leaves_are_moved");
    let mut fan = Fan::new(&lab, forwarder);
    let control = fan.gateway.control().clone();
    for number in 1..=3 {
        control.run(&format!("ip nexthop add id {number} via 10.3.{number}.2 dev wan{number}"));
    }
    control.run("ip nexthop add id 10 group 1/2/3 type resilient buckets 128 idle_timer 0");
    control.run("ip route add 10.9.0.1/32 nhid 10");
    fan.until_routed();
    let before = fan.send();
    control.run("ip nexthop replace id 10 group 1/3 type resilient buckets 128 idle_timer 0");
    wait_until("the second router gets nothing", Duration::from_secs(5), || {
        share(&fan.send(), 1) == 0
    });
    let after = fan.send();
    let moved = before.iter().filter(|(flow, router)| **router != 1 && after[*flow] != **router);
    assert_eq!(moved.count(), 0, "flows of the remaining members moved");
    assert!(share(&after, 0) > share(&before, 0) && share(&after, 2) > share(&before, 2));
}
