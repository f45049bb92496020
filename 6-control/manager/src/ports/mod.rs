//! The two ends of each interface: the device in `link` and the tap in `vpc`. What happens to one
//! is done to the other, and what workers know of the interface is made of both.
//!
//! | | follows |
//! |---|---|
//! | the device's administrative state | the tap's |
//! | the tap's carrier | the device's |
//! | MTU, MAC | whichever end was changed last; the device if both were |
//!
//! When an end appears, or the configuration changes, both get its MTU; a new tap gets the device's MAC and
//! is set up.
//!
//! An end is only told what it does not say of itself already, and what it refused is not asked
//! again before something changes: so the two can't chase each other.

mod follow;
mod port;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use ipnet::IpNet;
use portcullis_packet::IfIndex;

pub(crate) use self::port::Port;
use crate::event::{KernelIndex, Link};
use crate::foreign;
use crate::request::{LinkChange, Request, Side};
use crate::setup::{DeviceSetup, InterfaceSetup};

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
        let by_device = devices
            .filter_map(|(at, setup)| match &setup.device {
                DeviceSetup::Kernel(name) => Some((name.clone(), index(at))),
                DeviceSetup::Foreign => Some((foreign::name(index(at)), index(at))),
                DeviceSetup::Unknown => None,
            })
            .collect();
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
        port.set_end(side, link);
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

    /// The configuration says this of an interface from now on. True if workers may be told something
    /// else because of it at once.
    pub(crate) fn configure(
        &mut self,
        interface: IfIndex,
        addresses: Vec<IpNet>,
        mtu: Option<u16>,
    ) -> bool {
        let port = self.ports.get_mut(interface.slot());
        port.is_some_and(|port| port.configure(addresses, mtu))
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
