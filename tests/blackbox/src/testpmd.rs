//! DPDK's testpmd on net_af_packet, to compare with.

use std::time::Duration;

use crate::command::Background;
use crate::forwarder::Port;
use crate::host::Host;
use crate::wait::wait_until;

/// A testpmd that forwards between two devices.
#[derive(Debug)]
pub(crate) struct Testpmd {
    running: Background,
}

impl Testpmd {
    /// Starts it; every frame leaves with the peer's MAC address, as a router's would.
    #[track_caller]
    pub(crate) fn start(host: &Host, ports: &[Port]) -> Self {
        // Memory in ordinary pages costs it a third of its speed, so only where there are no others.
        let memory = if free_huge_pages() >= 100 {
            "--in-memory"
        } else {
            "--no-huge --no-shconf --no-telemetry"
        };
        let line = format!("stdbuf -oL dpdk-testpmd --no-pci {memory} -m 128 -l 0,1");
        let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        for number in 0..ports.len() {
            let device = format!("eth{}", number + 1);
            host.run(&format!("ip link set {device} up"));
            words.push("--vdev".to_owned());
            words.push(format!("net_af_packet{number},iface={device},qdisc_bypass=1"));
        }
        words.extend(
            [
                "--",
                "--forward-mode=mac",
                "--auto-start",
                "--disable-link-check",
                "--total-num-mbufs=16384",
            ]
            .map(String::from),
        );
        for (number, port) in ports.iter().enumerate() {
            // It does not begin before all of its links are up.
            port.peer.run(&format!("ip link set {} up", port.peer_interface));
            let mac = port.peer.mac(&port.peer_interface);
            words.push(format!("--eth-peer={number},{mac}"));
        }
        let running = start(host, &words);
        wait_until("testpmd forwards", Duration::from_secs(20), || {
            running.log().contains("start packet forwarding") || running.log().contains("Press")
        });
        Self { running }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.running.pid()
    }
}

/// One that carries frames between pairs of devices of DPDK's, by their arguments, through so many queues.
///
/// It polls all the time, and must have its share of CPU time: what it leaves lying is lost.
#[track_caller]
pub(crate) fn between<'a>(
    host: &Host,
    pairs: impl IntoIterator<Item = [&'a str; 2]>,
    queues: usize,
) -> Background {
    let line = "dpdk-testpmd --no-pci --no-huge --no-shconf --no-telemetry -m 128 \
                --lcores 0@(0-1),1@(0-1)";
    let mut words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    // Its ports are pairs in this order.
    for device in pairs.into_iter().flatten() {
        words.extend(["--vdev".to_owned(), device.to_owned()]);
    }
    // What has come before it begins is not thrown away.
    let own = format!(
        "-- --forward-mode=io --auto-start --disable-link-check --no-flush-rx \
         --total-num-mbufs=8192 --rxq={queues} --txq={queues}"
    );
    words.extend(own.split_whitespace().map(str::to_owned));
    start(host, &words)
}

/// Without a terminal testpmd ends at the end of its input.
#[track_caller]
fn start(host: &Host, words: &[String]) -> Background {
    let quoted: Vec<_> = words.iter().map(|word| format!("'{word}'")).collect();
    let line = format!("exec {} < <(sleep 3600)", quoted.join(" "));
    host.start_words(&["bash", "-c", &line])
}

fn free_huge_pages() -> u32 {
    let file = "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages";
    let free = std::fs::read_to_string(file).ok();
    free.and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}
