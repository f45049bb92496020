//! Receiving: ordinary frames from the ring, larger ones from the socket.
//!
//! Slots for super-frames of 64 KiB would make a ring of tens of megabytes. So the ring's slots are
//! for ordinary frames, and the kernel is asked to queue what does not fit to the socket as well
//! (PACKET_COPY_THRESH); the cut frame in the ring says when it is that one's turn. It is received
//! straight into a large buffer: copied once, as from the ring.

use portcullis_packet::{DropReason, IfIndex, LARGE_CAPACITY, Packet, Pool};
use portcullis_wire::offload;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use super::ring::{Arrived, Ring};
use super::socket::Socket;
use crate::{PortCounters, vlan, vnet_hdr};

/// Why a frame did not become a packet.
enum Refused {
    /// There is no buffer now: it stays where it is.
    Later,
    /// It is lost.
    Lost(DropReason),
}

impl From<DropReason> for Refused {
    fn from(reason: DropReason) -> Self {
        Self::Lost(reason)
    }
}

/// Takes up to `max` frames from the ring and appends them to `into`. What cannot be handed on is
/// counted in `counters`. Returns how many were appended.
pub(super) fn receive(
    (ring, socket): (&mut Ring, &Socket),
    interface: IfIndex,
    pool: &mut Pool,
    into: &mut Vec<Packet>,
    max: usize,
    counters: &PortCounters,
) -> usize {
    let mut packets = 0;
    let mut bytes = 0;
    while packets < max {
        let Some(arrived) = ring.oldest() else { break };
        match take(&arrived, socket, pool) {
            Ok(mut packet) => {
                packet.meta_mut().rx_if = interface;
                packets += 1;
                bytes += packet.len();
                into.push(packet);
            }
            Err(Refused::Later) => break,
            Err(Refused::Lost(reason)) => counters.drops.add(reason, 1),
        }
        ring.release();
    }
    if packets > 0 {
        counters.rx_packets.add(packets as u64);
        counters.rx_bytes.add(bytes as u64);
    }
    packets
}

/// Makes a packet of a frame.
#[inline]
fn take(arrived: &Arrived<'_>, socket: &Socket, pool: &mut Pool) -> Result<Packet, Refused> {
    let mut packet = if !arrived.is_cut {
        take_from_ring(arrived, pool)?
    } else if arrived.comes_by_socket {
        take_from_socket(socket, pool)?
    } else {
        // The kernel had no room to queue it.
        return Err(DropReason::RxOverrun.into());
    };
    let flaw = if offload::validate(&packet.meta().offload, packet.data()).is_err() {
        DropReason::BadOffload
    } else if arrived.tag.is_some_and(|tag| !vlan::insert(&mut packet, tag)) {
        DropReason::UnknownVlan
    } else {
        return Ok(packet);
    };
    pool.put(packet);
    Err(flaw.into())
}

#[inline]
fn take_from_ring(arrived: &Arrived<'_>, pool: &mut Pool) -> Result<Packet, Refused> {
    let offload = arrived.header.and_then(vnet_hdr::parse).ok_or(DropReason::BadOffload)?;
    let mut packet = pool.take(arrived.frame.len()).ok_or(Refused::Later)?;
    if !packet.set_len(arrived.frame.len()) {
        // A pool gives what has room, or nothing.
        return Err(DropReason::RxTooLarge.into());
    }
    packet.data_mut().copy_from_slice(arrived.frame);
    packet.meta_mut().offload = offload;
    Ok(packet)
}

#[cold]
fn take_from_socket(socket: &Socket, pool: &mut Pool) -> Result<Packet, Refused> {
    let mut packet = pool.take_large().ok_or(Refused::Later)?;
    match receive_into(&mut packet, socket) {
        Ok(()) => Ok(packet),
        Err(reason) => {
            pool.put(packet);
            Err(reason.into())
        }
    }
}

/// Receives a frame with its offload header, which goes before where the frame begins.
fn receive_into(packet: &mut Packet, socket: &Socket) -> Result<(), DropReason> {
    if !(packet.set_len(LARGE_CAPACITY) && packet.grow_front(vnet_hdr::LEN)) {
        return Err(DropReason::RxTooLarge);
    }
    // With TRUNC the length is told as it was, even if it did not fit.
    let flags = RecvFlags::DONTWAIT | RecvFlags::TRUNC;
    let len = match recv(socket, packet.data_mut(), flags) {
        Ok((_, len)) => len,
        // Its offload cannot be told in a header.
        Err(Errno::INVAL) => return Err(DropReason::BadOffload),
        Err(_) => return Err(DropReason::RxOverrun),
    };
    let header = packet.data().first_chunk().and_then(vnet_hdr::parse);
    packet.meta_mut().offload = header.ok_or(DropReason::BadOffload)?;
    if !packet.set_len(len) {
        return Err(DropReason::RxTooLarge);
    }
    if packet.shrink_front(vnet_hdr::LEN) { Ok(()) } else { Err(DropReason::FrameTooShort) }
}
