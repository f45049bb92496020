//! One interface: what is known of its two ends, and what is to be done about them.

use ipnet::IpNet;
use portcullis_packet::{Mac, VrfId};
use portcullis_routing::Interface;

use super::follow::Follow;
use crate::event::{Address, Link};
use crate::request::{LinkChange, Side};
use crate::setup::{DeviceSetup, InterfaceSetup};

/// An interface, both ends.
#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) setup: InterfaceSetup,
    pub(super) device: Option<Link>,
    pub(super) tap: Option<Link>,
    mtu: Follow<u32>,
    mac: Follow<Mac>,
    admin_refused: Option<bool>,
    carrier_refused: Option<bool>,
    /// The tap has not been set up yet since it was made.
    raise: bool,
}

impl Port {
    pub(super) fn new(setup: InterfaceSetup) -> Self {
        Self {
            device: None,
            tap: None,
            mtu: Follow::new(setup.mtu.map(u32::from)),
            mac: Follow::new((setup.device == DeviceSetup::Unknown).then_some(setup.mac)),
            setup,
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
            (None, DeviceSetup::Kernel(_) | DeviceSetup::Foreign) => false,
            // What it can't send it counts.
            (None, DeviceSetup::Unknown) => true,
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
        let present = self.device.is_some() || self.setup.device == DeviceSetup::Unknown;
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

    /// The configuration says this from now on. True if its MTU is another than before; else whatever
    /// the ends have by now stays.
    pub(super) fn configure(&mut self, addresses: Vec<IpNet>, mtu: Option<u16>) -> bool {
        self.setup.addresses = addresses;
        if std::mem::replace(&mut self.setup.mtu, mtu) == mtu {
            return false;
        }
        self.mtu.want(mtu.map(u32::from));
        true
    }

    /// An end is there, or has changed.
    pub(super) fn set_end(&mut self, side: Side, link: &Link) {
        let end = match side {
            Side::Device => &mut self.device,
            Side::Tap => &mut self.tap,
        };
        let is_new = end.as_ref().is_none_or(|old| old.index != link.index);
        *end = Some(link.clone());
        if is_new {
            // One that comes back starts from the configuration.
            self.mtu = Follow::new(self.setup.mtu.map(u32::from));
            self.mac =
                Follow::new((self.setup.device == DeviceSetup::Unknown).then_some(self.setup.mac));
            self.raise |= side == Side::Tap;
        }
        self.admin_refused = None;
        self.carrier_refused = None;
    }

    /// The next thing to be set so that both ends agree.
    pub(super) fn step(&mut self) -> Option<(Side, LinkChange)> {
        let tap = self.tap.as_ref()?;
        let (up, carrier) = (tap.up, tap.carrier);
        let (mtu, mac) = match (&self.device, &self.setup.device) {
            (Some(device), _) => {
                (self.mtu.step(device.mtu, tap.mtu), self.mac.step(device.mac, tap.mac))
            }
            // Gone; it will be followed when it is back.
            (None, DeviceSetup::Kernel(_) | DeviceSetup::Foreign) => (None, None),
            (None, DeviceSetup::Unknown) => {
                let mtu = self.mtu.wanted.unwrap_or(tap.mtu);
                let mac = self.mac.wanted.unwrap_or(tap.mac);
                (self.mtu.step(mtu, tap.mtu), self.mac.step(mac, tap.mac))
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
    pub(super) fn done(&mut self, side: Side, change: LinkChange) {
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
    pub(super) fn refused(&mut self, side: Side, change: LinkChange) {
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
