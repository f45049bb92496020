//! What carries frames between the wires to the hosts and a gateway that is not on the wires' ends itself.

use std::time::Duration;

use crate::command::Background;
use crate::driver::{Driver, driver};
use crate::forwarder::{Forwarder, Plan, device};
use crate::host::{Host, link};
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
        let other = |number| match driver() {
            Driver::AfPacket | Driver::Dpdk => None,
            Driver::DpdkMemif => Some(memif(lab, number, "client")),
            Driver::DpdkTap => Some(tap(number)),
        };
        let wire = |(number, port)| {
            let device = device(Forwarder::Portcullis, number, port);
            Some(Wire { device, other: other(number)? })
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

    /// Ends what was for the last start of the gateway: a net_memif that lost its server does not look for the next. A tap goes
    /// when its process has ended, which may take longer than its parent's end.
    #[track_caller]
    pub(crate) fn stop(&mut self) {
        drop(self.running.take());
        if driver() == Driver::DpdkTap {
            wait_until("the taps of the last start are gone", Duration::from_secs(10), || {
                !self.wires.iter().any(|wire| self.has_tap(wire))
            });
        }
    }

    fn has_tap(&self, wire: &Wire) -> bool {
        let asked = format!("ip link show dev {}", wire.other);
        self.link.exists() && self.link.attempt(&asked).status.success()
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
            for (number, wire) in self.wires.iter().enumerate() {
                self.lead_to_tap(number, wire);
            }
            // To make wires is news.
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

    /// The names of those devices of the gateway's that have carrier as soon as it is at work.
    pub(crate) fn give_carrier(&self) -> Vec<String> {
        let is_given = driver() == Driver::DpdkMemif;
        let wires = self.wires.iter().filter(|_| is_given);
        wires.filter_map(|wire| wire.other.split(',').next().map(str::to_owned)).collect()
    }

    /// Joins a wire's end with a tap. Another wire leads from one namespace to the other.
    #[track_caller]
    fn lead_to_tap(&self, number: usize, wire: &Wire) {
        let joint = format!("joint{number}");
        let Wire { device, other, .. } = wire;
        wait_until("the gateway has made its tap", Duration::from_secs(20), || self.has_tap(wire));
        // It is still there if the namespace at its other end is.
        let _gone = self.host.attempt(&format!("ip link delete {joint}"));
        link((&self.host, &joint), (&self.link, &joint));
        for (host, end) in [(&self.host, device), (&self.link, other)] {
            host.run(&format!("ip link set {joint} mtu 65535 up"));
            join(host, end, &joint);
        }
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
