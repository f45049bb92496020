//! A queue pair of a device, polled by one worker's I/O thread.

use std::fmt;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use portcullis_drivers::{Port, PortStatus};
use portcullis_packet::{
    BATCH, Counter, DropReason, IfIndex, Meta, Offload, Packet, Pool, TxOffload,
};

use crate::device::Shared;
use crate::ffi::{self, Received, Sending};
use crate::memory::{BufferPool, DPDK};

/// Where in a transport header the checksum stands: that tells the protocols apart.
const TCP_CHECKSUM: u16 = 16;
const UDP_CHECKSUM: u16 = 6;

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
    received: Box<[Received; BATCH]>,
    sending: Vec<Sending>,
    /// Empty buffers of the device's, for frames that are not in such.
    copies: Vec<Packet>,
    /// Of what the device has lost and received broken, what is counted already.
    counted: (u64, u64),
}

// SAFETY: the pointers in `received` and `sending` are those of the last burst and are not followed after it.
unsafe impl Send for DpdkPort {}

impl DpdkPort {
    pub(crate) fn new(
        shared: Arc<Shared>,
        worker: u16,
        rx_queue: Option<u16>,
        tx_queue: (u16, bool),
        interface: IfIndex,
        (status, buffers, offload): (Arc<PortStatus>, BufferPool, TxOffload),
    ) -> Self {
        status.counters.opened.add(1);
        let mut port = Self {
            shared,
            worker,
            rx_queue,
            tx_queue,
            interface,
            status,
            buffers,
            offload,
            received: Box::new([Received::NONE; BATCH]),
            sending: Vec::with_capacity(BATCH),
            copies: Vec::with_capacity(BATCH),
            counted: (0, 0),
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
        let (lost, broken) = self.counted;
        let now = &self.shared;
        self.counted = (now.lost.load(Ordering::Relaxed), now.broken.load(Ordering::Relaxed));
        let counters = &self.status.counters;
        counters.drops.add(DropReason::RxOverrun, self.counted.0.saturating_sub(lost));
        add(&counters.errors, self.counted.1.saturating_sub(broken));
    }

    /// Takes a frame over as it is. `None`, and it is dropped and counted, if it can't be.
    #[inline]
    fn take(&self, received: &Received, pool: &mut Pool) -> Option<Packet> {
        let frame = NonNull::new(received.frame)?.cast();
        // SAFETY: the device gave the buffer up, and its header was made with the pool's.
        let mut packet = unsafe { Packet::from_foreign(frame) };
        if received.flags & ffi::ODD == 0 && packet.place(received.start, received.length) {
            *packet.meta_mut() = Meta { rx_if: self.interface, ..Meta::NEW };
            return Some(packet);
        }
        let copied = self.copy_out(received, pool);
        drop(packet);
        copied
    }

    /// A frame in several pieces, or in memory of others, becomes one of ours.
    #[cold]
    fn copy_out(&self, received: &Received, pool: &mut Pool) -> Option<Packet> {
        let length = received.length as usize;
        let copy = pool.take(length).and_then(|mut copy| copy.set_len(length).then_some(copy));
        let Some(mut packet) = copy else {
            self.status.counters.drops.add(DropReason::RxTooLarge, 1);
            return None;
        };
        // SAFETY: there are so many bytes in the packet, and the frame is still the caller's.
        unsafe {
            let to = packet.data_mut().as_mut_ptr();
            ffi::pc_copy_out(received.frame, to, received.length);
        }
        packet.meta_mut().rx_if = self.interface;
        Some(packet)
    }

    /// Puts a packet into the burst: as it is if the buffer is the device's own, or else a copy.
    #[inline]
    fn add(&mut self, packet: Packet, pool: &mut Pool) {
        let (offload, start, length) =
            (packet.meta().offload, packet.headroom() as u32, packet.len() as u32);
        let Some((l2, l3, flags)) = checksum(offload, packet.data()) else {
            self.status.counters.drops.add(DropReason::TxError, 1);
            return pool.put(packet);
        };
        match packet.into_foreign(&DPDK) {
            Ok(frame) => {
                self.sending.push(Sending {
                    frame: frame.as_ptr().cast(),
                    start,
                    length,
                    l2,
                    l3,
                    flags,
                });
            }
            Err(packet) => {
                if let Some((frame, start)) = self.copy_in(&packet) {
                    self.sending.push(Sending { frame, start, length, l2, l3, flags });
                }
                pool.put(packet);
            }
        }
    }

    /// A copy in a buffer of the device's. `None`, and it is counted, if there is none that it fits into.
    fn copy_in(&mut self, packet: &Packet) -> Option<(*mut ffi::Header, u32)> {
        if self.copies.is_empty() {
            let few = self.buffers.take(BATCH, &mut self.copies)
                || self.buffers.take(1, &mut self.copies);
            if !few {
                self.status.counters.drops.add(DropReason::TxFull, 1);
                return None;
            }
        }
        let mut copy = self.copies.pop()?;
        if !copy.set_len(packet.len()) {
            self.copies.push(copy);
            self.status.counters.drops.add(DropReason::TxError, 1);
            return None;
        }
        copy.data_mut().copy_from_slice(packet.data());
        let start = copy.headroom() as u32;
        let frame = copy.into_foreign(&DPDK).ok()?;
        Some((frame.as_ptr().cast(), start))
    }

    /// Sends the burst. Returns how many frames went out; the others are dropped and counted.
    fn send(&mut self) -> usize {
        let count = self.sending.len();
        let (port, (queue, is_shared)) = (self.shared.port, self.tx_queue);
        let sent = {
            let lock = self.shared.sending.get(usize::from(queue)).filter(|_| is_shared);
            let _held = lock.map(|lock| lock.lock().unwrap_or_else(PoisonError::into_inner));
            let mut sent = 0;
            // A burst that was cut short is tried once more: some devices take a part at a time.
            for _ in 0..2 {
                let Some(rest) = self.sending.get(sent..).filter(|rest| !rest.is_empty()) else {
                    break;
                };
                let most = rest.len() as u16;
                // SAFETY: the frames are this device's buffers or other ones of DPDK, given up by their
                // packets; those that it takes are its own from now on. The queue is this thread's, or locked.
                sent += usize::from(unsafe { ffi::pc_transmit(port, queue, rest.as_ptr(), most) });
            }
            sent.min(count)
        };
        let counters = &self.status.counters;
        for gone in self.sending.iter().take(sent) {
            counters.tx_bytes.add(u64::from(gone.length));
        }
        counters.tx_packets.add(sent as u64);
        let refused = self.sending.drain(..).skip(sent);
        let mut left = 0;
        for frame in refused.filter_map(|refused| NonNull::new(refused.frame)) {
            // SAFETY: the device did not take it, so it is ours again; it goes home.
            drop(unsafe { Packet::from_foreign(frame.cast()) });
            left += 1;
        }
        counters.drops.add(DropReason::TxFull, left);
        sent
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
        let most = max.min(BATCH) as u16;
        // SAFETY: there is room for as many as are asked for; the queue is this thread's.
        let count =
            unsafe { ffi::pc_receive(self.shared.port, queue, self.received.as_mut_ptr(), most) };
        let (before, mut bytes) = (into.len(), 0);
        for received in self.received.iter().take(usize::from(count)) {
            bytes += u64::from(received.length);
            into.extend(self.take(received, pool));
        }
        let counters = &self.status.counters;
        add(&counters.rx_packets, u64::from(count));
        add(&counters.rx_bytes, bytes);
        into.len() - before
    }

    fn transmit(&mut self, batch: &mut Vec<Packet>, pool: &mut Pool) -> usize {
        if !self.may_use() {
            self.status.counters.drops.add(DropReason::EgressDown, batch.len() as u64);
            batch.drain(..).for_each(|packet| pool.put(packet));
            return 0;
        }
        let mut sent = 0;
        for packet in batch.drain(..) {
            self.add(packet, pool);
            if self.sending.len() >= BATCH {
                sent += self.send();
            }
        }
        if !self.sending.is_empty() {
            sent += self.send();
        }
        sent
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

/// What the device is to complete: lengths of the headers, and which checksum. `None`: one that no device of DPDK's can.
#[inline]
fn checksum(offload: Offload, data: &[u8]) -> Option<(u16, u16, u32)> {
    const L2: u16 = 14;
    if !offload.needs_csum {
        return Some((0, 0, 0));
    }
    let is_6 = data.get(usize::from(L2)).is_some_and(|first| first >> 4 == 6);
    let flags = match (offload.csum_offset, is_6) {
        (TCP_CHECKSUM, false) => ffi::CHECKSUM_TCP4,
        (TCP_CHECKSUM, true) => ffi::CHECKSUM_TCP6,
        (UDP_CHECKSUM, false) => ffi::CHECKSUM_UDP4,
        (UDP_CHECKSUM, true) => ffi::CHECKSUM_UDP6,
        _ => return None,
    };
    Some((L2, offload.csum_start.checked_sub(L2)?, flags))
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
