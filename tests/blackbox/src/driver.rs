//! What moves frames between the gateway and its devices: the environment says it, for all tests alike.

use crate::host::Host;

/// By what driver the gateway is on its devices.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Driver {
    AfPacket,
    /// DPDK's net_af_packet on the same devices.
    Dpdk,
}

/// The driver that `PORTCULLIS_DRIVER` names: `af-packet`, which it is without, or `dpdk`.
///
/// # Panics
///
/// If it names none.
pub(crate) fn driver() -> Driver {
    match std::env::var("PORTCULLIS_DRIVER").as_deref() {
        Err(_) | Ok("" | "af-packet") => Driver::AfPacket,
        Ok("dpdk") => Driver::Dpdk,
        Ok(other) => panic!("PORTCULLIS_DRIVER is {other:?}, and not af-packet or dpdk"),
    }
}

/// Whether the gateway is on DPDK's devices.
#[must_use]
pub fn uses_dpdk() -> bool {
    driver() == Driver::Dpdk
}

/// Whether each worker of a gateway on DPDK is one thread: where `PORTCULLIS_THREADS_PER_WORKER` is 1.
#[must_use]
pub fn on_one_thread() -> bool {
    uses_dpdk() && std::env::var("PORTCULLIS_THREADS_PER_WORKER").is_ok_and(|it| it == "1")
}

/// Whether fragments reach the gateway as one packet, up to the size of its driver's slots: net_af_packet has the kernel
/// join them (PACKET_FANOUT_FLAG_DEFRAG), and there is no argument against it.
#[must_use]
pub fn joins_fragments() -> bool {
    uses_dpdk()
}

/// Bytes of the largest datagram that the driver lets through in fragments.
#[must_use]
pub fn largest_datagram() -> usize {
    if joins_fragments() { 9000 } else { 20_000 }
}

impl Driver {
    /// The lines of the file that put an interface on a device.
    pub(crate) fn lines(self, number: usize, device: &str) -> String {
        match self {
            Self::AfPacket => format!("device = \"{device}\""),
            // Its kernel joins fragments, so its slots are larger than a frame, as is its block.
            Self::Dpdk => format!(
                "driver = \"dpdk\"\n\
                 device = \"net_af_packet{number},iface={device},blocksz=36864,framesz=9216,framecnt=512\""
            ),
        }
    }

    /// Makes a new interface of a host one that the driver can be connected with: net_af_packet takes no checksums
    /// and segments that the sender left undone.
    #[track_caller]
    pub(crate) fn prepare(self, host: &Host, interface: &str) {
        if self == Self::Dpdk {
            host.run(&format!("ethtool -K {interface} tx off sg off tso off gso off gro off"));
        }
    }
}
