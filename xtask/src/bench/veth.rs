//! Through veth pairs: this gateway, the kernel's own forwarding, and DPDK's testpmd.

use portcullis_blackbox::{Forwarder, IperfServer, Lab, Pair, PairOptions, Target, Transport};

use super::table::Table;
use super::{alternate, median};
use crate::run::{cargo, run as run_program};

/// What one round found of one forwarder.
struct Round {
    /// Frames delivered per second when one core sends as many as it can.
    most: f64,
    /// Those offered meanwhile.
    offered: f64,
    /// The share that was lost.
    most_loss: f64,
    /// The share lost at [`STEADY`] packets per second.
    steady_loss: f64,
    /// Round trips in microseconds: median, 99 and 99.9 in 100.
    latency: [f64; 3],
    /// TCP with the hosts' offloads on, in bits per second; testpmd can't.
    tcp: Option<f64>,
    /// The same with offloads off.
    tcp_plain: f64,
}

/// Packets per second that every forwarder is expected to carry.
const STEADY: u64 = 50_000;

/// Somebody who forwards.
struct Contender {
    forwarder: Forwarder,
    /// Its name in the table.
    name: &'static str,
    /// Lines of portcullis.toml's `[gateway]` table.
    gateway: &'static str,
    /// Firewall and masquerade.
    nat: bool,
}

/// Those that are compared. The sender is bound to CPU 0, testpmd to CPU 1; the kernel forwards on whatever CPU the
/// sender is on.
const CONTENDERS: [Contender; 6] = {
    const ON_ONE: &str = "cpus = \"1\"";
    const fn new(
        forwarder: Forwarder,
        name: &'static str,
        gateway: &'static str,
        nat: bool,
    ) -> Contender {
        Contender { forwarder, name, gateway, nat }
    }
    [
        new(Forwarder::Portcullis, "portcullis, on CPU 1", ON_ONE, false),
        new(Forwarder::Portcullis, "portcullis, firewall + masquerade, on CPU 1", ON_ONE, true),
        new(Forwarder::Portcullis, "portcullis, on CPUs 0 and 1", "", false),
        new(Forwarder::Kernel, "kernel", "", false),
        new(Forwarder::Kernel, "kernel, nftables firewall + masquerade", "", true),
        new(Forwarder::Testpmd, "testpmd, net_af_packet, on CPU 1", "", false),
    ]
};

/// What makes the gateway a firewall that masquerades.
const NAT: &str = r#"
[[nat.masquerade]]
source = ["10.1.0.0/24"]
out = "wan"
[firewall]
[[firewall.rule]]
name = "out"
from = "lan"
to = "wan"
action = "accept"
[[firewall.rule]]
name = "ping"
service = ["icmp"]
action = "accept"
"#;

/// The same for the kernel.
const NFT: &str = "table ip pc { \
    chain post { type nat hook postrouting priority 100; oifname wan masquerade; }; \
    chain forward { type filter hook forward priority 0; policy drop; \
        ct state established,related accept; iifname lan accept; ip protocol icmp accept; }; }";

/// Alternates between all of them, and puts them side by side.
pub(crate) fn run(rounds: usize) -> Result<String, String> {
    run_program(&cargo(), &["build", "--quiet", "--release", "-p", "portcullis"])?;
    let results =
        alternate("through veth", rounds, &CONTENDERS, |contender| contender.name, measure)?;
    Ok(report(rounds, &results))
}

fn measure(contender: &Contender) -> Round {
    let &Contender { forwarder, gateway, nat, .. } = contender;
    let lab = Lab::quiet("bench");
    let file = if nat && forwarder == Forwarder::Portcullis { NAT } else { "" };
    let options = PairOptions {
        release: true,
        gateway: gateway.to_owned(),
        file: file.to_owned(),
        ..PairOptions::default()
    };
    let pair = Pair::with(&lab, forwarder, &options);
    if nat && forwarder == Forwarder::Kernel {
        pair.gateway.control().run_words(&["nft", NFT]);
    }
    let target = Target::new(&pair.far, "eth0", "10.2.0.2");
    let mac = match forwarder {
        Forwarder::Testpmd => "02:00:00:00:00:01".to_owned(),
        Forwarder::Kernel | Forwarder::Portcullis => pair.gateway.control().mac("lan"),
    };
    let flood = |rate| target.flood(&pair.near, "10.1.0.2", &mac, 2.0, rate);
    let (most, steady) = (flood(0), flood(STEADY));
    let latency = target.latency(&pair.near, 10_000);

    let _server = IperfServer::start(&pair.far);
    let stream = || pair.near.iperf("10.2.0.2", Transport::Tcp, 2, "").bits_per_second;
    let tcp = (forwarder != Forwarder::Testpmd).then(stream);
    for host in [&pair.near, &pair.far] {
        host.run("ethtool -K eth0 tx off sg off tso off gso off gro off");
    }
    Round {
        most: most.delivered,
        offered: most.offered,
        most_loss: most.loss(),
        steady_loss: steady.loss(),
        latency: [latency.p50, latency.p99, latency.p999],
        tcp,
        tcp_plain: stream(),
    }
}

fn report(rounds: usize, results: &[Vec<Round>]) -> String {
    let mut table = Table::new(&[
        "through veth, 60-byte frames",
        "Mpps",
        "offered",
        "lost",
        "lost at 50 kpps",
        "p50 us",
        "p99 us",
        "p99.9 us",
        "TCP Gbit/s",
        "offloads off",
    ]);
    for (Contender { name, .. }, rounds) in CONTENDERS.iter().zip(results) {
        let of =
            |pick: &dyn Fn(&Round) -> f64| median(&rounds.iter().map(pick).collect::<Vec<_>>());
        let tcp: Vec<f64> = rounds.iter().filter_map(|round| round.tcp).collect();
        let mut cells = vec![
            (*name).to_owned(),
            format!("{:.3}", of(&|round| round.most) / 1e6),
            format!("{:.3}", of(&|round| round.offered) / 1e6),
            format!("{:.1} %", of(&|round| round.most_loss) * 100.0),
            format!("{:.2} %", of(&|round| round.steady_loss) * 100.0),
        ];
        cells.extend((0..3).map(|at| {
            format!("{:.0}", of(&|round| round.latency.get(at).copied().unwrap_or(f64::NAN)))
        }));
        cells.push(match tcp.is_empty() {
            true => "no connection".to_owned(),
            false => format!("{:.2}", median(&tcp) / 1e9),
        });
        cells.push(format!("{:.2}", of(&|round| round.tcp_plain) / 1e9));
        table.row(cells);
    }
    let notes = format!(
        "Medians of {rounds} alternating rounds; the sender is bound to CPU 0; latency is a UDP \
         round trip, two ways through the forwarder; testpmd swaps MAC addresses and routes \
         nothing.\n\n"
    );
    table.text() + &notes
}
