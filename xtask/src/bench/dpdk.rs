//! On DPDK's virtual ports: this gateway, testpmd and DPDK's l3fwd.
//!
//! All receive the same packets from net_pcap, which hands copies of a file's frames out without end, and send to net_null,
//! which takes all. What came out is read from the counters: of DPDK's programs by their telemetry.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use portcullis_blackbox::{Background, Forwarder, Gateway, Host, Lab, Plan, Port, wait_until};

use super::table::Table;
use super::{alternate, median};
use crate::run::{output, root, run as run_program};

/// Networks of 256 addresses that are routed.
const ROUTES: u32 = 20_000;

/// Frames in the file, to random addresses of these networks.
const FRAMES: u32 = 4096;

/// How long is measured.
const MEASURED: Duration = Duration::from_secs(3);

/// net_pcap's address.
const MAC: &str = "02:70:63:61:70:00";

/// MiB of memory.
const MEMORY: u32 = 512;

/// Somebody who forwards, and the CPUs that it has.
#[derive(Clone, Copy)]
enum Contender {
    /// testpmd, which does nothing with frames (`io`), or swaps addresses (`macswap`).
    Testpmd(&'static str),
    L3fwd,
    /// On these CPUs, with so many threads.
    Portcullis(&'static str, u8),
}

const CONTENDERS: [(&str, Contender); 6] = [
    ("testpmd io, CPU 1", Contender::Testpmd("io")),
    ("testpmd macswap, CPU 1", Contender::Testpmd("macswap")),
    ("l3fwd (LPM), CPU 1", Contender::L3fwd),
    ("portcullis, one thread on CPU 1", Contender::Portcullis("1", 1)),
    ("portcullis, both threads on CPU 1", Contender::Portcullis("1", 2)),
    ("portcullis, I/O on one CPU and pipeline on the other", Contender::Portcullis("0-1", 2)),
];

/// Alternates between all of them, and puts them side by side.
pub(crate) fn run(rounds: usize) -> Result<String, String> {
    let l3fwd = l3fwd()?;
    let results = alternate(
        "on DPDK",
        rounds,
        &CONTENDERS,
        |(name, _)| name,
        |(_, contender)| measure(*contender, &l3fwd),
    )?;
    Ok(report(rounds, &results))
}

/// l3fwd of Debian's dpdk-doc, for devices without checksum offload and for more routes than it comes with.
fn l3fwd() -> Result<PathBuf, String> {
    let folder = root().join("target/l3fwd");
    let place = folder.to_string_lossy().into_owned();
    run_program("rm", &["-rf", &place])?;
    run_program("cp", &["-r", "/usr/share/dpdk/examples/l3fwd", &place])?;
    let edit = |file: &str, edit: &str| {
        run_program("sed", &["-i", edit, &folder.join(file).to_string_lossy()])
    };
    edit("main.c", "s/RTE_ETH_RX_OFFLOAD_CHECKSUM/0/")?;
    edit("l3fwd_lpm.c", "s/MAX_RULES         1024/MAX_RULES 65536/")?;
    let flags = "CFLAGS=-O3 -march=native -I/usr/share/dpdk/examples/common";
    let arguments = ["-s", "-C", &place, "shared", &format!("{flags} {}", dpdk_flags()?)];
    run_program("make", &arguments)?;
    let rules: String =
        (0..ROUTES).map(|n| format!("R20.{}.{}.0/24 1\n", n >> 8, n & 255)).collect();
    std::fs::write(folder.join("rules"), rules).map_err(|error| error.to_string())?;
    Ok(folder)
}

fn dpdk_flags() -> Result<String, String> {
    let flags = output("pkg-config", &["--cflags", "libdpdk"])?;
    Ok(format!("{} -DALLOW_EXPERIMENTAL_API", flags.trim().replace("-march=corei7", "")))
}

/// Packets per second.
fn measure(contender: Contender, l3fwd: &Path) -> f64 {
    let lab = Lab::quiet("bench-dpdk");
    let host = lab.host("traffic");
    let file = lab.folder().join("frames.pcap");
    frames(&host, &file);
    let from = format!("net_pcap0,rx_pcap={},infinite_rx=1", file.display());
    match contender {
        Contender::Portcullis(cpus, threads) => portcullis(&lab, &host, &from, (cpus, threads)),
        Contender::Testpmd(mode) => {
            let own = format!("--forward-mode={mode} --auto-start --total-num-mbufs=16384");
            peer(&lab, &host, "dpdk-testpmd", "0@0,1@1", &from, &own)
        }
        Contender::L3fwd => {
            let program = l3fwd.join("build/l3fwd-shared");
            let own = format!(
                "-p 0x3 -P --lookup=lpm --rule_ipv4={0}/rules --rule_ipv6={0}/lpm_default_v6.cfg \
                 --config=(0,0,0) --parse-ptype",
                l3fwd.display()
            );
            peer(&lab, &host, &program.to_string_lossy(), "0@1", &from, &own)
        }
    }
}

fn frames(host: &Host, file: &Path) {
    host.scapy(&format!(
        "import random
random.seed(1)
def frame(at):
    to = random.randrange({ROUTES})
    dst = '20.%d.%d.%d' % (to >> 8, to & 255, random.randrange(1, 255))
    ip = IP(src='10.0.1.2', dst=dst, id=at)/UDP(sport=1024 + at % 1000, dport=9)
    return raw(Ether(src='02:00:00:00:00:01', dst='{MAC}')/ip/(b'x' * 18))
wrpcap('{}', [frame(at) for at in range({FRAMES})], linktype=1)",
        file.display()
    ));
}

/// One of DPDK's own programs.
fn peer(lab: &Lab, host: &Host, program: &str, lcores: &str, from: &str, own: &str) -> f64 {
    let prefix = lab.prefix();
    let pages = lab.folder().join("pages");
    std::fs::create_dir(&pages).expect("the lab's folder can be written");
    // Telemetry needs files, and so a mounted hugetlbfs: the mount is the process's own and goes with it.
    let start = format!(
        "mount -t hugetlbfs none {folder} && exec {program} --no-pci --huge-dir {folder} --huge-unlink \
         --file-prefix {prefix} --lcores {lcores} -m {MEMORY} --vdev {from} --vdev net_null0,no-rx=1 -- \
         {own} < <(sleep 3600)",
        own = own.replace('(', "'(").replace(')', ")'"),
        folder = pages.display(),
    );
    let mut running = host.start_words(&["unshare", "-m", "bash", "-c", &start]);
    let socket = format!("/var/run/dpdk/{prefix}/dpdk_telemetry.v2");
    let sent = || -> Option<u64> {
        let asked = host.attempt_words(&["/usr/bin/python3", "-c", ASK, &socket]);
        asked.stdout.trim().parse().ok()
    };
    wait_until("it forwards", Duration::from_secs(30), || {
        assert!(running.ended().is_none(), "it ended:\n{}", running.log());
        sent().is_some_and(|sent| sent > 0)
    });
    let rate = rate(|| sent().unwrap_or(0));
    drop::<Background>(running);
    let _left = std::fs::remove_dir_all(format!("/var/run/dpdk/{prefix}"));
    rate
}

/// Asks a program of DPDK's how many frames its second port has sent.
const ASK: &str = "import json, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.connect(sys.argv[1])
s.recv(4096)
s.send(b'/ethdev/stats,1')
print(json.loads(s.recv(65536))['/ethdev/stats']['opackets'])";

fn portcullis(lab: &Lab, host: &Host, from: &str, (cpus, threads): (&str, u8)) -> f64 {
    let next_hop = |n: u32| format!("10.0.2.{}", 2 + n % 200);
    let route = |n: u32| {
        format!("[[route]]\nto = \"20.{}.{}.0/24\"\nvia = [\"{}\"]\n", n >> 8, n & 255, next_hop(n))
    };
    let routes: String = (0..ROUTES).map(route).collect();
    let plan = Plan {
        ports: vec![
            Port::new("in", host, &["10.0.1.1/24"]).on_dpdk(from),
            Port::new("out", host, &["10.0.2.1/24"]).on_dpdk("net_null0,no-rx=1"),
        ],
        release: true,
        gateway: format!("cpus = \"{cpus}\"\nworkers = 1\nthreads-per-worker = {threads}"),
        file: format!("[dpdk]\nhugepages = true\nmemory = {MEMORY}\n{routes}"),
        ..Plan::default()
    };
    let gateway = Gateway::start(lab, Forwarder::Portcullis, &plan);
    let vpc = gateway.control();
    wait_until("both interfaces are up", Duration::from_secs(20), || {
        gateway.has_all_links()
            && vpc.run("ip -4 route show table main").lines().count() as u32 > ROUTES
    });
    for n in 0..200 {
        let to = next_hop(n);
        vpc.run(&format!(
            "ip neigh replace {to} lladdr 02:00:00:00:01:{n:02x} dev out nud permanent"
        ));
    }
    let dropped = || -> u64 {
        let drops = gateway.show("drops").unwrap_or_default();
        drops.iter().filter_map(|row| row["packets"].as_u64()).sum()
    };
    wait_until("nothing is dropped any more", Duration::from_secs(60), || {
        let before = dropped();
        std::thread::sleep(Duration::from_millis(500));
        dropped() == before
    });
    rate(|| gateway.interface("out")["tx_packets"].as_u64().unwrap_or(0))
}

fn rate(sent: impl Fn() -> u64) -> f64 {
    let (begin, before) = (Instant::now(), sent());
    std::thread::sleep(MEASURED);
    let after = sent();
    after.saturating_sub(before) as f64 / begin.elapsed().as_secs_f64()
}

fn report(rounds: usize, results: &[Vec<f64>]) -> String {
    let mut table = Table::new(&["on DPDK, 60-byte frames", "Mpps", "ns per packet", "of l3fwd"]);
    let medians: Vec<f64> = results.iter().map(|rates| median(rates)).collect();
    let is_l3fwd = |(_, contender): &&(&str, Contender)| matches!(contender, Contender::L3fwd);
    let l3fwd = CONTENDERS.iter().zip(&medians).find(|(contender, _)| is_l3fwd(contender));
    let l3fwd = l3fwd.map_or(f64::NAN, |(_, median)| *median);
    for ((name, _), rate) in CONTENDERS.iter().zip(medians) {
        table.row(vec![
            (*name).to_owned(),
            format!("{:.1}", rate / 1e6),
            format!("{:.1}", 1e9 / rate),
            format!("{:.2}", rate / l3fwd),
        ]);
    }
    table.text()
        + &format!(
            "Medians of {rounds} alternating rounds; net_pcap in, net_null out; {ROUTES} routes, {FRAMES} frames to \
             random addresses of theirs; huge pages.\n\n"
        )
}
