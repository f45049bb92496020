//! The device of an interface: the kernel's, or DPDK's.

use std::fmt;
use std::str::FromStr;

use crate::check::Expected;
use crate::interface::Mtu;
use crate::name::DeviceName;

/// What an interface is on.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Device {
    /// A device of the kernel's, by its name.
    Kernel(DeviceName),
    /// One of DPDK's.
    Dpdk(DeviceArguments),
}

impl Device {
    /// As it stands in the file.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Kernel(name) => name.as_str(),
            Self::Dpdk(arguments) => arguments.as_str(),
        }
    }

    /// The device of the kernel's that frames go by in the end, if there is one: it is moved into the link namespace.
    #[must_use]
    pub const fn kernel(&self) -> Option<&DeviceName> {
        match self {
            Self::Kernel(name) => Some(name),
            Self::Dpdk(arguments) => arguments.kernel.as_ref(),
        }
    }

    /// Whether it is one of DPDK's on the PCI bus.
    #[must_use]
    pub fn is_pci(&self) -> bool {
        matches!(self, Self::Dpdk(arguments) if arguments.is_pci())
    }

    /// What no other interface may have as well.
    pub(crate) fn identities(&self) -> Vec<String> {
        let kernel = self.kernel().map(|name| name.as_str().to_owned());
        let own = match self {
            Self::Kernel(_) => None,
            Self::Dpdk(arguments) => Some(arguments.name().to_owned()),
        };
        kernel.into_iter().chain(own).collect()
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A device as DPDK's programs take it: a PCI address, or the name of a virtual device, and then its arguments.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct DeviceArguments {
    text: String,
    /// The PCI address in full, as DPDK writes it, or the name of the virtual device.
    name: String,
    kernel: Option<DeviceName>,
}

/// Longest text: DPDK keeps a device's arguments in so many bytes.
const LONGEST: usize = 255;

/// Bytes of a slot of net_af_packet if nothing is said.
const DEFAULT_SLOT: u32 = 2048;

const PAGE: u32 = 4096;

/// The largest packet of net_af_xdp. Beside it, what DPDK and the kernel keep with a frame has to fit into its page.
const MOST_XDP: Mtu = Mtu(3300);

/// Bytes of the smallest slot for packets of this size. The kernel leaves room before the frame for what it says of it
/// (`TPACKET2_HDRLEN` and 16 bytes, aligned, up to the network header; packet_mmap.rst), and there may be a tag.
fn least_slot(mtu: Mtu) -> u32 {
    const BEFORE_THE_PACKET: u32 = 80;
    const TAG: u32 = 4;
    BEFORE_THE_PACKET + TAG + u32::from(mtu.get())
}

/// Drivers on top of a device of the kernel's, which is their argument `iface`.
const ON_KERNEL_DEVICES: [&str; 2] = ["net_af_packet", "net_af_xdp"];

impl DeviceArguments {
    /// As it stands in the file.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The PCI address in full (`0000:03:00.0`), or the name of the virtual device.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// As DPDK is to be given it for packets of this size: the name, the arguments, and those of net_af_packet that its
    /// defaults are too small for.
    #[must_use]
    pub fn for_dpdk(&self, mtu: Mtu) -> String {
        let arguments = self.text.find(',').and_then(|comma| self.text.get(comma..));
        let mut text = format!("{}{}", self.name, arguments.unwrap_or_default());
        let slot = self.slot(mtu).filter(|&slot| slot > DEFAULT_SLOT);
        for argument in ["framesz", "blocksz"] {
            if let Some(slot) = slot.filter(|_| self.argument(argument).is_none()) {
                text += &format!(",{argument}={slot}");
            }
        }
        text
    }

    /// Bytes of the slots that net_af_packet shares with the kernel, each for a frame: those that are given, or as many as packets
    /// of this size take. `None` if they are not a number, or it is another driver.
    #[must_use]
    pub fn slot(&self, mtu: Mtu) -> Option<u32> {
        if !self.name.starts_with("net_af_packet") {
            return None;
        }
        match self.argument("framesz") {
            Some(given) => given.parse().ok(),
            None if least_slot(mtu) <= DEFAULT_SLOT => Some(DEFAULT_SLOT),
            // A block is one slot then, of whole pages.
            None => Some(least_slot(mtu).next_multiple_of(PAGE)),
        }
    }

    /// Why it can't carry packets of this size: what was found, and what is expected.
    pub(crate) fn misfit(&self, mtu: Mtu) -> Option<(String, String)> {
        if self.name.starts_with("net_af_xdp") && mtu > MOST_XDP {
            let found = format!("`mtu` is {mtu}");
            let expected = format!("{MOST_XDP} at most: net_af_xdp's frames are in one page each");
            return Some((found, expected));
        }
        let given = self.argument("framesz").filter(|_| self.name.starts_with("net_af_packet"))?;
        let least = least_slot(mtu);
        let is_too_small = self.slot(mtu).is_none_or(|slot| slot < least);
        is_too_small.then(|| {
            let found = format!("`framesz` of `device` is {given}, and `mtu` is {mtu}");
            (
                found,
                format!("{least} or more (bytes), or no `framesz`: then it follows from the MTU"),
            )
        })
    }

    /// The value of one of its arguments, by the argument's name.
    #[must_use]
    pub fn argument(&self, name: &str) -> Option<&str> {
        let mut arguments = self.text.split(',').skip(1).filter_map(|part| part.split_once('='));
        arguments.find_map(|(key, value)| (key == name).then_some(value))
    }

    /// Whether it is a device on the PCI bus.
    #[must_use]
    pub fn is_pci(&self) -> bool {
        pci_address(&self.name).is_some()
    }
}

impl FromStr for DeviceArguments {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        let mut parts = text.split(',');
        let name = parts.next().unwrap_or_default();
        let is_virtual = name.strip_prefix("net_").is_some_and(|rest| {
            !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        });
        let is_text = text.len() <= LONGEST && text.bytes().all(|b| b.is_ascii_graphic());
        let full = pci_address(name).or_else(|| is_virtual.then(|| name.to_owned()));
        let Some(full) = full.filter(|_| is_text) else {
            return Err(Expected::new(
                "a PCI address (`0000:03:00.0`) or a virtual device of DPDK's with its arguments \
                 (`net_memif0,role=client`), 255 characters at most and no spaces",
            ));
        };
        let kernel = if ON_KERNEL_DEVICES.iter().any(|driver| name.starts_with(driver)) {
            let given = parts.find_map(|part| part.strip_prefix("iface="));
            let parsed = given.and_then(|given| given.parse().ok());
            Some(parsed.ok_or_else(|| {
                Expected::new("the kernel's device that it is on: `net_af_packet0,iface=eth1`")
            })?)
        } else {
            None
        };
        Ok(Self { text: text.to_owned(), name: full, kernel })
    }
}

/// A PCI address in full, of one with or without its domain: `0000:03:00.0`.
fn pci_address(name: &str) -> Option<String> {
    let hex = |text: &str, digits: std::ops::RangeInclusive<usize>, most: u32| {
        let is_hex = digits.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
        let number = u32::from_str_radix(text, 16).ok().filter(|_| is_hex)?;
        (number <= most).then_some(number)
    };
    let (slot, function) = name.rsplit_once('.')?;
    let parts: Vec<_> = slot.split(':').collect();
    let (domain, bus, device) = match parts.as_slice() {
        [bus, device] => ("0000", bus, device),
        [domain, bus, device] => (*domain, bus, device),
        _ => return None,
    };
    let (domain, bus) = (hex(domain, 4..=8, u32::MAX)?, hex(bus, 2..=2, 0xff)?);
    let (device, function) = (hex(device, 2..=2, 0x1f)?, hex(function, 1..=1, 7)?);
    Some(format!("{domain:04x}:{bus:02x}:{device:02x}.{function}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<DeviceArguments, String> {
        text.parse().map_err(|expected: Expected| expected.to_string())
    }

    #[test]
    fn a_pci_address_or_a_virtual_device_is_one_of_dpdks() {
        for (text, name, pci) in [
            ("0000:03:00.0", "0000:03:00.0", true),
            ("03:00.1,arg=1", "0000:03:00.1", true),
            ("0000:0A:1f.7", "0000:0a:1f.7", true),
            ("net_null0", "net_null0", false),
            ("net_memif0,role=client,socket=/run/a.sock", "net_memif0", false),
        ] {
            let device = parsed(text).expect("good");
            assert_eq!((device.name(), device.is_pci(), device.as_str()), (name, pci, text));
        }
        let for_dpdk = |text: &str| parsed(text).expect("good").for_dpdk(Mtu::ETHERNET);
        assert_eq!(for_dpdk("03:00.1,arg=1"), "0000:03:00.1,arg=1");
        assert_eq!(for_dpdk("net_null0"), "net_null0");
        assert_eq!(
            parsed("0a:00.0").map(Device::Dpdk).expect("good").identities(),
            parsed("0000:0A:00.0").map(Device::Dpdk).expect("good").identities()
        );
        let long = format!("net_null0,{}", "x".repeat(250));
        for text in [
            "",
            "eth1",
            "net_",
            "net_null 0",
            "00:3:00.0",
            "0000:03:00",
            "net_a;b",
            &long,
            "00:20.0",
            "00:00.8",
        ] {
            assert!(parsed(text).is_err_and(|it| it.contains("a PCI address")), "{text}");
        }
    }

    #[test]
    fn slots_of_net_af_packet_have_room_for_a_packet() {
        let for_dpdk = |text: &str, mtu| parsed(text).expect("good").for_dpdk(Mtu(mtu));
        assert_eq!(for_dpdk("net_af_packet0,iface=a", 1964), "net_af_packet0,iface=a");
        let grown = "net_af_packet0,iface=a,framesz=4096,blocksz=4096";
        assert_eq!(for_dpdk("net_af_packet0,iface=a", 1965), grown);
        let grown = "net_af_packet0,iface=a,blocksz=24576,framesz=12288";
        assert_eq!(for_dpdk("net_af_packet0,iface=a,blocksz=24576", 9000), grown);
        assert_eq!(for_dpdk("net_af_xdp0,iface=a", 9000), "net_af_xdp0,iface=a");
        let wrong = |text: &str, mtu| parsed(text).expect("good").misfit(Mtu(mtu));
        assert_eq!(wrong("net_af_packet0,iface=a,framesz=9216", 9000), None);
        assert_eq!(wrong("net_af_packet0,iface=a", 9000), None);
        assert_eq!(wrong("net_pcap0,framesz=1", 9000), None);
        assert_eq!(wrong("net_af_xdp0,iface=a", 3300), None);
        assert!(wrong("net_af_xdp0,iface=a", 3301).is_some());
        for given in ["net_af_packet0,iface=a,framesz=9083", "net_af_packet0,iface=a,framesz=x"] {
            assert!(wrong(given, 9000).is_some_and(|(_, least)| least.contains("9084")), "{given}");
        }
    }

    #[test]
    fn a_device_on_a_kernels_names_it() {
        let device = parsed("net_af_packet0,iface=eth1,qdisc_bypass=1").map(Device::Dpdk);
        let device = device.expect("good");
        assert_eq!(device.kernel().map(DeviceName::as_str), Some("eth1"));
        assert_eq!(device.identities(), ["eth1", "net_af_packet0"]);
        let Device::Dpdk(arguments) = device else { panic!("it is one of DPDK's") };
        assert_eq!(arguments.argument("qdisc_bypass"), Some("1"));
        assert_eq!(arguments.argument("net_af_packet0"), None);
        for text in ["net_af_packet0", "net_af_xdp1,iface=", "net_af_packet0,iface=lo"] {
            assert!(parsed(text).is_err_and(|it| it.contains("iface=eth1")), "{text}");
        }
        let null = parsed("net_null0").map(Device::Dpdk).expect("good");
        assert_eq!((null.kernel(), null.identities()), (None, vec!["net_null0".to_owned()]));
    }
}
