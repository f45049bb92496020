//! Sending by `sendmmsg`: a batch of frames per system call.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use libc::{iovec, mmsghdr, msghdr};
use portcullis_packet::{BATCH, DropReason, Packet};

use crate::{PortCounters, vnet_hdr};

/// How often in one batch a full device is tried again before frames are dropped.
const RETRIES: u32 = 16;

/// How long to wait before that, in turns of a spinning loop: some 2 us, or two full-size
/// frames of a 10 Gbit/s link.
const RETRY_SPINS: u32 = 100;

/// Why no more frames of a batch could be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Broken {
    /// The device is down.
    Down,
    /// The device is gone.
    Gone,
}

impl Broken {
    const fn reason(self) -> DropReason {
        match self {
            Self::Down => DropReason::EgressDown,
            Self::Gone => DropReason::TxGone,
        }
    }
}

/// What became of the frames of one call.
struct Progress {
    sent: usize,
    /// Frames at the end that were neither sent nor dropped, because the device failed.
    left: usize,
    broken: Option<Broken>,
}

/// The arguments of the system call, kept from call to call. Each `mmsghdr` points to the `iovec`s
/// of the same index, and the first of these to the offload header of the same index.
pub(super) struct Transmitter {
    messages: Box<[mmsghdr]>,
    iovecs: Box<[[iovec; 2]]>,
    headers: Box<[vnet_hdr::Bytes]>,
}

// SAFETY: the pointers inside lead to heap memory that the `Transmitter` owns; those to frames are
// only used in `send`, which sets them anew from the frames it is given.
unsafe impl Send for Transmitter {}

impl Transmitter {
    pub(super) fn new() -> Self {
        const EMPTY: iovec = iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
        let mut headers = vec![[0; vnet_hdr::LEN]; BATCH].into_boxed_slice();
        let mut iovecs: Box<[[iovec; 2]]> = headers
            .iter_mut()
            .map(|header| {
                let front = iovec { iov_base: header.as_mut_ptr().cast(), iov_len: header.len() };
                [front, EMPTY]
            })
            .collect();
        let messages = iovecs
            .iter_mut()
            .map(|iovecs| {
                // SAFETY: a `msghdr` is made of integers and pointers: all zero is valid.
                let mut header: msghdr = unsafe { std::mem::zeroed() };
                header.msg_iov = iovecs.as_mut_ptr();
                header.msg_iovlen = iovecs.len();
                mmsghdr { msg_hdr: header, msg_len: 0 }
            })
            .collect();
        Self { messages, iovecs, headers }
    }

    /// Sends `frames` in their order. What is not sent is counted in `counters`. Returns how many
    /// were sent, and whether the device failed.
    pub(super) fn send(
        &mut self,
        socket: BorrowedFd<'_>,
        frames: &[Packet],
        counters: &PortCounters,
    ) -> (usize, Option<Broken>) {
        let mut sent = 0;
        let mut retries = RETRIES;
        let mut rest = frames;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(BATCH));
            let progress = self.send_chunk(socket, now, counters, &mut retries);
            sent += progress.sent;
            if let Some(broken) = progress.broken {
                counters.drops.add(broken.reason(), (progress.left + later.len()) as u64);
                return (sent, Some(broken));
            }
            rest = later;
        }
        (sent, None)
    }

    fn send_chunk(
        &mut self,
        socket: BorrowedFd<'_>,
        frames: &[Packet],
        counters: &PortCounters,
        retries: &mut u32,
    ) -> Progress {
        for (frame, ([_, back], header)) in
            frames.iter().zip(self.iovecs.iter_mut().zip(&mut self.headers))
        {
            let data = frame.data();
            *header = vnet_hdr::emit(&frame.meta().offload, data);
            *back = iovec { iov_base: data.as_ptr().cast_mut().cast(), iov_len: data.len() };
        }
        let mut sent = 0;
        let mut rest = frames;
        while !rest.is_empty() {
            let done = frames.len() - rest.len();
            let Some(messages) = self.messages.get_mut(done..frames.len()) else { break };
            match send_some(socket, messages) {
                Ok(n) => {
                    let (now, later) = rest.split_at(n.min(rest.len()));
                    counters.tx_packets.add(now.len() as u64);
                    counters.tx_bytes.add(now.iter().map(|frame| frame.len() as u64).sum());
                    sent += now.len();
                    rest = later;
                }
                Err(error) => match error.raw_os_error() {
                    // A frame that the device had no room for (ENOBUFS) is lost in the kernel, but
                    // is still here: sent again it is not sent twice.
                    Some(libc::EAGAIN | libc::ENOBUFS | libc::EINTR) if *retries > 0 => {
                        *retries -= 1;
                        for _ in 0..RETRY_SPINS {
                            std::hint::spin_loop();
                        }
                    }
                    Some(libc::ENETDOWN) => {
                        let broken = Some(Broken::Down);
                        return Progress { sent, left: rest.len(), broken };
                    }
                    Some(libc::ENXIO | libc::ENODEV) => {
                        let broken = Some(Broken::Gone);
                        return Progress { sent, left: rest.len(), broken };
                    }
                    Some(libc::EAGAIN | libc::ENOBUFS | libc::EINTR) => {
                        counters.drops.add(DropReason::TxFull, 1);
                        rest = rest.get(1..).unwrap_or_default();
                    }
                    // EMSGSIZE, EINVAL and whatever else speaks of this one frame.
                    _ => {
                        counters.drops.add(DropReason::TxError, 1);
                        rest = rest.get(1..).unwrap_or_default();
                    }
                },
            }
        }
        Progress { sent, left: 0, broken: None }
    }
}

fn send_some(socket: BorrowedFd<'_>, messages: &mut [mmsghdr]) -> io::Result<usize> {
    // SAFETY: the messages point to live iovecs, and those to live headers and frames, all of which
    // the kernel only reads; see `send_chunk`.
    let sent = unsafe {
        libc::sendmmsg(
            socket.as_raw_fd(),
            messages.as_mut_ptr(),
            messages.len() as u32,
            libc::MSG_DONTWAIT as _,
        )
    };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}
