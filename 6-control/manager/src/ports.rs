//! The two ends of each interface: the device in `link` and the tap in `vpc`. What happens to one is done
//! to the other, and what workers know of the interface is made of both.
//!
//! | | follows |
//! |---|---|
//! | the device's administrative state | the tap's |
//! | the tap's carrier | the device's |
//! | MTU, MAC | whichever end was changed last; the device if both were |
//!
//! When an end appears, both get the MTU of the configuration; a new tap gets the device's MAC and is
//! set up.
//!
//! An end is only told what it does not say of itself already, and what it refused is not asked
//! again before something changes: so the two can't chase each other.

use std::collections::HashMap;

use ipnet::IpNet;
use portcullis_packet::{IfIndex, Mac, VrfId};
use portcullis_routing::Interface;

use crate::event::{Address, KernelIndex, Link};
use crate::request::{LinkChange, Request, Side};
use crate::setup::InterfaceSetup;

/// An interface, both ends.
#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) setup: InterfaceSetup,
    device: Option<Link>,
    tap: Option<Link>,
    mtu: Follow<u32>,
    mac: Follow<Mac>,
    admin_refused: Option<bool>,
    carrier_refused: Option<bool>,
    /// The tap has not been set up yet since it was made.
    raise: bool,
}

/// A value that both ends should have.
#[derive(Debug)]
struct Follow<T> {
    /// To be set on both ends before they follow each other.
    wanted: Option<T>,
    /// What both had last.
    agreed: Option<T>,
    /// The device refused what the tap has.
    revert: bool,
    /// The tap refused what the device has: (device, tap).
    hopeless: Option<(T, T)>,
}

impl<T: Copy + PartialEq> Follow<T> {
    const fn new(wanted: Option<T>) -> Self {
        Self { wanted, agreed: None, revert: false, hopeless: None }
    }

    /// What is to be set, and where. `device` is the tap's own value if no kernel sees the device.
    fn step(&mut self, device: T, tap: T) -> Option<(Side, T)> {
        if let Some(wanted) = self.wanted {
            if device != wanted {
                return Some((Side::Device, wanted));
            }
            if tap != wanted {
                return Some((Side::Tap, wanted));
            }
            self.wanted = None;
        }
        if device == tap {
            *self = Self { agreed: Some(tap), ..Self::new(None) };
            return None;
        }
        if self.hopeless == Some((device, tap)) {
            return None;
        }
        self.hopeless = None;
        let device_changed = self.agreed != Some(device);
        if device_changed || self.revert {
            Some((Side::Tap, device))
        } else {
            Some((Side::Device, tap))
        }
    }

    /// An end would not have it.
    fn refused(&mut self, side: Side, device: T, tap: T) {
        self.wanted = None;
        match side {
            Side::Device => self.revert = true,
            Side::Tap => self.hopeless = Some((device, tap)),
        }
    }
}

impl Port {
    fn new(setup: InterfaceSetup) -> Self {
        let mtu = Follow::new(setup.mtu.map(u32::from));
        Self {
            setup,
            device: None,
            tap: None,
            mtu,
            mac: Follow::new(None),
            admin_refused: None,
            carrier_refused: None,
            raise: false,
        }
    }

    pub(crate) fn tap(&self) -> Option<&Link> {
        self.tap.as_ref()
    }

    /// Whether the device passes packets.
    fn device_carrier(&self) -> bool {
        match (&self.device, &self.setup.device) {
            (Some(device), _) => device.up && device.carrier,
            (None, Some(_)) => false,
            // Nothing is known of a device that no kernel sees; what it can't send it counts.
            (None, None) => true,
        }
    }

    /// Whether the kernel in `vpc` keeps routes through the tap.
    pub(crate) fn is_up(&self) -> bool {
        self.tap.as_ref().is_some_and(|tap| tap.up)
    }

    /// Whether packets may leave here.
    pub(crate) fn is_usable(&self) -> bool {
        self.is_up() && self.device_carrier()
    }

    /// The MAC that neighbours know.
    pub(crate) fn mac(&self) -> Mac {
        self.tap.as_ref().map_or(self.setup.mac, |tap| tap.mac)
    }

    /// Largest network-layer packet.
    pub(crate) fn mtu(&self) -> u16 {
        const ETHERNET: u16 = 1500;
        let unknown = self.setup.mtu.unwrap_or(ETHERNET);
        self.tap.as_ref().map_or(unknown, |tap| u16::try_from(tap.mtu).unwrap_or(u16::MAX))
    }

    /// What workers are told. Addresses that are not usable yet are left out.
    pub(crate) fn interface(&self, addresses: &[(u64, Address)]) -> Interface {
        let present = self.device.is_some() || self.setup.device.is_none();
        let device_up = self.device.as_ref().is_none_or(|device| device.up);
        let mut addresses4 = vec![];
        let mut addresses6 = vec![];
        for (serial, address) in addresses {
            let unusable = libc::IFA_F_TENTATIVE | libc::IFA_F_DADFAILED;
            match address.net {
                IpNet::V4(net) => {
                    let secondary = address.flags & libc::IFA_F_SECONDARY != 0;
                    addresses4.push(((secondary, *serial), net));
                }
                IpNet::V6(net) if address.flags & unusable == 0 => {
                    let link_local = net.addr().is_unicast_link_local();
                    let deprecated = address.flags & libc::IFA_F_DEPRECATED != 0;
                    addresses6.push(((link_local, deprecated, *serial), net));
                }
                IpNet::V6(_) => {}
            }
        }
        addresses4.sort_by_key(|(rank, _)| *rank);
        addresses6.sort_by_key(|(rank, _)| *rank);
        Interface {
            name: self.setup.name.clone(),
            mac: self.mac(),
            mtu: self.mtu(),
            vrf: VrfId::DEFAULT,
            admin_up: self.is_up() && present && device_up,
            carrier: self.device_carrier(),
            addresses4: addresses4.into_iter().map(|(_, net)| net).collect(),
            addresses6: addresses6.into_iter().map(|(_, net)| net).collect(),
            offload: self.setup.offload,
        }
    }

    /// The next thing to be set so that both ends agree.
    fn step(&mut self) -> Option<(Side, LinkChange)> {
        let tap = self.tap.as_ref()?;
        let (up, carrier) = (tap.up, tap.carrier);
        let (mtu, mac) = match (&self.device, &self.setup.device) {
            (Some(device), _) => {
                (self.mtu.step(device.mtu, tap.mtu), self.mac.step(device.mac, tap.mac))
            }
            // Gone; it will be followed when it is back.
            (None, Some(_)) => (None, None),
            (None, None) => {
                let wanted = self.mtu.wanted.unwrap_or(tap.mtu);
                (self.mtu.step(wanted, tap.mtu), None)
            }
        };
        if let Some((side, mac)) = mac {
            return Some((side, LinkChange::Mac(mac)));
        }
        if let Some((side, mtu)) = mtu {
            return Some((side, LinkChange::Mtu(mtu)));
        }
        if self.raise && !up {
            return Some((Side::Tap, LinkChange::Up(true)));
        }
        self.raise = false;
        if self.device.as_ref().is_some_and(|device| device.up != up)
            && self.admin_refused != Some(up)
        {
            return Some((Side::Device, LinkChange::Up(up)));
        }
        let wanted = self.device_carrier();
        if wanted != carrier && self.carrier_refused != Some(wanted) {
            return Some((Side::Tap, LinkChange::Carrier(wanted)));
        }
        None
    }

    /// A change was made: it will be announced, but not before the next step is asked for.
    fn done(&mut self, side: Side, change: LinkChange) {
        let end = match side {
            Side::Device => &mut self.device,
            Side::Tap => &mut self.tap,
        };
        let Some(link) = end else { return };
        match change {
            LinkChange::Up(up) => link.up = up,
            LinkChange::Carrier(carrier) => link.carrier = carrier,
            LinkChange::Mtu(mtu) => link.mtu = mtu,
            LinkChange::Mac(mac) => link.mac = mac,
        }
    }

    /// A change was refused.
    fn refused(&mut self, side: Side, change: LinkChange) {
        let Some(tap) = &self.tap else { return };
        let device = self.device.as_ref().unwrap_or(tap);
        match change {
            LinkChange::Up(_) if side == Side::Tap => self.raise = false,
            LinkChange::Up(up) => self.admin_refused = Some(up),
            LinkChange::Carrier(carrier) => self.carrier_refused = Some(carrier),
            LinkChange::Mtu(_) => self.mtu.refused(side, device.mtu, tap.mtu),
            LinkChange::Mac(_) => self.mac.refused(side, device.mac, tap.mac),
        }
    }
}

/// All interfaces.
#[derive(Debug)]
pub(crate) struct Ports {
    ports: Vec<Port>,
    by_name: HashMap<Box<str>, IfIndex>,
    by_device: HashMap<Box<str>, IfIndex>,
    by_tap: HashMap<KernelIndex, IfIndex>,
}

impl Ports {
    pub(crate) fn new(interfaces: Vec<InterfaceSetup>) -> Self {
        let index = |at: usize| IfIndex(u16::try_from(at).unwrap_or(u16::MAX));
        let names = interfaces.iter().enumerate();
        let by_name = names.map(|(at, setup)| (setup.name.clone(), index(at))).collect();
        let devices = interfaces.iter().enumerate();
        let by_device =
            devices.filter_map(|(at, setup)| Some((setup.device.clone()?, index(at)))).collect();
        let ports = interfaces.into_iter().map(Port::new).collect();
        Self { ports, by_name, by_device, by_tap: HashMap::new() }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (IfIndex, &Port)> {
        let index = |at: usize| IfIndex(u16::try_from(at).unwrap_or(u16::MAX));
        self.ports.iter().enumerate().map(move |(at, port)| (index(at), port))
    }

    pub(crate) fn get(&self, interface: IfIndex) -> Option<&Port> {
        self.ports.get(interface.slot())
    }

    /// The interface whose tap has this index.
    pub(crate) fn of_tap(&self, index: KernelIndex) -> Option<IfIndex> {
        self.by_tap.get(&index).copied()
    }

    /// The kernel's index of an interface's tap.
    pub(crate) fn tap_index(&self, interface: IfIndex) -> Option<KernelIndex> {
        self.get(interface)?.tap.as_ref().map(|tap| tap.index)
    }

    /// A device is there, or has changed. The interface that it is an end of, if any.
    pub(crate) fn set_link(&mut self, side: Side, link: &Link) -> Option<IfIndex> {
        // It may have had another name.
        let named = match side {
            Side::Device => self.by_device.get(&link.name).copied(),
            Side::Tap => self.by_name.get(&link.name).copied(),
        };
        let renamed = self.interface_of(side, link.index).filter(|old| Some(*old) != named);
        if let Some(old) = renamed {
            self.take_link(side, old);
        }
        let Some(interface) = named else { return renamed };
        if side == Side::Tap {
            if let Some(old) = self.tap_index(interface) {
                self.by_tap.remove(&old);
            }
            self.by_tap.insert(link.index, interface);
        }
        let port = self.ports.get_mut(interface.slot())?;
        let end = match side {
            Side::Device => &mut port.device,
            Side::Tap => &mut port.tap,
        };
        let new = end.as_ref().is_none_or(|old| old.index != link.index);
        *end = Some(link.clone());
        if new {
            // A device that comes back starts from the configuration.
            port.mtu = Follow::new(port.setup.mtu.map(u32::from));
            port.mac = Follow::new(None);
            port.raise |= side == Side::Tap;
        }
        port.admin_refused = None;
        port.carrier_refused = None;
        Some(interface)
    }

    /// A device is gone. The interface that it was an end of, if any.
    pub(crate) fn remove_link(&mut self, side: Side, index: KernelIndex) -> Option<IfIndex> {
        let interface = self.interface_of(side, index)?;
        self.take_link(side, interface);
        Some(interface)
    }

    fn take_link(&mut self, side: Side, interface: IfIndex) {
        let Some(port) = self.ports.get_mut(interface.slot()) else { return };
        match side {
            Side::Device => port.device = None,
            Side::Tap => {
                if let Some(tap) = port.tap.take() {
                    self.by_tap.remove(&tap.index);
                }
            }
        }
    }

    fn interface_of(&self, side: Side, index: KernelIndex) -> Option<IfIndex> {
        match side {
            Side::Tap => self.of_tap(index),
            Side::Device => self
                .iter()
                .find(|(_, port)| port.device.as_ref().is_some_and(|link| link.index == index))
                .map(|(interface, _)| interface),
        }
    }

    /// The next request that makes the ends of some interface agree; [`Self::answered`] is to be
    /// called with its outcome.
    pub(crate) fn step(&mut self) -> Option<(IfIndex, Side, Request)> {
        for (at, port) in self.ports.iter_mut().enumerate() {
            let Some((side, change)) = port.step() else { continue };
            let link = match side {
                Side::Device => port.device.as_ref(),
                Side::Tap => port.tap.as_ref(),
            };
            let Some(index) = link.map(|link| link.index) else { continue };
            let interface = IfIndex(u16::try_from(at).unwrap_or(u16::MAX));
            return Some((interface, side, Request::SetLink { index, change }));
        }
        None
    }

    /// What came of a change.
    pub(crate) fn answered(
        &mut self,
        interface: IfIndex,
        side: Side,
        change: LinkChange,
        accepted: bool,
    ) {
        let Some(port) = self.ports.get_mut(interface.slot()) else { return };
        if accepted {
            port.done(side, change);
        } else {
            port.refused(side, change);
        }
    }
}
