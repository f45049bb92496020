//! Receiving by `recvmmsg`: many frames per system call, straight into packet buffers.
//!
//! Most frames are small, but any may be a super-frame of 64 KiB. So each slot of the call offers
//! a small buffer, and behind it all but the first [`SMALL_CAPACITY`] bytes of a large one. A small
//! frame ends in the small buffer; for a larger one the small buffer's bytes are copied into the
//! gap that was left for them.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use libc::{cmsghdr, iovec, mmsghdr, msghdr};
use portcullis_packet::{DropReason, IfIndex, LARGE_CAPACITY, Packet, Pool, SMALL_CAPACITY};
use portcullis_wire::offload;

use crate::vlan::{self, Tag};
use crate::{PortCounters, vnet_hdr};

/// Frames per call. More save little: a call costs some 250 ns, a frame more than that each.
pub(super) const SLOTS: usize = 32;

/// Room for one `PACKET_AUXDATA` message.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; 64]);

// SAFETY: `CMSG_SPACE` only computes.
const _: () = assert!(
    unsafe { libc::CMSG_SPACE(size_of::<libc::tpacket_auxdata>() as u32) } as usize
        <= size_of::<Control>()
);

/// The buffers that the next frame may land in.
#[derive(Default)]
struct Slot {
    small: Option<Packet>,
    large: Option<Packet>,
}

/// The arguments of the system call, kept from call to call. Each `mmsghdr` points to the `iovec`s
/// and the `Control` of the same index, and the `iovec`s into the buffers of the `Slot`.
pub(super) struct Receiver {
    slots: Box<[Slot]>,
    messages: Box<[mmsghdr]>,
    iovecs: Box<[[iovec; 2]]>,
    controls: Box<[Control]>,
}

// SAFETY: all pointers inside lead to heap memory that the `Receiver` owns.
unsafe impl Send for Receiver {}

impl Receiver {
    pub(super) fn new() -> Self {
        const EMPTY: iovec = iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
        let mut iovecs = vec![[EMPTY; 2]; SLOTS].into_boxed_slice();
        let mut controls = vec![Control([0; 64]); SLOTS].into_boxed_slice();
        let messages = iovecs
            .iter_mut()
            .zip(&mut controls)
            .map(|(iovecs, control)| {
                // SAFETY: a `msghdr` is made of integers and pointers: all zero is valid.
                let mut header: msghdr = unsafe { std::mem::zeroed() };
                header.msg_iov = iovecs.as_mut_ptr();
                header.msg_iovlen = iovecs.len();
                header.msg_control = control.0.as_mut_ptr().cast();
                mmsghdr { msg_hdr: header, msg_len: 0 }
            })
            .collect();
        let slots = std::iter::repeat_with(Slot::default).take(SLOTS).collect();
        Self { slots, messages, iovecs, controls }
    }

    /// One call: up to `max` frames, appended to `into`. What cannot be handed on is counted in
    /// `counters`. Returns how many frames the kernel gave.
    pub(super) fn receive(
        &mut self,
        socket: BorrowedFd<'_>,
        interface: IfIndex,
        pool: &mut Pool,
        into: &mut Vec<Packet>,
        max: usize,
        counters: &PortCounters,
    ) -> io::Result<usize> {
        let armed = self.arm(pool, max.min(SLOTS));
        if armed == 0 {
            return Ok(0);
        }
        // SAFETY: the first `armed` messages point to live iovecs and control buffers, and their
        // iovecs to buffers that the slots own and nobody else uses; see `arm`.
        let received = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.messages.as_mut_ptr(),
                armed as u32,
                libc::MSG_DONTWAIT as _,
                std::ptr::null_mut(),
            )
        };
        let received = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
        let mut packets = 0;
        let mut bytes = 0;
        for (slot, message) in self.slots.iter_mut().zip(&self.messages).take(received) {
            match slot.take(message, pool) {
                Ok(mut packet) => {
                    packet.meta_mut().rx_if = interface;
                    packets += 1;
                    bytes += packet.len() as u64;
                    into.push(packet);
                }
                Err(reason) => counters.drops.add(reason, 1),
            }
        }
        if packets > 0 {
            counters.rx_packets.add(packets);
            counters.rx_bytes.add(bytes);
        }
        Ok(received)
    }

    /// Fills the first `wanted` slots up, and says how many of them can receive. A slot receives only
    /// with both its buffers: while large ones are lacking, frames wait in the socket.
    fn arm(&mut self, pool: &mut Pool, wanted: usize) -> usize {
        let slots = self.slots.iter_mut().zip(&mut self.messages).zip(&mut self.iovecs);
        let mut armed = 0;
        for (((slot, message), [front, back]), control) in
            slots.zip(&mut self.controls).take(wanted)
        {
            if slot.small.is_none() {
                slot.small = pool.take_small().and_then(with_room_for_header);
                let Some(small) = &mut slot.small else { break };
                let buffer = small.data_mut();
                *front = iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
            }
            if slot.large.is_none() {
                slot.large = pool.take_large().and_then(with_all_its_length);
                let Some(rest) = slot
                    .large
                    .as_mut()
                    .and_then(|large| large.data_mut().get_mut(SMALL_CAPACITY..))
                else {
                    break;
                };
                *back = iovec { iov_base: rest.as_mut_ptr().cast(), iov_len: rest.len() };
            }
            // The kernel leaves here how much of it it used.
            message.msg_hdr.msg_controllen = size_of_val(&control.0);
            armed += 1;
        }
        armed
    }
}

/// A small buffer whose data begins with room for the offload header, so that the frame itself
/// begins where the frames of all buffers begin.
fn with_room_for_header(mut packet: Packet) -> Option<Packet> {
    let ready = packet.set_len(SMALL_CAPACITY) && packet.grow_front(vnet_hdr::LEN);
    ready.then_some(packet)
}

fn with_all_its_length(mut packet: Packet) -> Option<Packet> {
    packet.set_len(LARGE_CAPACITY).then_some(packet)
}

impl Slot {
    /// Takes the received frame out of the slot. After an error its buffers stay for the next one,
    /// or are in `pool`.
    fn take(&mut self, message: &mmsghdr, pool: &mut Pool) -> Result<Packet, DropReason> {
        if message.msg_hdr.msg_flags & libc::MSG_TRUNC != 0 {
            return Err(DropReason::RxTooLarge);
        }
        let small = self.small.as_ref().ok_or(DropReason::RxNoBuffer)?;
        let (header, front) = small.data().split_first_chunk().ok_or(DropReason::BadOffload)?;
        let offload = vnet_hdr::parse(header).ok_or(DropReason::BadOffload)?;
        let len = (message.msg_len as usize).checked_sub(vnet_hdr::LEN);
        let len = len.ok_or(DropReason::FrameTooShort)?;
        let packet = if len <= SMALL_CAPACITY {
            self.small.take().and_then(|mut small| {
                let fits = small.shrink_front(vnet_hdr::LEN) && small.set_len(len);
                fits.then_some(small)
            })
        } else {
            self.large.take().and_then(|mut large| {
                large.data_mut().get_mut(..SMALL_CAPACITY)?.copy_from_slice(front);
                large.set_len(len).then_some(large)
            })
        };
        let mut packet = packet.ok_or(DropReason::RxTooLarge)?;
        packet.meta_mut().offload = offload;
        let flaw = if offload::validate(&offload, packet.data()).is_err() {
            Some(DropReason::BadOffload)
        } else if stripped_tag(&message.msg_hdr).is_some_and(|tag| !vlan::insert(&mut packet, tag))
        {
            Some(DropReason::UnknownVlan)
        } else {
            None
        };
        match flaw {
            None => Ok(packet),
            Some(reason) => {
                pool.put(packet);
                Err(reason)
            }
        }
    }
}

/// The VLAN tag that the kernel or the device took off the frame.
fn stripped_tag(header: &msghdr) -> Option<Tag> {
    // SAFETY: the kernel filled the control buffer in and set its length; the macro checks it.
    let message: *const cmsghdr = unsafe { libc::CMSG_FIRSTHDR(header) };
    // SAFETY: not null means a whole `cmsghdr` in the control buffer, which is aligned for it.
    let head = unsafe { message.as_ref() }?;
    // SAFETY: `CMSG_LEN` only computes.
    let whole = unsafe { libc::CMSG_LEN(size_of::<libc::tpacket_auxdata>() as u32) } as usize;
    if head.cmsg_level != libc::SOL_PACKET
        || head.cmsg_type != libc::PACKET_AUXDATA
        || head.cmsg_len < whole
    {
        return None;
    }
    // SAFETY: the message is this long, and a `tpacket_auxdata` is made of integers only.
    let aux = unsafe { libc::CMSG_DATA(message).cast::<libc::tpacket_auxdata>().read_unaligned() };
    let status = aux.tp_status;
    (status & libc::TP_STATUS_VLAN_VALID != 0).then(|| {
        let known = status & libc::TP_STATUS_VLAN_TPID_VALID != 0;
        let tpid = if known { aux.tp_vlan_tpid } else { libc::ETH_P_8021Q as u16 };
        Tag { tpid, tci: aux.tp_vlan_tci }
    })
}
