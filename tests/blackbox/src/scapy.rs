//! Frames that no kernel would send, by scapy.

use crate::host::Host;

impl Host {
    /// Runs a scapy script here, with `from scapy.all import *` before it, and returns what it
    /// printed.
    ///
    /// # Panics
    ///
    /// If the script fails.
    #[track_caller]
    pub fn scapy(&self, script: &str) -> String {
        // Debian's scapy belongs to Debian's Python, which need not be the first in the path.
        let script = format!("from scapy.all import *\nconf.verb = 0\n{script}");
        self.run_words(&["/usr/bin/python3", "-c", &script])
    }

    /// Sends a frame, written as a scapy expression, some times over.
    ///
    /// # Panics
    ///
    /// If scapy fails.
    #[track_caller]
    pub fn send_frame(&self, interface: &str, frame: &str, times: u32) {
        self.scapy(&format!("sendp({frame}, iface='{interface}', count={times})"));
    }
}
