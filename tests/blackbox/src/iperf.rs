//! TCP and UDP throughput by iperf3.

use std::time::Duration;

use serde_json::Value;

use crate::command::Background;
use crate::host::Host;
use crate::wait::wait_until;

/// What carries the bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transport {
    /// One TCP connection as fast as it goes.
    Tcp,
    /// UDP at a given rate, in Mbit/s.
    Udp(u32),
}

/// What a transfer achieved.
#[derive(Clone, Copy, Debug)]
pub struct Iperf {
    /// What the receiver got, in bits per second.
    pub bits_per_second: f64,
    /// Segments sent again (TCP).
    pub retransmits: u64,
    /// The share of datagrams that did not arrive (UDP), of 1.
    pub loss: f64,
}

/// A server that is listening; it ends when dropped.
#[derive(Debug)]
pub struct IperfServer {
    server: Background,
}

impl IperfServer {
    /// Starts a server on iperf3's own port.
    #[track_caller]
    #[must_use]
    pub fn start(host: &Host) -> Self {
        let server = host.start("iperf3 -s");
        wait_until("iperf3 listens", Duration::from_secs(10), || {
            host.run("ss -Hltn sport = :5201").contains("5201")
        });
        Self { server }
    }

    /// All that the server said.
    #[must_use]
    pub fn log(&self) -> String {
        self.server.log()
    }
}

impl Host {
    /// Sends to a server (or, with `-R` among the options, receives from it) for some seconds.
    ///
    /// # Panics
    ///
    /// If the transfer fails.
    #[track_caller]
    #[must_use]
    pub fn iperf(&self, server: &str, how: Transport, seconds: u32, options: &str) -> Iperf {
        let transport = match how {
            Transport::Tcp => String::new(),
            Transport::Udp(megabits) => format!("-u -b {megabits}M"),
        };
        let line = format!(
            "iperf3 -J -c {server} -t {seconds} --connect-timeout 5000 {transport} {options}"
        );
        let mut finished = self.attempt(&line);
        // The transfer before this one ends at the client first.
        wait_until(
            "iperf3's server is done with another transfer",
            Duration::from_secs(10),
            || {
                let is_refused = finished.stdout.contains("the server is busy");
                if is_refused {
                    finished = self.attempt(&line);
                }
                !is_refused
            },
        );
        let said = finished.success();
        let report: Value = serde_json::from_str(&said).expect("iperf3 -J speaks JSON");
        let end = &report["end"];
        let received = match how {
            Transport::Tcp => &end["sum_received"],
            Transport::Udp(_) => &end["sum"],
        };
        Iperf {
            bits_per_second: received["bits_per_second"]
                .as_f64()
                .unwrap_or_else(|| panic!("iperf3 names no rate: {said}")),
            retransmits: end["sum_sent"]["retransmits"].as_u64().unwrap_or(0),
            loss: end["sum"]["lost_percent"].as_f64().unwrap_or(0.0) / 100.0,
        }
    }
}
