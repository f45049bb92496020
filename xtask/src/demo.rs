//! `cargo xtask demo`: a gateway with FRR beside it, two hosts and a BGP peer, in plain words.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use portcullis_blackbox::{
    Daemon, Forwarder, Frr, Gateway, Host, IperfServer, Lab, Plan, Port, Transport, interrupted,
    link, traceroute, unwind_on_interrupts,
};

use crate::packages;
use crate::run::{cargo, need_root, run as run_program};

const TOPOLOGY: &str = r"
                      namespace vpc                      FRR (AS 65002)
                   FRR (AS 65001) ◄──────── BGP ───────► announces
                   taps: lan, wan                        198.51.100.0/24
                         │
   ┌────────┐      ┌─────┴──────┐        ┌────────┐      ┌────────┐
   │ client ├──────┤ Portcullis ├────────┤  peer  ├──────┤ server │
   └────────┘  lan └────────────┘ wan    └────────┘      └────────┘
   10.1.0.2   10.1.0.1    203.0.113.1   203.0.113.2    198.51.100.80
   2001:db8:1::2           2001:db8:f::1   ::2          2001:db8:5::80
";

const GATEWAY_BGP: &str = "
    router bgp 65001
    bgp router-id 203.0.113.1
    no bgp ebgp-requires-policy
    no bgp default ipv4-unicast
    neighbor 203.0.113.2 remote-as 65002
    neighbor 203.0.113.2 timers connect 1
    neighbor 2001:db8:f::2 remote-as 65002
    neighbor 2001:db8:f::2 timers connect 1
    address-family ipv4 unicast
    neighbor 203.0.113.2 activate
    network 10.1.0.0/24
    exit-address-family
    address-family ipv6 unicast
    neighbor 2001:db8:f::2 activate
    network 2001:db8:1::/64
    exit-address-family
";

const PEER_BGP: &str = "
    router bgp 65002
    bgp router-id 203.0.113.2
    no bgp ebgp-requires-policy
    no bgp default ipv4-unicast
    neighbor 203.0.113.1 remote-as 65001
    neighbor 203.0.113.1 timers connect 1
    neighbor 2001:db8:f::1 remote-as 65001
    neighbor 2001:db8:f::1 timers connect 1
    address-family ipv4 unicast
    neighbor 203.0.113.1 activate
    network 198.51.100.0/24
    exit-address-family
    address-family ipv6 unicast
    neighbor 2001:db8:f::1 activate
    network 2001:db8:5::/64
    exit-address-family
";

pub(crate) fn run() -> Result<(), String> {
    need_root()?;
    packages::install(packages::LAB)?;
    say("Building the gateway (the first time takes a few minutes).");
    run_program(&cargo(), &["build", "--quiet", "--release", "-p", "portcullis"])?;

    unwind_on_interrupts();
    let shown = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !interrupted() {
            shown(panic);
        }
    }));
    let done = catch_unwind(AssertUnwindSafe(show));
    match done {
        Ok(()) => {
            println!("\nEverything has been taken away again: namespaces, devices, processes.");
            Ok(())
        }
        Err(_) if interrupted() => {
            Err("\nInterrupted; everything has been taken away again.".to_owned())
        }
        Err(_) => Err("\nThe demo failed, see above; it has been taken away again.".to_owned()),
    }
}

fn say(words: &str) {
    println!("\n\x1b[1m{words}\x1b[0m");
}

/// Runs a command in a host, and shows both.
fn tell(host: &Host, line: &str) {
    println!("{}$ {line}", host.name());
    for said in host.run(line).lines().filter(|said| !said.is_empty()) {
        println!("    {said}");
    }
}

fn show() {
    println!("{TOPOLOGY}");
    say("Laying out two hosts, a router that speaks BGP, and the gateway, each in a namespace.");
    let lab = Lab::quiet("demo");
    let (client, peer, server) = (lab.host("client"), lab.host("peer"), lab.host("server"));
    let ports = vec![
        Port::new("lan", &client, &["10.1.0.1/24", "2001:db8:1::1/64"]),
        Port::new("wan", &peer, &["203.0.113.1/24", "2001:db8:f::1/64"]),
    ];
    let plan = Plan { ports, release: true, ..Plan::default() };
    let mut gateway = Gateway::start(&lab, Forwarder::Portcullis, &plan);
    lay_out(&client, &peer, &server);
    println!("The gateway runs from this file:\n");
    let file = std::fs::read_to_string(gateway.portcullis().file()).unwrap_or_default();
    for line in file.lines().filter(|line| !line.is_empty()) {
        println!("    {line}");
    }

    say("Its threads, as read back from /proc. Nobody has more rights than his work takes.");
    println!("{}", gateway.portcullis().show_text("threads"));

    say("The client can't reach the server yet: nobody has told the gateway of its network.");
    println!("client$ ping -c 1 198.51.100.80");
    for error in client.ping("-c 1 -W 1", "198.51.100.80").errors {
        println!("    {error}");
    }

    say("FRR starts in the gateway's vpc namespace and in the peer; they speak BGP over the wire.");
    let frr = Frr::start(gateway.control(), &[Daemon::Bgp], GATEWAY_BGP);
    let _peer_frr = Frr::start(&peer, &[Daemon::Bgp], PEER_BGP);
    client.reaches_within(Duration::from_secs(60), "198.51.100.80");
    client.reaches_within(Duration::from_secs(60), "2001:db8:5::80");
    for command in ["show ip route bgp", "show ipv6 route bgp"] {
        println!("vtysh# {command}");
        for line in frr.ask(command).lines().filter(|line| line.starts_with('B')) {
            println!("    {line}");
        }
    }

    say("zebra gave the routes to the kernel, and the gateway took them from there:");
    println!("{}", gateway.portcullis().show_text("routes"));

    say("So now they reach each other.");
    tell(&client, "ping -n -c 3 -i 0.2 198.51.100.80");
    tell(&client, "ping -n -c 3 -i 0.2 2001:db8:5::80");
    println!("client$ traceroute -n 198.51.100.80");
    for (number, hop) in (1..).zip(traceroute(&client, "198.51.100.80")) {
        println!("    {number}  {}", hop.map_or("*".to_owned(), |hop| hop.to_string()));
    }

    say("One TCP connection through the gateway, three seconds each way:");
    let _server = IperfServer::start(&server);
    for (options, words) in [("", "client to server"), ("-R", "server to client")] {
        let stream = client.iperf("198.51.100.80", Transport::Tcp, 3, options);
        println!("    {words}: {:.2} Gbit/s", stream.bits_per_second / 1e9);
    }

    say("What has passed, and what was dropped and why:");
    println!("{}", gateway.portcullis().show_text("interfaces"));
    println!("{}", gateway.portcullis().show_text("drops"));

    say("The gateway is asked to stop; it gives its devices back to where they came from.");
    let status = gateway.portcullis().stop();
    println!("portcullis ended: {status}");
    tell(&gateway.host, "ip -br link");
}

fn lay_out(client: &Host, peer: &Host, server: &Host) {
    link((peer, "eth1"), (server, "eth0"));
    client.configure("eth0", &["10.1.0.2/24", "2001:db8:1::2/64"]);
    peer.configure("eth0", &["203.0.113.2/24", "2001:db8:f::2/64"]);
    peer.configure("eth1", &["198.51.100.1/24", "2001:db8:5::1/64"]);
    server.configure("eth0", &["198.51.100.80/24", "2001:db8:5::80/64"]);
    for (host, four, six) in
        [(client, "10.1.0.1", "2001:db8:1::1"), (server, "198.51.100.1", "2001:db8:5::1")]
    {
        host.run(&format!("ip route add default via {four}"));
        host.run(&format!("ip -6 route add default via {six}"));
    }
    peer.run("sysctl -qw net.ipv4.ip_forward=1");
    peer.run("sysctl -qw net.ipv6.conf.all.forwarding=1");
}
