//! Devices that no kernel knows: those of a driver that is past it. Who looks after them reports what they are like, and is
//! told what is to become of them; to the rest of the manager they look like the kernel's.

use portcullis_packet::{IfIndex, Mac};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::event::{KernelIndex, Link};
use crate::mirror::Mirror;
use crate::request::{LinkChange, Side};

/// What a device is to become like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DeviceChange {
    /// Administratively up, or down.
    Up(bool),
    /// Its MTU in bytes.
    Mtu(u32),
    /// Its address.
    Mac(Mac),
}

/// What is reported of a device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DeviceReport {
    /// It is there, and like this.
    Is {
        /// Its address.
        mac: Mac,
        /// Its MTU in bytes.
        mtu: u32,
        /// Whether it is administratively up.
        up: bool,
        /// Whether it has a link.
        carrier: bool,
    },
    /// It is not there.
    Gone,
    /// It can't be like that.
    Refuses(DeviceChange),
}

/// Where reports go, from any thread.
#[derive(Clone, Debug)]
pub struct DeviceReports(UnboundedSender<(IfIndex, DeviceReport)>);

impl DeviceReports {
    /// Reports something of an interface's device.
    pub fn send(&self, interface: IfIndex, report: DeviceReport) {
        // Nobody listens any more once the gateway stops.
        let _ = self.0.send((interface, report));
    }
}

/// The manager's end of both ways.
pub struct ForeignDevices {
    pub(crate) reports: UnboundedReceiver<(IfIndex, DeviceReport)>,
    pub(crate) tell: Box<dyn FnMut(IfIndex, DeviceChange) + Send>,
}

impl ForeignDevices {
    /// Devices that are told by `tell`, which must not wait.
    pub fn new(tell: impl FnMut(IfIndex, DeviceChange) + Send + 'static) -> (Self, DeviceReports) {
        let (sender, reports) = unbounded_channel();
        (Self { reports, tell: Box::new(tell) }, DeviceReports(sender))
    }
}

/// How many indexes are not the kernel's, which counts from one.
const RESERVED: u32 = 1 << 16;

/// The name by which an interface's foreign device is known here; the kernel takes none with a `/` in it.
pub(crate) fn name(interface: IfIndex) -> Box<str> {
    format!("foreign/{}", interface.0).into()
}

fn index(interface: IfIndex) -> KernelIndex {
    KernelIndex(u32::MAX - u32::from(interface.0))
}

/// Whether a device is one of these.
pub(crate) const fn is_foreign(KernelIndex(index): KernelIndex) -> bool {
    index > u32::MAX - RESERVED
}

/// What a device of these is told, if a change is one for devices.
pub(crate) const fn change(change: LinkChange) -> Option<DeviceChange> {
    match change {
        LinkChange::Up(up) => Some(DeviceChange::Up(up)),
        LinkChange::Mtu(mtu) => Some(DeviceChange::Mtu(mtu)),
        LinkChange::Mac(mac) => Some(DeviceChange::Mac(mac)),
        LinkChange::Carrier(_) => None,
    }
}

/// Takes a report.
pub(crate) fn take(mirror: &mut Mirror, interface: IfIndex, report: DeviceReport) {
    let index = index(interface);
    let changed = match report {
        DeviceReport::Is { mac, mtu, up, carrier } => {
            let link = Link { index, name: name(interface), mac, mtu, up, carrier };
            mirror.ports.set_link(Side::Device, &link)
        }
        DeviceReport::Gone => mirror.ports.remove_link(Side::Device, index),
        DeviceReport::Refuses(change) => {
            let change = match change {
                DeviceChange::Up(up) => LinkChange::Up(up),
                DeviceChange::Mtu(mtu) => LinkChange::Mtu(mtu),
                DeviceChange::Mac(mac) => LinkChange::Mac(mac),
            };
            mirror.ports.answered(interface, Side::Device, change, false);
            Some(interface)
        }
    };
    if let Some(interface) = changed {
        mirror.interface_changed(interface);
    }
}

#[cfg(test)]
mod tests {
    use portcullis_packet::TxOffload;

    use super::*;
    use crate::request::Request;
    use crate::setup::{DeviceSetup, InterfaceSetup};

    const LAN: IfIndex = IfIndex(0);
    const MAC: Mac = Mac([2, 0, 0, 0, 0, 7]);

    fn mirror() -> Mirror {
        let setup = InterfaceSetup {
            name: "lan".into(),
            device: DeviceSetup::Foreign,
            mac: MAC,
            mtu: Some(1500),
            addresses: vec![],
            offload: TxOffload::NONE,
        };
        let mut mirror = Mirror::new(vec![setup], 1);
        let tap = Link {
            index: KernelIndex(3),
            name: "lan".into(),
            mac: MAC,
            mtu: 1500,
            up: true,
            carrier: false,
        };
        mirror.ports.set_link(Side::Tap, &tap);
        mirror
    }

    const IS: DeviceReport = DeviceReport::Is { mac: MAC, mtu: 1500, up: true, carrier: true };

    /// What is asked for, until nothing is.
    fn settle(mirror: &mut Mirror) -> Vec<(Side, LinkChange)> {
        let mut asked = vec![];
        while let Some((interface, side, request)) = mirror.ports.step() {
            let Request::SetLink { index, change } = request else { panic!("{request:?}") };
            assert_eq!(is_foreign(index), side == Side::Device);
            mirror.ports.answered(interface, side, change, true);
            asked.push((side, change));
            assert!(asked.len() < 20, "no end of it: {asked:?}");
        }
        asked
    }

    #[test]
    fn the_carrier_of_a_tap_is_that_of_its_foreign_device() {
        let mut mirror = mirror();
        let usable = |mirror: &Mirror| mirror.ports.get(LAN).is_some_and(|port| port.is_usable());
        assert!(!usable(&mirror), "nothing was reported yet");
        take(&mut mirror, LAN, IS);
        settle(&mut mirror);
        assert!(usable(&mirror));
        for report in
            [DeviceReport::Is { mac: MAC, mtu: 1500, up: true, carrier: false }, DeviceReport::Gone]
        {
            take(&mut mirror, LAN, report);
            let carrier = mirror.ports.get(LAN).and_then(|port| port.tap()).map(|tap| tap.carrier);
            let asked = settle(&mut mirror);
            assert_eq!(asked, [(Side::Tap, LinkChange::Carrier(false))], "{report:?} {carrier:?}");
            assert!(!usable(&mirror));
            take(&mut mirror, LAN, IS);
            assert_eq!(settle(&mut mirror), [(Side::Tap, LinkChange::Carrier(true))]);
        }
    }

    #[test]
    fn what_a_foreign_device_refuses_is_taken_back_at_the_tap() {
        let mut mirror = mirror();
        take(&mut mirror, LAN, IS);
        settle(&mut mirror);
        let tap = Link {
            index: KernelIndex(3),
            name: "lan".into(),
            mac: MAC,
            mtu: 9000,
            up: true,
            carrier: true,
        };
        mirror.ports.set_link(Side::Tap, &tap);
        assert_eq!(settle(&mut mirror), [(Side::Device, LinkChange::Mtu(9000))]);
        take(&mut mirror, LAN, DeviceReport::Refuses(DeviceChange::Mtu(9000)));
        take(&mut mirror, LAN, IS);
        assert_eq!(settle(&mut mirror), [(Side::Tap, LinkChange::Mtu(1500))]);
    }
}
