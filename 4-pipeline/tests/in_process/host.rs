//! A host at the far end of a wire: smoltcp, on a device that is two queues.

use std::collections::VecDeque;
use std::time::Duration;

use portcullis_packet::{Instant, Mac};
use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::phy::{self, Device, DeviceCapabilities, Medium};
use smoltcp::time::Instant as HostInstant;
use smoltcp::wire::{EthernetAddress, IpAddress, IpCidr};

/// Frames that arrived, and frames to be sent.
#[derive(Debug)]
pub(crate) struct Nic {
    mtu: usize,
    arrived: VecDeque<Vec<u8>>,
    sent: Vec<Vec<u8>>,
}

pub(crate) struct RxFrame(Vec<u8>);

pub(crate) struct TxSlot<'a>(&'a mut Vec<Vec<u8>>);

impl phy::RxToken for RxFrame {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

impl phy::TxToken for TxSlot<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; len];
        let result = f(&mut frame);
        self.0.push(frame);
        result
    }
}

impl Device for Nic {
    type RxToken<'a> = RxFrame;
    type TxToken<'a> = TxSlot<'a>;

    fn receive(&mut self, _: HostInstant) -> Option<(RxFrame, TxSlot<'_>)> {
        self.arrived.pop_front().map(|frame| (RxFrame(frame), TxSlot(&mut self.sent)))
    }

    fn transmit(&mut self, _: HostInstant) -> Option<TxSlot<'_>> {
        Some(TxSlot(&mut self.sent))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = self.mtu + 14;
        capabilities
    }
}

/// A host with its sockets.
pub(crate) struct Host {
    pub(crate) interface: Interface,
    pub(crate) sockets: SocketSet<'static>,
    pub(crate) nic: Nic,
}

impl Host {
    /// A host with these addresses (with prefix lengths), which sends all else to these gateways.
    pub(crate) fn new(mac: Mac, mtu: usize, addresses: &[&str], gateways: &[&str]) -> Self {
        let mut nic = Nic { mtu, arrived: VecDeque::new(), sent: vec![] };
        let mut config = Config::new(EthernetAddress(mac.0).into());
        config.random_seed = u64::from(mac.0[5]);
        let mut interface = Interface::new(config, &mut nic, HostInstant::ZERO);
        interface.update_ip_addrs(|list| {
            for address in addresses {
                let cidr: IpCidr = address.parse().expect("an address with a prefix length");
                list.push(cidr).expect("room for an address");
            }
        });
        for gateway in gateways {
            match gateway.parse().expect("an address") {
                IpAddress::Ipv4(via) => {
                    interface.routes_mut().add_default_ipv4_route(via).expect("room for a route");
                }
                IpAddress::Ipv6(via) => {
                    interface.routes_mut().add_default_ipv6_route(via).expect("room for a route");
                }
            }
        }
        Self { interface, sockets: SocketSet::new(vec![]), nic }
    }

    /// Takes a frame from the wire; it is looked at in the next [`Self::poll`].
    pub(crate) fn arrive(&mut self, frame: Vec<u8>) {
        self.nic.arrived.push_back(frame);
    }

    /// Lets the host do what is to be done now. Returns the frames that it sends.
    pub(crate) fn poll(&mut self, now: Instant) -> Vec<Vec<u8>> {
        self.interface.poll(host_time(now), &mut self.nic, &mut self.sockets);
        std::mem::take(&mut self.nic.sent)
    }

    /// When the host, which was polled just now, wants to be polled again, if nothing arrives before.
    pub(crate) fn poll_at(&mut self, now: Instant) -> Option<Instant> {
        let at = self.interface.poll_at(host_time(now), &self.sockets)?;
        // It says "at once" as well while it waits for an address to be resolved.
        let soonest = now + Duration::from_millis(1);
        Some(soonest.max(Instant((at.total_micros() as u64).saturating_mul(1000))))
    }
}

fn host_time(now: Instant) -> HostInstant {
    HostInstant::from_micros((now.0 / 1000) as i64)
}
