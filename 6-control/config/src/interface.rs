//! `[[interface]]`.

use std::fmt;
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Serialize, Serializer};

use crate::address::InterfaceAddress;
use crate::check::{Checker, Expected, unique};
use crate::decode::Place;
use crate::device::Device;
use crate::diagnostic::Diagnostic;
use crate::name::{InterfaceName, ZoneName};
use crate::raw::RawInterface;
use crate::source::Located;
use crate::word::word_type;

/// Most interfaces that a gateway can have.
pub const MAX_INTERFACES: usize = 1024;

/// What moves frames between a device and the gateway.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Driver {
    /// The kernel's packet sockets (packet(7)): works with every device of the kernel's.
    #[default]
    AfPacket,
    /// DPDK: devices that its drivers poll, past the kernel.
    Dpdk,
}

impl Driver {
    /// Its name in the file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AfPacket => "af-packet",
            Self::Dpdk => "dpdk",
        }
    }
}

impl FromStr for Driver {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        match text {
            "af-packet" => Ok(Self::AfPacket),
            "dpdk" if cfg!(feature = "dpdk") => Ok(Self::Dpdk),
            "dpdk" => Err(Expected::new(
                "`af-packet`: this gateway was built without DPDK; one with it is built by \
                 `cargo build --release --features dpdk`, with libdpdk-dev installed",
            )),
            "af-xdp" => Err(Expected::new(
                "`af-packet` or `dpdk`: this version of Portcullis does not have the other driver",
            )),
            _ => Err(Expected::new("`af-packet` or `dpdk`")),
        }
    }
}

impl fmt::Display for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

word_type! {
    /// What is asked of the source address of a packet that comes in by an interface (RFC 3704).
    #[derive(Default)]
    AntiSpoofing {
        /// The route back to it leaves by this interface.
        Strict = "strict",
        /// There is a route back to it.
        Loose = "loose",
        /// Nothing.
        #[default]
        Off = "off",
    }
}

/// The largest IP packet that an interface carries, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Mtu(pub(crate) u16);

impl Mtu {
    /// RFC 791: every internet module can forward a packet of 68 bytes without fragmenting it.
    pub const MIN: Self = Self(68);

    /// RFC 8200, 5: every link that carries IPv6 has an MTU of 1280 bytes or more.
    pub const MIN_IPV6: Self = Self(1280);

    /// That of Ethernet (RFC 894).
    pub const ETHERNET: Self = Self(1500);

    /// In bytes.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Display for Mtu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Serialize for Mtu {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u16(self.0)
    }
}

/// An interface of the gateway.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Interface {
    /// Its name, which no other interface has.
    pub name: InterfaceName,
    /// What moves its frames.
    pub driver: Driver,
    /// Its device, which no other interface has.
    pub device: Device,
    /// The gateway's addresses on it. No other interface has one of them, nor one in the same
    /// network, but for link-local ones.
    pub addresses: Vec<InterfaceAddress>,
    /// The largest IP packet; [`Mtu::MIN_IPV6`] at least where there are IPv6 addresses.
    pub mtu: Mtu,
    /// The zone it is in.
    pub zone: ZoneName,
    /// What is asked of the source addresses of packets that come in.
    pub anti_spoofing: AntiSpoofing,
    /// Whether the MSS of TCP SYNs that leave or come in by it is lowered to what its MTU carries.
    pub mss_clamp: bool,
}

/// An interface as far as it could be understood.
pub(crate) struct Draft {
    pub(crate) name: Option<Located<InterfaceName>>,
    device: Option<Located<Device>>,
    driver: Option<Driver>,
    pub(crate) addresses: Vec<Located<InterfaceAddress>>,
    /// Whether some of its addresses may not have been understood.
    addresses_missing: bool,
    /// Whether its zone may be a key that was not understood.
    unread: bool,
    mtu: Option<Mtu>,
    pub(crate) zone: Option<ZoneName>,
    anti_spoofing: Option<AntiSpoofing>,
    mss_clamp: bool,
}

impl Draft {
    fn check(raw: &RawInterface, checker: &mut Checker<'_>) -> Self {
        let name: Option<Located<InterfaceName>> = checker.located("name", raw.name.as_ref());
        let driver = match &raw.driver {
            Some(given) => checker.parse("driver", given),
            None => Some(Driver::default()),
        };
        let device = device(raw.device.as_ref(), driver, checker);
        let given = raw.addresses.as_ref().map_or(&[][..], |addresses| &addresses.value);
        let addresses: Vec<_> = given
            .iter()
            .filter_map(|given| {
                let place = Place::Element("addresses");
                checker.parse_with(place, given, str::parse).map(|address| given.with(address))
            })
            .collect();
        let zone = match (&raw.zone, &name) {
            (Some(given), _) => checker.parse("zone", given),
            (None, Some(name)) => default_zone(name, checker),
            (None, None) => None,
        };
        let mtu = mtu(raw, &addresses, checker);
        if let (Some(Located { value: Device::Dpdk(arguments), span }), Some(mtu)) = (&device, mtu)
            && let Some((found, expected)) = arguments.misfit(mtu)
        {
            checker.report(Diagnostic::new(span, found, expected));
        }
        Self {
            mtu,
            unread: raw.has_unread,
            addresses_missing: raw.has_unread || addresses.len() < given.len(),
            name,
            device,
            driver,
            addresses,
            zone,
            anti_spoofing: match &raw.anti_spoofing {
                Some(given) => checker.parse("anti-spoofing", given),
                None => Some(AntiSpoofing::default()),
            },
            mss_clamp: raw.mss_clamp.as_ref().is_some_and(|given| given.value),
        }
    }

    /// Whether all is known about where it is in the network.
    pub(crate) fn is_located(&self) -> bool {
        self.name.is_some() && !self.addresses_missing
    }

    /// Whether its zone is known.
    pub(crate) fn has_zone(&self) -> bool {
        self.zone.is_some() && !self.unread
    }

    fn finish(self) -> Option<Interface> {
        Some(Interface {
            name: self.name?.value,
            driver: self.driver?,
            device: self.device?.value,
            addresses: self.addresses.into_iter().map(|address| address.value).collect(),
            mtu: self.mtu?,
            zone: self.zone?,
            anti_spoofing: self.anti_spoofing?,
            mss_clamp: self.mss_clamp,
        })
    }
}

/// The device, as its driver takes it. With a driver that is none, nothing is said of it.
fn device(
    given: Option<&Located<String>>,
    driver: Option<Driver>,
    checker: &mut Checker<'_>,
) -> Option<Located<Device>> {
    let given = given?;
    let device = match driver? {
        Driver::AfPacket => Device::Kernel(checker.parse("device", given)?),
        Driver::Dpdk => Device::Dpdk(checker.parse("device", given)?),
    };
    Some(given.with(device))
}

/// The zone of an interface's own name.
fn default_zone(name: &Located<InterfaceName>, checker: &mut Checker<'_>) -> Option<ZoneName> {
    match name.value.as_str().parse() {
        Ok(zone) => Some(zone),
        Err(expected) => {
            let found = format!("`name` is {0}, and so is the zone by default", name.value);
            checker.report(Diagnostic::new(&name.span, found, expected.to_string()));
            None
        }
    }
}

fn mtu(
    raw: &RawInterface,
    addresses: &[Located<InterfaceAddress>],
    checker: &mut Checker<'_>,
) -> Option<Mtu> {
    let Some(given) = &raw.mtu else { return Some(Mtu::ETHERNET) };
    let found = format!("`mtu` is {}", given.value);
    let mtu = u16::try_from(given.value).ok().map(Mtu).filter(|&mtu| mtu >= Mtu::MIN);
    let Some(mtu) = mtu else {
        checker.report(Diagnostic::new(&given.span, found, "68 to 65535 (bytes)"));
        return None;
    };
    let v6 = addresses.iter().find(|address| address.value.address().is_ipv6());
    if let Some(v6) = v6.filter(|_| mtu < Mtu::MIN_IPV6) {
        let expected = "1280 or more (bytes), as every link with IPv6 must have";
        let error = Diagnostic::new(&given.span, found, expected);
        checker.report(error.related(&v6.span, "an IPv6 address"));
        return None;
    }
    Some(mtu)
}

/// The interfaces of a file, each by itself and then among each other.
pub(crate) fn check(
    section: Option<&Located<Vec<Located<RawInterface>>>>,
    checker: &mut Checker<'_>,
) -> Vec<Draft> {
    let Some(section) = section else { return Vec::new() };
    let raw = &section.value;
    if raw.is_empty() {
        checker.report(Diagnostic::new(&section.span, "no interface", "one at least"));
    }
    if let Some(excess) = raw.get(MAX_INTERFACES) {
        let found = format!("{} interfaces", raw.len());
        let expected = format!("{MAX_INTERFACES} at most");
        checker.report(Diagnostic::new(&excess.span, found, expected));
    }
    let checked = raw.iter().take(MAX_INTERFACES);
    let drafts: Vec<Draft> = checked.map(|raw| Draft::check(&raw.value, checker)).collect();
    unique("the interface name", drafts.iter().filter_map(|draft| draft.name.as_ref()), checker);
    let devices = drafts.iter().filter_map(|draft| draft.device.as_ref());
    let identities: Vec<_> = devices
        .flat_map(|device| device.value.identities().into_iter().map(|name| device.with(name)))
        .collect();
    unique("the device", &identities, checker);
    addresses_apart(&drafts, checker);
    drafts
}

/// The interfaces, if nothing was wrong with any.
pub(crate) fn finish(drafts: Vec<Draft>) -> Option<Vec<Interface>> {
    drafts.into_iter().map(Draft::finish).collect()
}

/// No address twice, and no network on two interfaces: the way to its hosts would be ambiguous.
/// Link-local networks are on every link.
fn addresses_apart(drafts: &[Draft], checker: &mut Checker<'_>) {
    for draft in drafts {
        unique("the address", draft.addresses.iter(), checker);
    }
    // In this order a network is followed by the networks inside of it, so those that enclose the
    // present one are always on the stack.
    let mut networks: Vec<(IpNet, usize, &Located<InterfaceAddress>)> = drafts
        .iter()
        .enumerate()
        .flat_map(|(at, draft)| draft.addresses.iter().map(move |address| (at, address)))
        .filter(|(_, address)| !address.value.is_link_local())
        .map(|(at, address)| (address.value.network(), at, address))
        .collect();
    networks.sort_by_key(|&(network, at, address)| (network, at, address.span.start));
    networks.dedup_by_key(|&mut (network, at, _)| (network, at));
    let mut enclosing: Vec<(IpNet, usize, &Located<InterfaceAddress>)> = Vec::new();
    for (network, at, address) in networks {
        while enclosing.last().is_some_and(|(outer, ..)| !outer.contains(&network)) {
            enclosing.pop();
        }
        if let Some(&(_, _, other)) = enclosing.iter().find(|&&(_, other, _)| other != at) {
            overlap(address, other, checker);
        } else {
            enclosing.push((network, at, address));
        }
    }
}

fn overlap(
    one: &Located<InterfaceAddress>,
    other: &Located<InterfaceAddress>,
    checker: &mut Checker<'_>,
) {
    let (first, second) =
        if one.span.start < other.span.start { (one, other) } else { (other, one) };
    let (inner, outer) = (second.value.network(), first.value.network());
    let found = if inner == outer {
        format!("the network {inner} is on two interfaces")
    } else {
        format!("the networks {outer} and {inner} overlap on two interfaces")
    };
    checker.report(
        Diagnostic::new(&second.span, found, "an address in a network of its own")
            .related(&first.span, "the other interface's"),
    );
}

impl Interface {
    pub(crate) fn to_raw(&self) -> RawInterface {
        let text = |text: String| Some(Located::nowhere(text));
        let addresses = self.addresses.iter().map(|address| Located::nowhere(address.to_string()));
        RawInterface {
            name: text(self.name.to_string()),
            driver: text(self.driver.to_string()),
            device: text(self.device.to_string()),
            addresses: Some(Located::nowhere(addresses.collect())),
            has_unread: false,
            mtu: Some(Located::nowhere(self.mtu.0.into())),
            zone: text(self.zone.to_string()),
            anti_spoofing: text(self.anti_spoofing.to_string()),
            mss_clamp: Some(Located::nowhere(self.mss_clamp)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_without_dpdk_says_how_to_get_one() {
        let said = "dpdk".parse::<Driver>().map_err(|expected| expected.to_string());
        match said {
            Ok(driver) => assert_eq!((driver, cfg!(feature = "dpdk")), (Driver::Dpdk, true)),
            Err(said) => assert!(said.contains("--features dpdk"), "{said}"),
        }
    }
}
