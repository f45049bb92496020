//! What moves frames between the gateway and its devices: the environment says it, for all tests alike.

use crate::host::Host;
use crate::lab::Lab;
use crate::relay;

/// By what driver the gateway is on its devices.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Driver {
    AfPacket,
    /// DPDK's net_af_packet on the same devices.
    Dpdk,
    /// DPDK's net_memif, shared with a process that has the devices.
    DpdkMemif,
    /// DPDK's net_tap, whose other end is joined with the devices.
    DpdkTap,
}

/// The driver that `PORTCULLIS_DRIVER` names: `af-packet`, which it is without, `dpdk`, `dpdk-memif` or `dpdk-tap`.
///
/// # Panics
///
/// If it names none.
pub(crate) fn driver() -> Driver {
    match std::env::var("PORTCULLIS_DRIVER").as_deref() {
        Err(_) | Ok("" | "af-packet") => Driver::AfPacket,
        Ok("dpdk") => Driver::Dpdk,
        Ok("dpdk-memif") => Driver::DpdkMemif,
        Ok("dpdk-tap") => Driver::DpdkTap,
        Ok(other) => {
            panic!(
                "PORTCULLIS_DRIVER is {other:?}, and not af-packet, dpdk, dpdk-memif or dpdk-tap"
            )
        }
    }
}

/// Whether the gateway is on DPDK's devices.
#[must_use]
pub fn uses_dpdk() -> bool {
    driver() != Driver::AfPacket
}

/// Whether DPDK's memory must be huge pages (`PORTCULLIS_HUGEPAGES=1`) or ordinary ones (`=0`); without, it has huge ones if
/// enough are free.
///
/// # Panics
///
/// If the environment says something else.
pub(crate) fn asked_for_huge_pages() -> Option<bool> {
    match std::env::var("PORTCULLIS_HUGEPAGES").as_deref() {
        Err(_) | Ok("") => None,
        Ok("0") => Some(false),
        Ok("1") => Some(true),
        Ok(other) => panic!("PORTCULLIS_HUGEPAGES is {other:?}, and not 0 or 1"),
    }
}

/// Whether frames of 9,000 bytes and more pass: DPDK 22.11 takes 1,518 for the longest of net_memif, and 1,522 for that of net_tap.
#[must_use]
pub fn takes_jumbo_frames() -> bool {
    !matches!(driver(), Driver::DpdkMemif | Driver::DpdkTap)
}

/// Whether an interface loses carrier when the host at the other end of its wire takes its own down. net_memif has it for as long
/// as the process at the other end is there, and that goes on.
#[must_use]
pub fn sees_the_wire() -> bool {
    driver() != Driver::DpdkMemif
}

/// Whether each worker of a gateway on DPDK is one thread: where `PORTCULLIS_THREADS_PER_WORKER` is 1.
#[must_use]
pub fn on_one_thread() -> bool {
    uses_dpdk() && std::env::var("PORTCULLIS_THREADS_PER_WORKER").is_ok_and(|it| it == "1")
}

/// Whether the gateway takes devices of its kernel's into a namespace of its own: net_memif and net_tap make theirs.
#[must_use]
pub fn takes_devices() -> bool {
    matches!(driver(), Driver::AfPacket | Driver::Dpdk)
}

/// Whether memory that devices share with the kernel is locked: net_af_packet's rings are.
#[must_use]
pub fn locks_memory() -> bool {
    driver() == Driver::Dpdk
}

/// Whether fragments reach the gateway as one packet, up to the size of its driver's slots: net_af_packet has the kernel
/// join them (PACKET_FANOUT_FLAG_DEFRAG), and there is no argument against it.
#[must_use]
pub fn joins_fragments() -> bool {
    driver() == Driver::Dpdk
}

/// Bytes of the largest datagram that the driver lets through in fragments.
#[must_use]
pub fn largest_datagram() -> usize {
    if joins_fragments() { 9000 } else { 20_000 }
}

/// The device of a gateway's second interface as its file names it, and another one.
#[must_use]
pub fn second_device() -> [&'static str; 2] {
    match driver() {
        Driver::AfPacket | Driver::Dpdk => ["eth2", "eth9"],
        Driver::DpdkMemif => ["net_memif1", "net_memif9"],
        Driver::DpdkTap => ["net_tap1", "net_tap9"],
    }
}

impl Driver {
    /// The lines of the file that put an interface on a device.
    pub(crate) fn lines(self, lab: &Lab, number: usize, device: &str) -> String {
        let arguments = match self {
            Self::AfPacket => return format!("device = \"{device}\""),
            // Its kernel joins fragments, so its slots are larger than a frame, as is its block.
            Self::Dpdk => format!(
                "net_af_packet{number},iface={device},blocksz=36864,framesz=9216,framecnt=512"
            ),
            // Without an address these have another one whenever the gateway starts.
            Self::DpdkMemif => {
                format!("{},mac=02:70:63:00:00:{number:02x}", relay::memif(lab, number, "server"))
            }
            Self::DpdkTap => {
                let tap = relay::tap(number);
                format!("net_tap{number},iface={tap},mac=02:70:63:00:00:{number:02x}")
            }
        };
        format!("driver = \"dpdk\"\ndevice = \"{arguments}\"")
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
