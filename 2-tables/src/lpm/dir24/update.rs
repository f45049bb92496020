//! Changing a DIR-24-8 table that is being read.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use ipnet::Ipv4Net;
use portcullis_packet::{Epoch, NextHopId};
use prefix_trie::Prefix;
use zerocopy::FromZeros;

use super::super::FibError;
use super::super::arena::Full;
use super::super::grace::Grace;
use super::super::rib::{Rib, Route};
use super::{Cell, Dir24, HOSTS, NETWORKS};

/// Groups of the smallest table; their pages are not touched before they are used.
const FEWEST_GROUPS: usize = 1 << 12;

/// The one writer of a [`Dir24`].
///
/// Beside each entry it keeps the length of the prefix that the entry's value is from, 0 where
/// there is none. A route concerns just those entries in its range whose prefix is no longer.
#[derive(Debug)]
pub(in super::super) struct DirWriter<C> {
    table: Arc<Dir24<C>>,
    network_lengths: Box<[u8; NETWORKS]>,
    host_lengths: Box<[[u8; HOSTS]]>,
    /// Groups that came back.
    free: Vec<u32>,
    /// The first group that was never used.
    fresh: u32,
    grace: Grace<u32>,
}

/// What a range of addresses is painted with: a value, and the length of the prefix it is from.
#[derive(Clone, Copy)]
struct Paint {
    value: u32,
    len: u8,
}

impl<C: Cell> DirWriter<C> {
    /// A table of all these routes, with room for more groups; nothing if they do not fit
    /// into entries of this width.
    pub(in super::super) fn build(rib: &Rib<u32>) -> Result<Option<Self>, FibError> {
        let routes = rib.all();
        let needed = groups_for(&routes);
        // Not full from the start: it would soon have to be built again.
        if needed > C::MOST_GROUPS / 8 * 7 {
            return Ok(None);
        }
        let groups = (needed * 2).next_power_of_two().clamp(FEWEST_GROUPS, C::MOST_GROUPS);
        let mut writer = Self {
            table: Arc::new(Dir24::new(groups)?),
            network_lengths: FromZeros::new_box_zeroed().map_err(|_| FibError::OutOfMemory)?,
            host_lengths: FromZeros::new_box_zeroed_with_elems(groups)
                .map_err(|_| FibError::OutOfMemory)?,
            free: Vec::new(),
            fresh: 0,
            grace: Grace::new(),
        };
        for Route { addr, len, value } in routes {
            let len = len as u8;
            if writer.paint(addr, len, Paint { value, len }).is_err() {
                return Ok(None);
            }
        }
        writer.set_default(rib.default_route());
        Ok(Some(writer))
    }

    pub(in super::super) fn reader(&self) -> Arc<Dir24<C>> {
        Arc::clone(&self.table)
    }

    pub(in super::super) fn set_default(&self, next_hop: NextHopId) {
        self.table.default.set(next_hop);
    }

    /// Brings the addresses of `net`, which is not the default, up to date with `rib`. If there is
    /// no group left, or the value does not fit, nothing changes.
    pub(in super::super) fn apply(&mut self, net: Ipv4Net, rib: &Rib<u32>) -> Result<(), Full> {
        let (len, value) = rib
            .longest_match(net)
            .filter(|(cover, _)| cover.prefix_len() > 0)
            .map_or((0, 0), |(cover, next_hop)| (cover.prefix_len(), next_hop.0));
        self.paint(net.repr(), net.prefix_len(), Paint { value, len })
    }

    pub(in super::super) fn retire(&mut self, epoch: Epoch) {
        self.grace.retire(epoch);
    }

    pub(in super::super) fn reclaim(&mut self, seen: Epoch) {
        self.free.extend(self.grace.reclaim(seen));
    }

    fn paint(&mut self, addr: u32, len: u8, paint: Paint) -> Result<(), Full> {
        if paint.value >= C::GROUP {
            return Err(Full);
        }
        let network = (addr >> 8) as usize;
        if let Some(bits) = 24_u8.checked_sub(len) {
            for network in network..network + (1 << bits) {
                self.paint_network(network, len, paint);
            }
            Ok(())
        } else {
            let first = addr as usize % HOSTS;
            self.paint_hosts(network, first, len, paint)
        }
    }

    /// Paints a whole network that a prefix of length `len` covers.
    fn paint_network(&mut self, network: usize, len: u8, paint: Paint) {
        let length = &mut self.network_lengths[network];
        if *length > len {
            return;
        }
        *length = paint.len;
        let cell = &self.table.networks[network];
        match group_in::<C>(cell.load(Ordering::Relaxed)) {
            Some(group) => {
                paint_group(&self.table.groups[group], &mut self.host_lengths[group], len, paint)
            }
            None => cell.publish(paint.value),
        }
    }

    /// Paints a part of a network.
    fn paint_hosts(
        &mut self,
        network: usize,
        first: usize,
        len: u8,
        paint: Paint,
    ) -> Result<(), Full> {
        let cell = &self.table.networks[network];
        let entry = cell.load(Ordering::Relaxed);
        let hosts = first..first + (1 << (32 - len));
        if let Some(group) = group_in::<C>(entry) {
            let cells = &self.table.groups[group];
            let lengths = &mut self.host_lengths[group];
            paint_group(&cells[hosts.clone()], &mut lengths[hosts], len, paint);
            if lengths.iter().all(|len| *len <= 24) {
                // All have the network's own value again.
                cell.publish(cells[0].load(Ordering::Relaxed));
                self.grace.unlink(group as u32);
            }
            return Ok(());
        }
        let group = self.take_group()?;
        let cells = &self.table.groups[group as usize];
        let lengths = &mut self.host_lengths[group as usize];
        lengths.fill(self.network_lengths[network]);
        cells.iter().for_each(|cell| cell.publish(entry));
        paint_group(&cells[hosts.clone()], &mut lengths[hosts], len, paint);
        self.table.networks[network].publish(C::GROUP | group);
        Ok(())
    }

    fn take_group(&mut self) -> Result<u32, Full> {
        self.free.pop().map_or_else(
            || {
                let group = self.fresh;
                let is_there = (group as usize) < self.host_lengths.len();
                self.fresh += u32::from(is_there);
                if is_there { Ok(group) } else { Err(Full) }
            },
            Ok,
        )
    }
}

/// Paints those of the entries whose prefix is no longer than `len`.
fn paint_group<C: Cell>(cells: &[C], lengths: &mut [u8], len: u8, paint: Paint) {
    for (cell, length) in cells.iter().zip(lengths) {
        if *length <= len {
            *length = paint.len;
            cell.publish(paint.value);
        }
    }
}

fn group_in<C: Cell>(entry: u32) -> Option<usize> {
    (entry & C::GROUP != 0).then_some((entry & !C::GROUP) as usize)
}

/// How many networks have prefixes longer than 24 bits in them.
fn groups_for(routes: &[Route<u32>]) -> usize {
    let mut networks: Vec<u32> =
        routes.iter().filter(|route| route.len > 24).map(|route| route.addr >> 8).collect();
    networks.dedup();
    networks.len()
}
