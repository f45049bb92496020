//! Addresses of the configuration file, on the taps.

use std::collections::HashMap;

use ipnet::IpNet;
use portcullis_packet::{IfIndex, Instant};

use super::retry::Retry;
use super::withdrawn::Withdrawn;
use crate::event::{Address, KernelIndex, Protocol};
use crate::mirror::Mirror;
use crate::request::Request;

/// What is to be on which tap.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    taps: HashMap<(IfIndex, KernelIndex), OnTap>,
    /// Addresses that were to be, and are no longer.
    withdrawn: Withdrawn<(KernelIndex, IpNet)>,
}

#[derive(Debug, Default)]
struct OnTap {
    /// What the configuration said when the tap was looked at last.
    said: Vec<IpNet>,
    /// Those of them that have not been seen yet since they were asked for. What was seen once and is
    /// not there any more was taken away by somebody.
    pending: Vec<(IpNet, Retry)>,
}

impl OnTap {
    fn ask_for(&mut self, net: IpNet) {
        self.pending.retain(|(other, _)| *other != net);
        self.pending.push((net, Retry::new()));
    }

    fn is_pending(&self, net: IpNet) -> bool {
        self.pending.iter().any(|(other, _)| *other == net)
    }
}

impl Addresses {
    /// What to ask the kernel for now. Old ones go first: to IPv6, one address with two prefix lengths
    /// is one that is there.
    pub(super) fn requests(&mut self, mirror: &Mirror, now: Instant, requests: &mut Vec<Request>) {
        self.compare(mirror, now);
        self.withdraw(mirror, now, requests);
        for ((_, index), tap) in &mut self.taps {
            let due = tap.pending.iter_mut().filter_map(|(net, retry)| {
                retry.is_due(now).then_some(Request::AddAddress { index: *index, net: *net })
            });
            requests.extend(due);
        }
    }

    /// Notes what the configuration says that it did not say before, what it no longer says, and what
    /// has been done.
    fn compare(&mut self, mirror: &Mirror, now: Instant) {
        let certain = !mirror.resync.is_running();
        for (interface, port) in mirror.ports.iter() {
            let Some(tap) = port.tap() else { continue };
            let (index, wanted) = (tap.index, &port.setup.addresses);
            let is_new = !self.taps.contains_key(&(interface, index));
            let tap = self.taps.entry((interface, index)).or_default();
            if is_new {
                // It may have what a former run set, and what others did.
                let counts = |a: &&Address| a.protocol == Protocol::OURS || wanted.contains(&a.net);
                tap.said = mirror.addresses(index).filter(counts).map(|a| a.net).collect();
            }
            // What is seen before, or while tables are read again, may be on its way out.
            tap.pending.retain(|(net, asked)| {
                !certain || !asked.was_tried() || find(mirror, index, *net).is_none()
            });
            if tap.said == *wanted {
                continue;
            }
            let before = std::mem::replace(&mut tap.said, wanted.clone());
            tap.pending.retain(|(net, _)| wanted.contains(net));
            self.withdrawn.retain(|(on, net)| *on != index || !wanted.contains(net));
            for gone in before.iter().filter(|net| !wanted.contains(net)) {
                self.withdrawn.add((index, *gone), now);
            }
            for new in wanted.iter().filter(|net| !before.contains(net)) {
                tap.ask_for(*new);
            }
        }
    }

    fn withdraw(&mut self, mirror: &Mirror, now: Instant, requests: &mut Vec<Request>) {
        let ours = |(index, net): &(KernelIndex, IpNet)| {
            find(mirror, *index, *net).filter(|address| is_ours(address))
        };
        let certain = !mirror.resync.is_running();
        for name in self.withdrawn.due(now, certain, |name| ours(name).is_some()) {
            let Some(gone) = ours(&name) else { continue };
            requests.push(Request::RemoveAddress(*gone));
            let taps = self.taps.iter_mut().filter(|((_, index), _)| *index == gone.index);
            for (_, tap) in taps {
                for kept in tap.said.clone() {
                    let there = find(mirror, gone.index, kept).is_some();
                    if shares_network(kept, gone.net) && (there || tap.is_pending(kept)) {
                        tap.ask_for(kept);
                    }
                }
            }
        }
    }
}

fn find(mirror: &Mirror, index: KernelIndex, net: IpNet) -> Option<&Address> {
    mirror.addresses(index).find(|address| address.net == net)
}

/// Whether it may be one that the manager set. Before 5.18 kernels did not remember.
fn is_ours(address: &Address) -> bool {
    [Protocol::OURS, Protocol::default()].contains(&address.protocol)
}

/// Whether one address may depend on the other: of the IPv4 addresses of a network the first is the
/// primary one, and takes the others along when it goes, unless the kernel is told to promote them.
fn shares_network(a: IpNet, b: IpNet) -> bool {
    a.addr().is_ipv4() && a.trunc() == b.trunc()
}
