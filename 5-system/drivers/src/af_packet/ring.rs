//! The receive ring (TPACKET_V2, Documentation/networking/packet_mmap.rst): slots of memory shared
//! with the kernel, which puts a frame into each and says so in the slot's status.

use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use libc::tpacket2_hdr;
use portcullis_packet::prefetch;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use super::socket::Socket;
use crate::vlan::Tag;
use crate::vnet_hdr;

/// Bytes of a slot: the kernel's header and any frame of an MTU up to 2,200. Larger frames are cut
/// here, and come whole through the socket ([`Arrived::comes_by_socket`]).
const SLOT: usize = 2304;

/// Slots of a block: the kernel allocates blocks, which are whole pages.
const SLOTS_PER_BLOCK: usize = 64;

const BLOCK: usize = SLOT * SLOTS_PER_BLOCK;
const _: () = assert!(BLOCK.is_multiple_of(4096));

/// How many slots ahead the processor is asked for. Another CPU has written them.
const AHEAD: usize = 4;

/// The ring of one socket.
#[derive(Debug)]
pub(super) struct Ring {
    memory: NonNull<u8>,
    slots: usize,
    /// The slot that the kernel fills next, or has filled.
    next: usize,
}

// SAFETY: the mapping may be used on any thread, and the `Ring` is its only owner.
unsafe impl Send for Ring {}

/// A frame in the ring.
pub(super) struct Arrived<'a> {
    /// Its bytes, or as many as fit.
    pub(super) frame: &'a [u8],
    /// Its offload header.
    pub(super) header: Option<&'a vnet_hdr::Bytes>,
    /// The VLAN tag that was taken off it.
    pub(super) tag: Option<Tag>,
    /// Whether bytes are missing here.
    pub(super) is_cut: bool,
    /// Whether the whole frame is the next one to be received from the socket.
    pub(super) comes_by_socket: bool,
}

impl Ring {
    /// Gives `socket` a ring of about `bytes` bytes.
    pub(super) fn new(socket: &Socket, bytes: usize) -> io::Result<Self> {
        let blocks = bytes.div_ceil(BLOCK).max(1);
        let slots = blocks * SLOTS_PER_BLOCK;
        let too_large = |_| io::Error::from(io::ErrorKind::InvalidInput);
        let request = libc::tpacket_req {
            tp_block_size: BLOCK as u32,
            tp_block_nr: u32::try_from(blocks).map_err(too_large)?,
            tp_frame_size: SLOT as u32,
            tp_frame_nr: u32::try_from(slots).map_err(too_large)?,
        };
        socket.make_ring(&request)?;
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        let flags = MapFlags::SHARED | MapFlags::POPULATE;
        // SAFETY: a new mapping, at an address of the kernel's choice.
        let memory =
            unsafe { mmap(std::ptr::null_mut(), blocks * BLOCK, protection, flags, socket, 0) }?;
        let memory = NonNull::new(memory.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { memory, slots, next: 0 })
    }

    /// The oldest frame that has not been released.
    #[inline]
    pub(super) fn oldest(&self) -> Option<Arrived<'_>> {
        let status = self.status().load(Ordering::Acquire);
        if status & libc::TP_STATUS_USER == 0 {
            return None;
        }
        let ahead = self.slot((self.next + AHEAD) % self.slots);
        prefetch(ahead.as_ptr());
        prefetch(ahead.as_ptr().wrapping_add(64));
        let slot = self.slot(self.next);
        // SAFETY: the status says that the slot is ours until it is released, and that takes
        // `&mut self`. It is `SLOT` bytes of the mapping, all of them initialised by the kernel.
        let (bytes, head) = unsafe {
            let bytes = std::slice::from_raw_parts(slot.as_ptr(), SLOT);
            (bytes, slot.cast::<tpacket2_hdr>().as_ref())
        };
        let (before, frame) = bytes.split_at(usize::from(head.tp_mac).min(SLOT));
        let vlan = status & libc::TP_STATUS_VLAN_VALID != 0;
        let tpid_known = status & libc::TP_STATUS_VLAN_TPID_VALID != 0;
        let tpid = if tpid_known { head.tp_vlan_tpid } else { libc::ETH_P_8021Q as u16 };
        Some(Arrived {
            frame: frame.get(..head.tp_snaplen as usize).unwrap_or_default(),
            header: before.last_chunk(),
            tag: vlan.then_some(Tag { tpid, tci: head.tp_vlan_tci }),
            is_cut: head.tp_snaplen < head.tp_len,
            comes_by_socket: status & libc::TP_STATUS_COPY != 0,
        })
    }

    /// Gives the slot of the oldest frame back to the kernel.
    #[inline]
    pub(super) fn release(&mut self) {
        self.status().store(libc::TP_STATUS_KERNEL, Ordering::Release);
        self.next = (self.next + 1) % self.slots;
    }

    #[inline]
    fn slot(&self, index: usize) -> NonNull<u8> {
        debug_assert!(index < self.slots);
        // SAFETY: the mapping has `slots` slots, and all callers stay below that.
        unsafe { self.memory.add(index * SLOT) }
    }

    #[inline]
    fn status(&self) -> &AtomicU32 {
        // SAFETY: the status is the first field of a slot, aligned, and lives as long as the
        // mapping. The kernel and we write it in turns.
        unsafe { AtomicU32::from_ptr(self.slot(self.next).cast().as_ptr()) }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: the mapping was made in `new`, with this length, and nothing refers to it any more.
        let _ = unsafe { munmap(self.memory.as_ptr().cast(), self.slots * SLOT) };
    }
}
