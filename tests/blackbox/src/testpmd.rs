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
        let mut words = vec![
            "dpdk-testpmd".to_owned(),
            "--no-pci".to_owned(),
            "--in-memory".to_owned(),
            "--no-huge".to_owned(),
            "-m".to_owned(),
            "512".to_owned(),
            "-l".to_owned(),
            "0,1".to_owned(),
        ];
        for number in 0..ports.len() {
            let device = format!("eth{}", number + 1);
            host.run(&format!("ip link set {device} up"));
            words.push("--vdev".to_owned());
            words.push(format!("net_af_packet{number},iface={device},qdisc_bypass=1"));
        }
        words.extend(["--", "--forward-mode=mac", "--auto-start"].map(String::from));
        for (number, port) in ports.iter().enumerate() {
            let mac = port.peer.mac(&port.peer_interface);
            words.push(format!("--eth-peer={number},{mac}"));
        }
        // Without a terminal testpmd ends at the end of its input.
        let line = words.join(" ");
        let running = host.start_words(&["bash", "-c", &format!("exec {line} < <(sleep 3600)")]);
        wait_until("testpmd forwards", Duration::from_secs(20), || {
            running.log().contains("start packet forwarding") || running.log().contains("Press")
        });
        Self { running }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.running.pid()
    }
}
