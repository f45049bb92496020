//! A tap of the kernel's as a [`TapPort`]: one system call per frame, the `virtio_net_hdr` and the
//! frame in pieces.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::AsFd;

use portcullis_drivers::vnet_hdr;
use portcullis_packet::Offload;
use rustix::io::{Errno, readv, writev};

use crate::port::{Received, Refusal, TapPort};

/// An open tap, non-blocking, with IFF_VNET_HDR and a header of [`vnet_hdr::LEN`] bytes.
#[derive(Debug)]
pub struct KernelTap<F>(F);

impl<F: AsFd> KernelTap<F> {
    /// Takes an open tap.
    #[must_use]
    pub const fn new(fd: F) -> Self {
        Self(fd)
    }
}

impl<F: AsFd> TapPort for KernelTap<F> {
    fn send(&mut self, frame: &[u8], offload: Offload) -> Result<(), Refusal> {
        let header = vnet_hdr::emit(&offload, frame);
        match writev(&self.0, &[IoSlice::new(&header), IoSlice::new(frame)]) {
            Ok(_whole) => Ok(()),
            Err(Errno::BADFD) => Err(Refusal::Gone),
            // Among others EAGAIN (its queue is full) and EIO (the interface is down).
            Err(_refused) => Err(Refusal::Frame),
        }
    }

    fn receive(&mut self, head: &mut [u8], tail: &mut [u8]) -> Received {
        let mut header = [0; vnet_hdr::LEN];
        let mut pieces =
            [IoSliceMut::new(&mut header), IoSliceMut::new(head), IoSliceMut::new(tail)];
        match readv(&self.0, &mut pieces) {
            Ok(read) => {
                let frame = read.checked_sub(vnet_hdr::LEN).zip(vnet_hdr::parse(&header));
                frame.map_or(Received::Nonsense, |(len, offload)| Received::Frame { len, offload })
            }
            // What the kernel says of a tap that was deleted: once it is, and while that is going on.
            Err(Errno::BADFD | Errno::FAULT) => Received::Gone,
            Err(_nothing) => Received::Nothing,
        }
    }
}
