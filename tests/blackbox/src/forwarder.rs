//! What forwards between the hosts: the gateway, or something to compare it with.

use crate::host::{Host, link};
use crate::lab::Lab;
use crate::policy::Policy;
use crate::portcullis::Portcullis;
use crate::testpmd::Testpmd;

/// Who forwards.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Forwarder {
    /// The Linux kernel, in a namespace of its own.
    Kernel,
    /// The `portcullis` command.
    Portcullis,
    /// DPDK's testpmd on net_af_packet: it swaps MAC addresses and routes nothing.
    Testpmd,
}

/// One interface of the forwarder, and the host at the other end of its wire.
#[derive(Clone, Debug)]
pub struct Port {
    /// Its name, everywhere.
    pub name: String,
    /// Who is at the other end.
    pub peer: Host,
    /// The peer's interface.
    pub peer_interface: String,
    /// The forwarder's addresses on it.
    pub addresses: Vec<String>,
    /// Its MTU, if not 1500.
    pub mtu: Option<u32>,
    /// What is asked of the source addresses of what comes in; nothing if not said.
    pub anti_spoofing: Option<AntiSpoofing>,
    /// Whether TCP's segments are made to fit the MTU.
    pub mss_clamp: bool,
    /// The device of DPDK's that it is on, by its arguments. One of the kernel's is made if it is to be
    /// on one (`net_af_packet0,iface=...`).
    pub dpdk: Option<String>,
}

/// What the source address of a packet must be like (RFC 3704).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AntiSpoofing {
    /// The way back to it leaves by the interface that the packet came in by.
    Strict,
    /// There is a way back to it.
    Loose,
}

impl Port {
    /// A port whose peer calls its own end `eth0`.
    #[must_use]
    pub fn new(name: &str, peer: &Host, addresses: &[&str]) -> Self {
        Self {
            name: name.to_owned(),
            peer: peer.clone(),
            peer_interface: "eth0".to_owned(),
            addresses: addresses.iter().map(|&address| address.to_owned()).collect(),
            mtu: None,
            anti_spoofing: None,
            mss_clamp: false,
            dpdk: None,
        }
    }

    /// The same port on a device of DPDK's instead of a wire.
    #[must_use]
    pub fn on_dpdk(mut self, arguments: &str) -> Self {
        self.dpdk = Some(arguments.to_owned());
        self
    }

    /// The same port with an MTU of its own, at both ends.
    #[must_use]
    pub fn with_mtu(mut self, mtu: u32) -> Self {
        self.mtu = Some(mtu);
        self
    }

    /// The same port with another name for the peer's end.
    #[must_use]
    pub fn towards(mut self, peer_interface: &str) -> Self {
        peer_interface.clone_into(&mut self.peer_interface);
        self
    }
}

/// What a forwarder is to be like.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Its interfaces.
    pub ports: Vec<Port>,
    /// Whether to run what was built for speed.
    pub release: bool,
    /// What it translates and lets through.
    pub policy: Policy,
    /// More of portcullis.toml.
    pub file: String,
    /// Lines of portcullis.toml's `[gateway]` table.
    pub gateway: String,
}

impl Plan {
    /// Whether any port is on a device of DPDK's, whatever the others are on.
    pub(crate) fn names_dpdk(&self) -> bool {
        self.ports.iter().any(|port| port.dpdk.is_some())
    }

    /// How many workers it asks for: one if it says nothing.
    pub(crate) fn workers(&self) -> usize {
        let said = self.gateway.lines().find_map(|line| line.strip_prefix("workers = "));
        said.and_then(|number| number.trim().parse().ok()).unwrap_or(1)
    }
}

/// A forwarder at work, with the veth pairs to its peers; the peers' ends are left to the caller.
#[derive(Debug)]
pub struct Gateway {
    /// Where the devices come from, and where the command is started.
    pub host: Host,
    control: Host,
    running: Running,
}

#[derive(Debug)]
enum Running {
    Kernel,
    Portcullis(Box<Portcullis>),
    Testpmd(Testpmd),
}

impl Gateway {
    /// Lays the wires and starts the forwarder; returns when it forwards.
    #[track_caller]
    #[must_use]
    pub fn start(lab: &Lab, forwarder: Forwarder, plan: &Plan) -> Self {
        let host = lab.host("gw");
        wires(&host, forwarder, plan);
        match forwarder {
            Forwarder::Kernel => {
                kernel(&host, plan);
                Self { control: host.clone(), host, running: Running::Kernel }
            }
            Forwarder::Portcullis => {
                let portcullis = Portcullis::start(lab, &host, plan);
                let control = portcullis.vpc.clone();
                Self { host, control, running: Running::Portcullis(Box::new(portcullis)) }
            }
            Forwarder::Testpmd => {
                let testpmd = Testpmd::start(&host, &plan.ports);
                Self { control: host.clone(), host, running: Running::Testpmd(testpmd) }
            }
        }
    }

    /// The namespace of addresses, routes and FRR: the gateway's `vpc`.
    #[must_use]
    pub fn control(&self) -> &Host {
        &self.control
    }

    /// The `portcullis` that runs.
    ///
    /// # Panics
    ///
    /// If something else forwards.
    #[track_caller]
    #[must_use]
    pub fn portcullis(&mut self) -> &mut Portcullis {
        match &mut self.running {
            Running::Portcullis(portcullis) => portcullis,
            Running::Kernel | Running::Testpmd(_) => panic!("not forwarded by portcullis"),
        }
    }

    /// Has it translate and let through something else, and returns when it does.
    ///
    /// # Panics
    ///
    /// If it refuses to.
    #[track_caller]
    pub fn change(&self, policy: &Policy) {
        match &self.running {
            Running::Kernel => policy.install(&self.host),
            Running::Portcullis(portcullis) => {
                let _said = portcullis.apply(&portcullis.file_with(policy)).success();
            }
            Running::Testpmd(_) => panic!("testpmd has no policy"),
        }
    }

    /// The rows of what Portcullis answers to `show WHAT --json`; other forwarders are not asked.
    #[track_caller]
    #[must_use]
    pub fn show(&self, what: &str) -> Option<Vec<serde_json::Value>> {
        match &self.running {
            Running::Portcullis(portcullis) => Some(portcullis.show(what)),
            Running::Kernel | Running::Testpmd(_) => None,
        }
    }

    /// What Portcullis says of one of its interfaces in `show interfaces`; null if it has none of this name.
    #[track_caller]
    #[must_use]
    pub fn interface(&self, name: &str) -> serde_json::Value {
        let rows = self.show("interfaces").unwrap_or_default();
        rows.into_iter().find(|row| row["name"] == name).unwrap_or_default()
    }

    /// Whether Portcullis has all its interfaces up, with carrier; of other forwarders that is not asked.
    #[track_caller]
    #[must_use]
    pub fn has_all_links(&self) -> bool {
        let rows = self.show("interfaces").unwrap_or_default();
        rows.iter().all(|row| row["carrier"] == true && row["admin_up"] == true)
    }

    /// How many packets Portcullis has dropped for a reason; none is known of other forwarders.
    #[track_caller]
    #[must_use]
    pub fn drops(&self, reason: &str) -> Option<u64> {
        match &self.running {
            Running::Portcullis(portcullis) => Some(portcullis.drops(reason)),
            Running::Kernel | Running::Testpmd(_) => None,
        }
    }

    /// The processes whose CPU time is the forwarder's own.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        match &self.running {
            Running::Portcullis(portcullis) => Some(portcullis.pid()),
            Running::Testpmd(testpmd) => Some(testpmd.pid()),
            Running::Kernel => None,
        }
    }
}

/// The name of a port's device before the gateway takes it.
pub(crate) fn device(forwarder: Forwarder, number: usize, port: &Port) -> String {
    match forwarder {
        // A kernel forwarder has no other place for the name.
        Forwarder::Kernel => port.name.clone(),
        Forwarder::Portcullis | Forwarder::Testpmd => format!("eth{}", number + 1),
    }
}

#[track_caller]
fn wires(host: &Host, forwarder: Forwarder, plan: &Plan) {
    for (number, port) in plan.ports.iter().enumerate() {
        let device = match &port.dpdk {
            None => device(forwarder, number, port),
            // net_tap's `iface` is one that it makes itself.
            Some(arguments) if !arguments.starts_with("net_af_") => continue,
            Some(arguments) => {
                match arguments.split(',').find_map(|it| it.strip_prefix("iface=")) {
                    Some(device) => device.to_owned(),
                    None => continue,
                }
            }
        };
        link((host, &device), (&port.peer, &port.peer_interface));
        if let Some(mtu) = port.mtu {
            port.peer.run(&format!("ip link set {} mtu {mtu}", port.peer_interface));
            host.run(&format!("ip link set {device} mtu {mtu}"));
        }
    }
}

#[track_caller]
fn kernel(host: &Host, plan: &Plan) {
    for setting in [
        "net.ipv4.ip_forward=1",
        "net.ipv6.conf.all.forwarding=1",
        "net.ipv4.fib_multipath_hash_policy=1",
        "net.ipv6.fib_multipath_hash_policy=1",
        "net.ipv4.conf.all.rp_filter=0",
    ] {
        host.run(&format!("sysctl -qw {setting}"));
    }
    for port in &plan.ports {
        let addresses: Vec<_> = port.addresses.iter().map(String::as_str).collect();
        host.configure(&port.name, &addresses);
    }
    port_checks(host, plan);
    if !plan.policy.is_empty() {
        plan.policy.install(host);
    }
}

/// What the gateway's interfaces do by themselves.
#[track_caller]
fn port_checks(host: &Host, plan: &Plan) {
    let (mut early, mut through) = (String::new(), String::new());
    for Port { name, anti_spoofing, mss_clamp, mtu, .. } in &plan.ports {
        // The reply to a neighbour's link-local address needs no route.
        let selection = format!("iifname {name} ip6 saddr != fe80::/10");
        match anti_spoofing {
            Some(AntiSpoofing::Strict) => {
                early +=
                    &format!("iifname {name} ip saddr != 0.0.0.0 fib saddr . iif oif 0 drop\n");
                early += &format!("{selection} fib saddr . iif oif 0 drop\n");
            }
            Some(AntiSpoofing::Loose) => {
                early += &format!("iifname {name} ip saddr != 0.0.0.0 fib saddr oif 0 drop\n");
                early += &format!("{selection} fib saddr oif 0 drop\n");
            }
            None => {}
        }
        if *mss_clamp {
            let mtu = mtu.unwrap_or(1500);
            for way in ["iifname", "oifname"] {
                for (family, headers) in [("ipv4", 40), ("ipv6", 60)] {
                    through += &format!(
                        "{way} {name} meta nfproto {family} tcp flags syn \
                         tcp option maxseg size set {}\n",
                        mtu - headers
                    );
                }
            }
        }
    }
    host.run_words(&[
        "nft",
        &format!(
            "table inet ports {{\nchain early {{\ntype filter hook prerouting priority raw\n{early}}}\n\
             chain through {{\ntype filter hook forward priority mangle\n{through}}}\n}}"
        ),
    ]);
}
