//! A queue pair of a device, polled by one worker's I/O thread.

use std::fmt;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};

use portcullis_drivers::{Port, PortStatus};
use portcullis_packet::{
    BATCH, Counter, DropReason, Frame, IfIndex, Meta, Offload, Packet, Pool, TxOffload,
};

use crate::device::{DeviceInfo, Shared};
use crate::ffi::{self, Received, Request, Sent};
use crate::memory::{BufferPool, DPDK};

/// Where in a transport header the checksum stands: that tells the protocols apart.
const TCP_CHECKSUM: u16 = 16;
const UDP_CHECKSUM: u16 = 6;

/// The longest network header that an mbuf can tell of, in 9 bits.
const MOST_L3: u16 = 511;

/// A port on DPDK. It stays with the thread that polls it.
pub struct DpdkPort {
    shared: Arc<Shared>,
    worker: u16,
    /// None if the device has fewer queues than there are workers.
    rx_queue: Option<u16>,
    /// And whether other workers send by it as well.
    tx_queue: (u16, bool),
    interface: IfIndex,
    status: Arc<PortStatus>,
    buffers: BufferPool,
    offload: TxOffload,
    /// The buffers of what is sent are soon filled by this CPU again.
    copied_by_cpu: bool,
    /// What a frame that comes in is known by.
    fresh: Meta,
    /// The same, of one whose IPv4 header the device has found right.
    checked: Meta,
    /// Packets that are made ready one by one.
    burst: Vec<Packet>,
    /// What is to be done to some of them.
    requests: Vec<Request>,
    /// Empty buffers of the device's, for frames that are not in such.
    copies: Vec<Packet>,
    /// Of what the device has lost, failed to receive and failed to send, what is counted already.
    counted: (u64, u64, u64),
}

impl DpdkPort {
    pub(crate) fn new(
        shared: Arc<Shared>,
        worker: u16,
        rx_queue: Option<u16>,
        tx_queue: (u16, bool),
        interface: IfIndex,
        (status, buffers, info): (Arc<PortStatus>, BufferPool, &DeviceInfo),
    ) -> Self {
        status.counters.opened.add(1);
        status.set_checks_ip4(info.checks_ip4);
        let fresh = Meta { rx_if: interface, ..Meta::NEW };
        // Flags of a device that was not asked to check mean nothing.
        let offload = Offload { ip4_checked: info.checks_ip4, ..Offload::NONE };
        let mut port = Self {
            shared,
            worker,
            rx_queue,
            tx_queue,
            interface,
            status,
            buffers,
            offload: info.offload,
            copied_by_cpu: info.copied_by_cpu,
            fresh,
            checked: Meta { offload, ..fresh },
            burst: Vec::with_capacity(BATCH),
            requests: Vec::with_capacity(BATCH),
            copies: Vec::with_capacity(BATCH),
            counted: (0, 0, 0),
        };
        port.maintain();
        port
    }

    /// Whether the device may be used now.
    #[inline]
    fn may_use(&self) -> bool {
        self.shared.gate.lets_pass(usize::from(self.worker))
    }

    /// Counts what the device has lost; one port of its does it for all.
    fn count_lost(&mut self) {
        if self.worker != 0 {
            return;
        }
        let (lost, failed, unsent) = self.counted;
        let now = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let Shared { lost: all_lost, failed: all_failed, unsent: all_unsent, .. } = &*self.shared;
        self.counted = (now(all_lost), now(all_failed), now(all_unsent));
        let counters = &self.status.counters;
        counters.drops.add(DropReason::RxOverrun, self.counted.0.saturating_sub(lost));
        add(&counters.errors, self.counted.1.saturating_sub(failed));
        counters.drops.add(DropReason::TxError, self.counted.2.saturating_sub(unsent));
    }

    /// Frames in several pieces, or in memory of others, become packets of ours. What can't is dropped and counted.
    #[cold]
    fn copy_out(&self, mut odd: u64, first: usize, into: &mut Vec<Packet>, pool: &mut Pool) {
        while let Some(at) = odd.checked_ilog2() {
            odd &= !(1 << at);
            let Some(place) = into.get_mut(first + at as usize) else { continue };
            match self.copy_of(place, pool) {
                Some(copy) => *place = copy,
                None => {
                    self.status.counters.drops.add(DropReason::RxTooLarge, 1);
                    into.remove(first + at as usize);
                }
            }
        }
    }

    fn copy_of(&self, packet: &Packet, pool: &mut Pool) -> Option<Packet> {
        let frame = packet.as_frame().as_ptr().cast();
        // SAFETY: the packet is in a buffer of DPDK's.
        let length = unsafe { ffi::pc_length(frame) };
        if length == 0 {
            return None;
        }
        let mut copy = pool.take(length as usize)?;
        if !copy.set_len(length as usize) {
            return None;
        }
        // SAFETY: there are so many bytes in the copy.
        unsafe { ffi::pc_copy_out(frame, copy.data_mut().as_mut_ptr(), length) };
        *copy.meta_mut() = self.fresh;
        Some(copy)
    }

    /// Puts a packet into the burst: as it is if the buffer is the device's own, or else a copy.
    fn add(&mut self, packet: Packet, pool: &mut Pool) {
        let drops = &self.status.counters.drops;
        let at = self.burst.len() as u16;
        let Ok(request) = request(at, packet.meta().offload, packet.data()) else {
            drops.add(DropReason::TxError, 1);
            return pool.put(packet);
        };
        if packet.is_owned_by(&DPDK) {
            self.burst.push(packet);
        } else {
            let copy = self.copy_in(&packet);
            pool.put(packet);
            match copy {
                Ok(copy) => self.burst.push(copy),
                Err(reason) => return self.status.counters.drops.add(reason, 1),
            }
        }
        self.requests.extend(request);
    }

    /// A copy in a buffer of the device's, if there is one that it fits into.
    fn copy_in(&mut self, packet: &Packet) -> Result<Packet, DropReason> {
        if self.copies.is_empty()
            && !self.buffers.take(BATCH, &mut self.copies)
            && !self.buffers.take(1, &mut self.copies)
        {
            return Err(DropReason::TxFull);
        }
        let mut copy = self.copies.pop().ok_or(DropReason::TxFull)?;
        if !copy.set_len(packet.len()) {
            self.copies.push(copy);
            return Err(DropReason::TxError);
        }
        copy.data_mut().copy_from_slice(packet.data());
        Ok(copy)
    }

    /// Sends the burst that was made ready. Returns how many frames went out.
    fn send_burst(&mut self) -> usize {
        if self.burst.is_empty() {
            return 0;
        }
        let mut burst = std::mem::take(&mut self.burst);
        let sent = Packet::give_up(&DPDK, &mut burst).map_or(0, |frames| self.send(frames));
        self.burst = burst;
        self.requests.clear();
        sent
    }

    /// Sends frames in buffers of DPDK's that their packets have given up, a burst at most. Returns how many went out; the
    /// others are dropped and counted.
    #[inline]
    fn send(&self, frames: &mut [NonNull<Frame>]) -> usize {
        let (count, requests) = (frames.len() as u16, &self.requests);
        let (port, (queue, is_shared)) = (self.shared.port, self.tx_queue);
        let mut sent = Sent::default();
        let lock = self.shared.sending.get(usize::from(queue)).filter(|_| is_shared);
        let held = lock.map(|lock| lock.lock().unwrap_or_else(PoisonError::into_inner));
        // SAFETY: the frames are this device's buffers or other ones of DPDK, given up by their packets, and the shim
        // frees those that the device does not take. The queue is this thread's, or locked.
        unsafe {
            let (frames, requests, asked) =
                (frames.as_mut_ptr().cast(), requests.as_ptr(), requests.len() as u16);
            let filled = self.copied_by_cpu.into();
            ffi::pc_transmit(port, queue, frames, count, filled, requests, asked, &mut sent);
        }
        drop(held);
        let counters = &self.status.counters;
        add(&counters.tx_packets, sent.frames.into());
        add(&counters.tx_bytes, sent.bytes);
        let left = count.saturating_sub(sent.frames);
        if left > 0 {
            self.shared.refused.fetch_add(left.into(), Ordering::Relaxed);
            counters.drops.add(DropReason::TxError, sent.refused.into());
            counters.drops.add(DropReason::TxFull, left.saturating_sub(sent.refused).into());
        }
        sent.frames.into()
    }
}

impl fmt::Debug for DpdkPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("DpdkPort");
        debug.field("interface", &self.interface).field("worker", &self.worker);
        debug.finish_non_exhaustive()
    }
}

impl Port for DpdkPort {
    fn interface(&self) -> IfIndex {
        self.interface
    }

    fn receive(&mut self, pool: &mut Pool, into: &mut Vec<Packet>, max: usize) -> usize {
        if !self.may_use() {
            return 0;
        }
        let Some(queue) = self.rx_queue else { return 0 };
        let (port, most, first) = (self.shared.port, max.min(BATCH), into.len());
        let (fresh, checked) = ((&raw const self.fresh).cast(), (&raw const self.checked).cast());
        let mut received = Received::default();
        // SAFETY: there is room for as many as are asked for, and the queue is this thread's. The device gives the frames
        // up, whose headers were made with their pool; where the data are has been checked.
        let count = unsafe {
            Packet::receive_foreign(into, most, |room| {
                let (frames, most) = (room.as_mut_ptr().cast(), room.len() as u16);
                ffi::pc_receive(port, queue, frames, most, fresh, checked, &mut received).into()
            })
        };
        let counters = &self.status.counters;
        add(&counters.rx_packets, count as u64);
        add(&counters.rx_bytes, received.bytes);
        if received.odd != 0 {
            self.copy_out(received.odd, first, into, pool);
        }
        into.len() - first
    }

    fn transmit(&mut self, batch: &mut Vec<Packet>, pool: &mut Pool) -> usize {
        if !self.may_use() {
            self.status.counters.drops.add(DropReason::EgressDown, batch.len() as u64);
            batch.drain(..).for_each(|packet| pool.put(packet));
            return 0;
        }
        let is_finished = |packet: &Packet| !packet.meta().offload.needs_csum;
        if batch.len() <= BATCH
            && batch.iter().all(is_finished)
            && let Some(frames) = Packet::give_up(&DPDK, batch)
        {
            return self.send(frames);
        }
        let mut sent = 0;
        for packet in batch.drain(..) {
            self.add(packet, pool);
            if self.burst.len() >= BATCH {
                sent += self.send_burst();
            }
        }
        sent + self.send_burst()
    }

    fn wait_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn maintain(&mut self) {
        let seen = &self.shared.seen;
        self.status.set_link(seen.mac(), seen.mtu());
        self.status.set_state(seen.state());
        self.may_use();
        self.count_lost();
    }

    fn status(&self) -> &Arc<PortStatus> {
        &self.status
    }

    fn offload(&self) -> TxOffload {
        self.offload
    }
}

/// What the device is to complete in the frame at this place of a burst. An error: a checksum that no device of DPDK's can.
fn request(at: u16, offload: Offload, data: &[u8]) -> Result<Option<Request>, ()> {
    const L2: u16 = 14;
    if !offload.needs_csum {
        return Ok(None);
    }
    let is_6 = data.get(usize::from(L2)).is_some_and(|first| first >> 4 == 6);
    let flags = match (offload.csum_offset, is_6) {
        (TCP_CHECKSUM, false) => ffi::CHECKSUM_TCP4,
        (TCP_CHECKSUM, true) => ffi::CHECKSUM_TCP6,
        (UDP_CHECKSUM, false) => ffi::CHECKSUM_UDP4,
        (UDP_CHECKSUM, true) => ffi::CHECKSUM_UDP6,
        _ => return Err(()),
    };
    let l3 = offload.csum_start.checked_sub(L2).filter(|&l3| l3 <= MOST_L3).ok_or(())?;
    Ok(Some(Request { at, flags, l2: L2, l3 }))
}

#[inline]
fn add(counter: &Counter, count: u64) {
    if count > 0 {
        counter.add(count);
    }
}

impl Drop for DpdkPort {
    fn drop(&mut self) {
        self.copies.clear();
        // Nobody polls by this worker any more.
        self.shared.gate.leave(usize::from(self.worker));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_mbuf_can_say_is_not_asked_of_a_device() {
        let asked = |csum_start, csum_offset| {
            let offload = Offload { needs_csum: true, csum_start, csum_offset, ..Offload::NONE };
            request(7, offload, &[0x45; 60])
                .map(|request| request.map(|it| (it.at, it.flags, it.l3)))
        };
        assert_eq!(asked(34, TCP_CHECKSUM), Ok(Some((7, ffi::CHECKSUM_TCP4, 20))));
        assert_eq!(asked(14 + 511, UDP_CHECKSUM), Ok(Some((7, ffi::CHECKSUM_UDP4, 511))));
        assert_eq!(asked(14 + 512, UDP_CHECKSUM), Err(()));
        assert_eq!(asked(13, TCP_CHECKSUM), Err(()));
        assert_eq!(asked(34, 2), Err(()));
        assert_eq!(request(0, Offload::NONE, &[]).map(|it| it.is_none()), Ok(true));
    }
}
