//! Receiving by `recvmmsg`: many frames per system call, straight into packet buffers. Each slot of
//! the call offers a small buffer and behind it all but the first bytes of a large one; a frame that
//! does not fit into the small one is completed in the large one by copying those first bytes.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use libc::{iovec, mmsghdr};
use portcullis_drivers::vnet_hdr;
use portcullis_packet::{LARGE_CAPACITY, Packet, Pool, SMALL_CAPACITY};
use rustix::net::sockopt::set_socket_recv_buffer_size_force;

use crate::Receive;
use crate::baseline::Socket;

const SLOTS: usize = 32;

/// The buffers that the next frame may land in.
#[derive(Default)]
struct Slot {
    small: Option<Packet>,
    large: Option<Packet>,
}

pub(crate) struct RecvMmsg {
    socket: Socket,
    slots: Vec<Slot>,
    messages: Box<[mmsghdr]>,
    iovecs: Box<[[iovec; 2]]>,
}

impl RecvMmsg {
    pub(crate) fn new(socket: Socket) -> Self {
        set_socket_recv_buffer_size_force(&socket, 8 << 20).expect("a large buffer");
        socket.bind(libc::ETH_P_ALL);
        // SAFETY: both types are made of integers and pointers: all zero is valid.
        let (message, empty): (mmsghdr, iovec) =
            unsafe { (std::mem::zeroed(), std::mem::zeroed()) };
        let mut iovecs = vec![[empty; 2]; SLOTS].into_boxed_slice();
        let mut messages = vec![message; SLOTS].into_boxed_slice();
        for (message, iovecs) in messages.iter_mut().zip(&mut iovecs) {
            message.msg_hdr.msg_iov = iovecs.as_mut_ptr();
            message.msg_hdr.msg_iovlen = 2;
        }
        let slots = std::iter::repeat_with(Slot::default).take(SLOTS).collect();
        Self { socket, slots, messages, iovecs }
    }

    /// Fills up what the last call used.
    fn arm(&mut self, pool: &mut Pool) {
        for (slot, [front, back]) in self.slots.iter_mut().zip(&mut self.iovecs) {
            let small = slot.small.get_or_insert_with(|| {
                let mut packet = pool.take_small().expect("enough buffers");
                assert!(packet.set_len(SMALL_CAPACITY) && packet.grow_front(vnet_hdr::LEN));
                packet
            });
            let small = small.data_mut();
            *front = iovec { iov_base: small.as_mut_ptr().cast(), iov_len: small.len() };
            let large = slot.large.get_or_insert_with(|| {
                let mut packet = pool.take_large().expect("enough buffers");
                assert!(packet.set_len(LARGE_CAPACITY));
                packet
            });
            let rest = &mut large.data_mut()[SMALL_CAPACITY..];
            *back = iovec { iov_base: rest.as_mut_ptr().cast(), iov_len: rest.len() };
        }
    }
}

impl Receive for RecvMmsg {
    fn receive(&mut self, pool: &mut Pool, into: &mut Vec<Packet>) {
        self.arm(pool);
        let (fd, messages) = (self.fd().as_raw_fd(), self.messages.as_mut_ptr());
        let (count, flags) = (SLOTS as u32, libc::MSG_DONTWAIT as _);
        // SAFETY: the messages point to live iovecs, and those to buffers that the slots own.
        let received = unsafe { libc::recvmmsg(fd, messages, count, flags, std::ptr::null_mut()) };
        let received = usize::try_from(received).unwrap_or(0);
        for (slot, message) in self.slots.iter_mut().zip(&self.messages).take(received) {
            let len = message.msg_len as usize - vnet_hdr::LEN;
            let small = slot.small.as_mut().expect("armed");
            let (header, front) = small.data().split_first_chunk().expect("long enough");
            let offload = vnet_hdr::parse(header).expect("a header");
            let mut packet = if len <= SMALL_CAPACITY {
                let mut small = slot.small.take().expect("armed");
                assert!(small.shrink_front(vnet_hdr::LEN));
                small
            } else {
                let mut large = slot.large.take().expect("armed");
                large.data_mut()[..SMALL_CAPACITY].copy_from_slice(front);
                large
            };
            assert!(packet.set_len(len));
            packet.meta_mut().offload = offload;
            into.push(packet);
        }
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
