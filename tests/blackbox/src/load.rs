//! Traffic for benchmarks, by the program `portcullis-load`.

use std::time::Duration;

use serde_json::Value;

use crate::command::Background;
use crate::host::Host;
use crate::programs;
use crate::wait::wait_until;

/// What a burst of small frames came to.
#[derive(Clone, Copy, Debug)]
pub struct Flood {
    /// Frames sent per second.
    pub offered: f64,
    /// Frames that reached the other host per second.
    pub delivered: f64,
}

impl Flood {
    /// The share of frames that did not arrive, of 1.
    #[must_use]
    pub fn loss(&self) -> f64 {
        (1.0 - self.delivered / self.offered).max(0.0)
    }
}

/// Percentiles of UDP round trips, in microseconds.
#[derive(Clone, Copy, Debug)]
pub struct Latency {
    /// Half of the round trips were at least as fast.
    pub p50: f64,
    /// Nine in ten were.
    pub p90: f64,
    /// 99 in 100 were.
    pub p99: f64,
    /// 999 in 1000 were.
    pub p999: f64,
}

/// A host that discards floods, and sends other datagrams back.
#[derive(Debug)]
pub struct Target {
    host: Host,
    address: String,
    interface: String,
    _echo: Background,
}

impl Target {
    /// Makes a host a target. Floods are counted and dropped before its stack sees them.
    #[track_caller]
    #[must_use]
    pub fn new(host: &Host, interface: &str, address: &str) -> Self {
        let rules = format!(
            "table netdev flood {{ chain in {{ type filter hook ingress device {interface} \
             priority 0; udp dport 9 drop\n}}\n}}"
        );
        host.run_words(&["nft", &rules]);
        let program = programs::load();
        let echo = host.start_words(&[&program.to_string_lossy(), "echo", "7"]);
        wait_until("the echo server listens", Duration::from_secs(10), || {
            host.run("ss -Hlun sport = :7").contains(":7")
        });
        let (address, interface) = (address.to_owned(), interface.to_owned());
        Self { host: host.clone(), address, interface, _echo: echo }
    }

    /// Sends 60-byte frames to `mac` for some seconds; `rate` is in packets per second, 0 for as
    /// many as one core sends.
    #[track_caller]
    #[must_use]
    pub fn flood(&self, from: &Host, source: &str, mac: &str, seconds: f64, rate: u64) -> Flood {
        let program = programs::load();
        let before = self.host.statistic(&self.interface, "rx_packets");
        let (seconds, rate) = (seconds.to_string(), rate.to_string());
        let program = program.to_string_lossy();
        // The sender has a core of its own where there are two.
        let words = [
            "taskset",
            "-c",
            "0",
            &*program,
            "send",
            "eth0",
            mac,
            source,
            &self.address,
            &seconds,
            &rate,
        ];
        let said: Value = parse(&from.run_words(&words));
        // What is still in queues arrives.
        std::thread::sleep(Duration::from_millis(100));
        let received = self.host.statistic(&self.interface, "rx_packets") - before;
        let seconds = said["seconds"].as_f64().expect("a duration");
        Flood {
            offered: said["sent"].as_f64().expect("a number") / seconds,
            delivered: received as f64 / seconds,
        }
    }

    /// Measures round trips, one at a time.
    ///
    /// # Panics
    ///
    /// If more than one in a thousand is lost.
    #[track_caller]
    #[must_use]
    pub fn latency(&self, from: &Host, count: u32) -> Latency {
        let program = programs::load();
        let words = [&*program.to_string_lossy(), "ping", &self.address, "7", &count.to_string()];
        let said = parse(&from.run_words(&words));
        let lost = said["lost"].as_u64().expect("a number");
        assert!(lost <= u64::from(count) / 1000, "{lost} of {count} round trips were lost");
        let at = |name: &str| said[name].as_f64().expect("a number");
        Latency { p50: at("p50"), p90: at("p90"), p99: at("p99"), p999: at("p999") }
    }
}

#[track_caller]
fn parse(said: &str) -> Value {
    serde_json::from_str(said).unwrap_or_else(|error| panic!("{error}: {said}"))
}
