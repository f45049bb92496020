//! Packets seen on an interface.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::command::Background;
use crate::host::Host;
use crate::wait::wait_until;

/// How many packets, and how much of each, a capture kept for after a failure has.
const KEPT_PACKETS: &str = "2000";
const KEPT_BYTES: &str = "256";

/// How much of each packet other captures see, and how much room they have for bursts.
const SNAPSHOT_BYTES: &str = "4096";
const BUFFER_KIB: &str = "16384";

/// A capture that is running.
#[derive(Debug)]
pub struct Capture {
    tcpdump: Background,
    file: PathBuf,
    host: Host,
}

impl Capture {
    /// Captures what matches `filter` on an interface, from now on.
    #[track_caller]
    #[must_use]
    pub fn start(host: &Host, interface: &str, filter: &str) -> Self {
        let file = host.file(&format!("{interface}-capture.pcap"));
        let path = file.to_string_lossy().into_owned();
        let tcpdump = host.start_words(&[
            "tcpdump",
            "-Z",
            "root",
            "-n",
            "-U",
            "--immediate-mode",
            // In this mode libpcap's ring has slots of the snapshot length: of the default's length,
            // 256 KiB, there would be eight, and a burst of nine packets would lose one.
            "-s",
            SNAPSHOT_BYTES,
            "-B",
            BUFFER_KIB,
            "-i",
            interface,
            "-w",
            &path,
            filter,
        ]);
        wait_until("tcpdump listens", Duration::from_secs(10), || {
            tcpdump.log().contains("listening on")
        });
        Self { tcpdump, file, host: host.clone() }
    }

    /// The capture that a host keeps for after a failure.
    pub(crate) fn in_the_background(host: &Host, interface: &str, file: &Path) {
        let path = file.to_string_lossy().into_owned();
        let words = [
            "tcpdump",
            "-Z",
            "root",
            "-n",
            "-U",
            "-i",
            interface,
            "-c",
            KEPT_PACKETS,
            "-s",
            KEPT_BYTES,
            "-w",
            &path,
        ];
        host.keep(host.start_words(&words));
    }

    /// The packets seen so far, a line each as tcpdump prints them with the link layer.
    #[track_caller]
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let path = self.file.to_string_lossy().into_owned();
        let said = self.host.attempt(&format!("tcpdump -e -v -n -t -r {path}")).stdout;
        // tcpdump -v continues a packet on indented lines.
        let mut lines: Vec<String> = Vec::new();
        for line in said.lines() {
            match lines.last_mut() {
                Some(last) if line.starts_with(char::is_whitespace) => last.push_str(line),
                Some(_) | None => lines.push(line.to_owned()),
            }
        }
        lines
    }

    /// Fields of the packets seen so far, as tshark decodes them: a row per packet.
    #[track_caller]
    #[must_use]
    pub fn fields(&self, filter: &str, fields: &[&str]) -> Vec<Vec<String>> {
        let path = self.file.to_string_lossy().into_owned();
        let mut words = vec!["tshark", "-n", "-r", &path, "-Y", filter, "-T", "fields"];
        words.extend(["-o", "ip.check_checksum:TRUE"]);
        for (field, preference) in [
            ("tcp.checksum.status", "tcp.check_checksum:TRUE"),
            ("udp.checksum.status", "udp.check_checksum:TRUE"),
        ] {
            if fields.contains(&field) {
                words.extend(["-o", preference]);
            }
        }
        for field in fields {
            words.extend(["-e", field]);
        }
        // A file that ends in the middle of a packet is an error to tshark, not to the caller.
        let said = crate::command::finish(self.host.command(&words)).stdout;
        said.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect()
    }

    /// Whether the capture still runs.
    #[must_use]
    pub fn is_running(&mut self) -> bool {
        self.tcpdump.ended().is_none()
    }
}
