//! A port that writes what it receives and sends to a pcap file (draft-ietf-opsawg-pcap), for tests:
//! a test that fails leaves something to look at.

use std::io::{self, Write};
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use portcullis_packet::{IfIndex, Packet, Pool, TxOffload};

use crate::{Port, PortStatus};

/// Timestamps in nanoseconds, in the byte order of the writer.
const MAGIC: u32 = 0xa1b2_3c4d;
const LINKTYPE_ETHERNET: u32 = 1;
/// Longer than any super-frame.
const SNAP_LEN: u32 = 1 << 18;

/// A port with a file beside it. What cannot be written is not: the port works on.
#[derive(Debug)]
pub struct PcapTap<P, W> {
    port: P,
    file: W,
}

impl<P: Port, W: Write + Send> PcapTap<P, W> {
    /// Puts a file beside `port`, and writes its header.
    ///
    /// # Errors
    /// If that cannot be written.
    pub fn new(port: P, mut file: W) -> io::Result<Self> {
        let version = u32::from_ne_bytes(version_bytes());
        for field in [MAGIC, version, 0, 0, SNAP_LEN, LINKTYPE_ETHERNET] {
            file.write_all(&field.to_ne_bytes())?;
        }
        Ok(Self { port, file })
    }

    fn write(&mut self, packets: &[Packet]) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        for packet in packets {
            let seconds = now.as_secs() as u32;
            let len = packet.len() as u32;
            let written = [seconds, now.subsec_nanos(), len, len]
                .iter()
                .try_for_each(|field| self.file.write_all(&field.to_ne_bytes()))
                .and_then(|()| self.file.write_all(packet.data()));
            if written.is_err() {
                return;
            }
        }
    }
}

/// Version 2.4, as two 16-bit fields.
const fn version_bytes() -> [u8; 4] {
    let ([a, b], [c, d]) = (2u16.to_ne_bytes(), 4u16.to_ne_bytes());
    [a, b, c, d]
}

impl<P: Port, W: Write + Send> Port for PcapTap<P, W> {
    fn interface(&self) -> IfIndex {
        self.port.interface()
    }

    fn receive(&mut self, pool: &mut Pool, into: &mut Vec<Packet>, max: usize) -> usize {
        let before = into.len();
        let received = self.port.receive(pool, into, max);
        self.write(into.get(before..).unwrap_or_default());
        received
    }

    fn transmit(&mut self, batch: &mut Vec<Packet>, pool: &mut Pool) -> usize {
        self.write(batch);
        self.port.transmit(batch, pool)
    }

    fn wait_fd(&self) -> Option<BorrowedFd<'_>> {
        self.port.wait_fd()
    }

    fn maintain(&mut self) {
        self.port.maintain();
    }

    fn status(&self) -> &Arc<PortStatus> {
        self.port.status()
    }

    fn offload(&self) -> TxOffload {
        self.port.offload()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::pair;
    use portcullis_packet::PoolLimits;
    use std::process::{Command, Stdio};

    #[test]
    fn another_program_reads_what_was_received_and_sent() {
        let path = std::env::temp_dir().join(format!("portcullis-{}.pcap", std::process::id()));
        let (near, mut far) = pair(IfIndex(0), IfIndex(1), 8);
        let file = std::fs::File::create(&path).expect("a file");
        let mut port = PcapTap::new(near, file).expect("a header");
        let mut pool = Pool::new(PoolLimits { small: 0, large: 0 });
        let frame = |mark| Packet::from_bytes(&[&[mark; 12][..], &[0x88, 0xb5], &[0; 46]].concat());
        port.transmit(&mut vec![frame(2)], &mut pool);
        far.transmit(&mut vec![frame(4)], &mut pool);
        port.receive(&mut pool, &mut Vec::new(), 8);
        let output = Command::new("tcpdump")
            .args(["-e", "-n", "-r"])
            .arg(&path)
            .stderr(Stdio::null())
            .output();
        std::fs::remove_file(&path).expect("removed");
        let text = String::from_utf8(output.expect("tcpdump").stdout).expect("text");
        let lines: Vec<_> = text.lines().filter(|line| line.contains("0x88b5")).collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(lines[0].contains("02:02:02:02:02:02") && lines[0].contains("length 60"), "{text}");
        assert!(lines[1].contains("04:04:04:04:04:04"), "{text}");
    }
}
