//! What carries frames between the wires to the hosts and a gateway that is not on the wires' ends itself.

use std::time::Duration;

use crate::command::Background;
use crate::driver::{Driver, driver};
use crate::forwarder::{Forwarder, Plan, device};
use crate::host::Host;
use crate::lab::Lab;
use crate::portcullis::socket_folder;
use crate::testpmd;
use crate::wait::wait_until;

/// The relay of one gateway.
#[derive(Debug)]
pub(crate) struct Relay {
    /// Where the wires end.
    host: Host,
    /// Where the gateway has its devices.
    link: Host,
    wires: Vec<Wire>,
    /// Queues of each of the gateway's devices.
    queues: usize,
    running: Option<Background>,
}

#[derive(Debug)]
struct Wire {
    /// The gateway's device, as its file names it.
    name: String,
    /// Its end here.
    device: String,
    /// What is joined with it: a device of DPDK's by its arguments, or one of the kernel's in `link`.
    other: String,
}

/// A device in shared memory, by its arguments for the process of this role.
pub(crate) fn memif(lab: &Lab, number: usize, role: &str) -> String {
    // A socket's path has 107 bytes at most. What is left of one here goes with the lab.
    let socket = socket_folder().join(format!("{}-memif{number}", lab.prefix()));
    format!("net_memif{number},role={role},socket={},socket-abstract=no", socket.display())
}

/// The kernel's end of a tap of the gateway's.
pub(crate) fn tap(number: usize) -> String {
    format!("dtap{number}")
}

impl Relay {
    /// One for the ports of a plan whose wires end in `host`. It does not run yet.
    pub(crate) fn new(lab: &Lab, host: &Host, link: &Host, plan: &Plan) -> Self {
        let wire = |(number, port)| {
            let (driver, other) = match driver() {
                Driver::AfPacket | Driver::Dpdk => return None,
                Driver::DpdkMemif => ("net_memif", memif(lab, number, "client")),
                Driver::DpdkTap => ("net_tap", tap(number)),
            };
            let device = device(Forwarder::Portcullis, number, port);
            Some(Wire { name: format!("{driver}{number}"), device, other })
        };
        let ports = plan.ports.iter().enumerate().filter(|(_, port)| port.dpdk.is_none());
        let wires = ports.filter_map(wire).collect();
        Self {
            host: host.clone(),
            link: link.clone(),
            wires,
            queues: plan.workers(),
            running: None,
        }
    }

    /// Ends what was for the last start of the gateway: a net_memif that lost its server does not look for the next.
    pub(crate) fn stop(&mut self) {
        drop(self.running.take());
    }

    /// Takes the part of the gateway's start at which its devices are made: taps are joined with the wires.
    #[track_caller]
    pub(crate) fn wait_for_devices(&mut self) {
        if self.wires.is_empty() {
            return;
        }
        self.host.run("sysctl -qw net.ipv6.conf.all.disable_ipv6=1");
        for Wire { device, .. } in &self.wires {
            self.host.run(&format!("ip link set {device} up"));
        }
        if driver() == Driver::DpdkTap {
            let running = self.follow_carriers();
            self.lead_to_taps();
            wait_until("carriers are followed", Duration::from_secs(5), || {
                !running.log().is_empty()
            });
            self.running = Some(running);
        }
    }

    /// Takes the part after the gateway's start: who shares memory with it comes.
    #[track_caller]
    pub(crate) fn follow(&mut self) {
        if driver() == Driver::DpdkMemif && !self.wires.is_empty() {
            self.running = Some(self.share());
        }
    }

    /// A process that shares memory with the gateway, and has taps that are joined with the wires: unlike packet sockets they
    /// leave fragments as they are, and get checksums and segments finished.
    #[track_caller]
    fn share(&self) -> Background {
        let own: Vec<_> = (0..self.wires.len())
            .map(|number| format!("net_tap{number},iface={}", tap(number)))
            .collect();
        let pairs = self.wires.iter().zip(&own).map(|(wire, own)| [wire.other.as_str(), own]);
        let running = testpmd::between(&self.host, pairs, self.queues);
        for (number, wire) in self.wires.iter().enumerate() {
            let tap = tap(number);
            wait_until("the tap is there", Duration::from_secs(20), || {
                self.host.attempt(&format!("ip link show dev {tap} up")).stdout.contains("UP")
            });
            // A process that waits for its turn must not lose what a link would have carried.
            self.host.run(&format!("ip link set {tap} txqueuelen 10000"));
            join(&self.host, &wire.device, &tap);
        }
        running
    }

    /// The names of those devices of the gateway's that have carrier once it is at work.
    #[track_caller]
    pub(crate) fn carriers(&self) -> Vec<String> {
        let has = |wire: &&Wire| match driver() {
            Driver::AfPacket | Driver::Dpdk => false,
            Driver::DpdkMemif => true,
            Driver::DpdkTap => {
                let shown = self.host.run(&format!("ip link show dev {}", wire.device));
                shown.contains("LOWER_UP")
            }
        };
        self.wires.iter().filter(has).map(|wire| wire.name.clone()).collect()
    }

    /// Makes the taps, before the gateway does, which then has these, and joins the wires with them: what it sends first must not be
    /// lost. Other wires lead from one namespace to the other. All of that goes with the namespace, or is still there.
    #[track_caller]
    fn lead_to_taps(&self) {
        wait_until("wires lead to the taps", Duration::from_secs(20), || {
            let links = self.link.attempt("ip -br link").stdout;
            let lies = |wire: &Wire| {
                links.lines().any(|line| line.starts_with(&wire.other)) || self.lay(wire)
            };
            self.link.exists() && self.wires.iter().all(lies)
        });
    }

    /// Says whether that could be done: the namespace may not be ready yet.
    fn lay(&self, Wire { device, other: tap, .. }: &Wire) -> bool {
        let joint = format!("to-{tap}");
        let is_done = |host: &Host, line: &str| host.attempt(line).status.success();
        let _gone = is_done(&self.host, &format!("ip link delete {joint}"));
        let wire = format!(
            "ip link add {joint} mtu 65535 type veth peer name {joint} mtu 65535 netns {}",
            self.link.namespace()
        );
        let up = format!("ip link set {joint} up");
        let is_laid = is_done(&self.host, &wire)
            && is_done(&self.host, &up)
            && is_done(&self.link, &up)
            && is_done(&self.link, &format!("ip tuntap add dev {tap} mode tap multi_queue"));
        if is_laid {
            join(&self.host, device, &joint);
            join(&self.link, tap, &joint);
        }
        is_laid
    }

    /// A tap has carrier whenever it is open; a wire has it if the host at its end is up.
    #[track_caller]
    fn follow_carriers(&self) -> Background {
        let mut words = vec!["bash", "-c", include_str!("carrier.sh"), "carrier.sh"];
        words.push(self.link.namespace());
        let pairs: Vec<_> =
            self.wires.iter().map(|wire| format!("{}={}", wire.device, wire.other)).collect();
        words.extend(pairs.iter().map(String::as_str));
        self.host.start_words(&words)
    }
}

/// Hands frames on between two devices of a host, by rules of its kernel that look at no addresses: a bridge would keep what is
/// for the address of a tap, which is its owner's.
#[track_caller]
pub fn join(host: &Host, one: &str, other: &str) {
    let chain = |from: &str, to: &str| {
        format!(
            "chain from-{from} {{\ntype filter hook ingress device {from} priority 0\nfwd to {to}\n}}\n"
        )
    };
    let (table, out, back) = (format!("netdev join-{one}"), chain(one, other), chain(other, one));
    // Whatever of that name is there goes.
    let rules = format!("table {table}\ndelete table {table}\ntable {table} {{\n{out}{back}}}");
    host.run_words(&["nft", &rules]);
}
