//! Rings shared with the kernel (packet(7), Documentation/networking/packet_mmap.rst). Each slot or
//! block must have room for a super-frame of 64 KiB.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU32, Ordering};

use libc::{tpacket_block_desc, tpacket_req, tpacket_req3, tpacket2_hdr, tpacket3_hdr};
use portcullis_drivers::vnet_hdr;
use portcullis_packet::{Packet, Pool};

use crate::baseline::Socket;
use crate::{Receive, Send};

/// A multiple of the page and room for a super-frame, its headers, and the kernel's.
const SLOT: usize = 17 * 4096;
const SLOTS: usize = 512;
const BLOCK: usize = 1 << 20;
const BLOCKS: usize = 34;

/// Puts the frame at `at`, with its offload header before it, into a packet buffer.
///
/// # Safety
/// `at` must point to `len` bytes, behind a `virtio_net_hdr`.
unsafe fn copy(at: *const u8, len: usize, pool: &mut Pool) -> Packet {
    let mut packet = pool.take(len).expect("enough buffers");
    assert!(packet.set_len(len));
    // SAFETY: the caller's promise; the packet has just been made this long.
    let header = unsafe {
        std::ptr::copy_nonoverlapping(at, packet.data_mut().as_mut_ptr(), len);
        at.sub(vnet_hdr::LEN).cast::<vnet_hdr::Bytes>().read()
    };
    packet.meta_mut().offload = vnet_hdr::parse(&header).expect("a header");
    packet
}

/// Slots of one size.
struct Slots {
    socket: Socket,
    memory: *mut u8,
    next: usize,
}

impl Slots {
    fn new(socket: Socket, option: libc::c_int) -> Self {
        socket.set(libc::PACKET_VERSION, &(libc::tpacket_versions::TPACKET_V2 as libc::c_int));
        let request = tpacket_req {
            tp_block_size: SLOT as u32,
            tp_block_nr: SLOTS as u32,
            tp_frame_size: SLOT as u32,
            tp_frame_nr: SLOTS as u32,
        };
        socket.set(option, &request);
        let memory = socket.map(SLOT * SLOTS);
        Self { socket, memory, next: 0 }
    }

    fn slot(&self) -> *mut u8 {
        // SAFETY: the mapping has `SLOTS` slots.
        unsafe { self.memory.add(self.next % SLOTS * SLOT) }
    }

    fn status(&self) -> &AtomicU32 {
        // SAFETY: the status is the first field of a slot's header, aligned, and shared with the
        // kernel only by atomic accesses.
        unsafe { AtomicU32::from_ptr(self.slot().cast()) }
    }
}

/// TPACKET_V2: a slot per frame.
pub(crate) struct RingV2(Slots);

impl RingV2 {
    pub(crate) fn new(socket: Socket) -> Self {
        let slots = Slots::new(socket, libc::PACKET_RX_RING);
        slots.socket.bind(libc::ETH_P_ALL);
        Self(slots)
    }
}

impl Receive for RingV2 {
    fn receive(&mut self, pool: &mut Pool, into: &mut Vec<Packet>) {
        while self.0.status().load(Ordering::Acquire) & libc::TP_STATUS_USER != 0 {
            let slot = self.0.slot();
            // SAFETY: the status says that the slot is ours, with a header and a frame in it.
            let packet = unsafe {
                let header = slot.cast::<tpacket2_hdr>().read();
                copy(slot.add(usize::from(header.tp_mac)), header.tp_snaplen as usize, pool)
            };
            into.push(packet);
            self.0.status().store(libc::TP_STATUS_KERNEL, Ordering::Release);
            self.0.next += 1;
        }
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.0.socket.as_fd()
    }
}

/// TPACKET_V3: blocks of frames, handed over when full or after a time.
pub(crate) struct RingV3 {
    socket: Socket,
    memory: *mut u8,
    next: usize,
}

impl RingV3 {
    pub(crate) fn new(socket: Socket) -> Self {
        socket.set(libc::PACKET_VERSION, &(libc::tpacket_versions::TPACKET_V3 as libc::c_int));
        let request = tpacket_req3 {
            tp_block_size: BLOCK as u32,
            tp_block_nr: BLOCKS as u32,
            tp_frame_size: 2048,
            tp_frame_nr: (BLOCK / 2048 * BLOCKS) as u32,
            tp_retire_blk_tov: 1,
            tp_sizeof_priv: 0,
            tp_feature_req_word: 0,
        };
        socket.set(libc::PACKET_RX_RING, &request);
        let memory = socket.map(BLOCK * BLOCKS);
        socket.bind(libc::ETH_P_ALL);
        Self { socket, memory, next: 0 }
    }
}

impl Receive for RingV3 {
    fn receive(&mut self, pool: &mut Pool, into: &mut Vec<Packet>) {
        loop {
            // SAFETY: the mapping has `BLOCKS` blocks, each with a descriptor at its start, whose
            // status is shared with the kernel only by atomic accesses.
            let (block, status) = unsafe {
                let block = self.memory.add(self.next % BLOCKS * BLOCK);
                let descriptor = block.cast::<tpacket_block_desc>();
                let status = &raw mut (*descriptor).hdr.bh1.block_status;
                (block, AtomicU32::from_ptr(status))
            };
            if status.load(Ordering::Acquire) & libc::TP_STATUS_USER == 0 {
                return;
            }
            // SAFETY: the status says that the block is ours; the kernel chained its frames.
            unsafe {
                let head = (*block.cast::<tpacket_block_desc>()).hdr.bh1;
                let mut at = block.add(head.offset_to_first_pkt as usize);
                for _ in 0..head.num_pkts {
                    let header = at.cast::<tpacket3_hdr>().read();
                    let frame = at.add(usize::from(header.tp_mac));
                    into.push(copy(frame, header.tp_snaplen as usize, pool));
                    at = at.add(header.tp_next_offset as usize);
                }
            }
            status.store(libc::TP_STATUS_KERNEL, Ordering::Release);
            self.next += 1;
        }
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A transmit ring of TPACKET_V2, past the qdisc.
pub(crate) struct TxRing(Slots);

impl TxRing {
    pub(crate) fn new(socket: Socket) -> Self {
        socket.set(libc::PACKET_QDISC_BYPASS, &1);
        let slots = Slots::new(socket, libc::PACKET_TX_RING);
        slots.socket.bind(0);
        Self(slots)
    }
}

impl Send for TxRing {
    fn send(&mut self, batch: &mut Vec<Packet>, pool: &mut Pool) {
        /// Where the kernel looks for the data of a slot.
        const DATA: usize = libc::TPACKET2_HDRLEN - size_of::<libc::sockaddr_ll>();
        for packet in batch.drain(..) {
            while self.0.status().load(Ordering::Acquire) != libc::TP_STATUS_AVAILABLE {
                self.0.socket.kick();
            }
            let header = vnet_hdr::emit(&packet.meta().offload, packet.data());
            let slot = self.0.slot();
            // SAFETY: the status says that the slot is ours, and it has room for a super-frame.
            unsafe {
                let data = slot.add(DATA);
                std::ptr::copy_nonoverlapping(header.as_ptr(), data, header.len());
                let frame = data.add(header.len());
                std::ptr::copy_nonoverlapping(packet.data().as_ptr(), frame, packet.len());
                (*slot.cast::<tpacket2_hdr>()).tp_len = (header.len() + packet.len()) as u32;
            }
            self.0.status().store(libc::TP_STATUS_SEND_REQUEST, Ordering::Release);
            self.0.next += 1;
            pool.put(packet);
        }
        self.0.socket.kick();
    }
}
