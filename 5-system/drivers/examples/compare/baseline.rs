//! A packet socket of the plainest kind, for rings to be put on.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use libc::{c_int, c_void};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

/// A bound socket with a `virtio_net_hdr` before each frame.
pub(crate) struct Socket {
    fd: OwnedFd,
    index: c_int,
}

impl Socket {
    pub(crate) fn open(device: &str) -> io::Result<Self> {
        let name = CString::new(device)?;
        // SAFETY: the name is a live C string.
        let index = unsafe { libc::if_nametoindex(name.as_ptr()) } as c_int;
        let fd = socket_with(AddressFamily::PACKET, SocketType::RAW, SocketFlags::NONBLOCK, None)?;
        let socket = Self { fd, index };
        socket.set(libc::PACKET_VNET_HDR, &1);
        socket.set(libc::PACKET_IGNORE_OUTGOING, &1);
        Ok(socket)
    }

    /// Begins to receive; `protocol` 0 for a socket that only sends.
    pub(crate) fn bind(&self, protocol: c_int) {
        // SAFETY: an address made of integers; all zero is valid.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = (protocol as u16).to_be();
        address.sll_ifindex = self.index;
        let (at, len) = ((&raw const address).cast(), size_of_val(&address) as u32);
        // SAFETY: the address is live, and its size is told.
        assert_eq!(unsafe { libc::bind(self.fd.as_raw_fd(), at, len) }, 0, "bind");
    }

    pub(crate) fn set<T>(&self, option: c_int, value: &T) {
        let at = std::ptr::from_ref(value).cast::<c_void>();
        let (fd, len) = (self.fd.as_raw_fd(), size_of::<T>() as u32);
        // SAFETY: the value is live, and its size is told.
        let done = unsafe { libc::setsockopt(fd, libc::SOL_PACKET, option, at, len) };
        assert_eq!(done, 0, "option {option}: {}", io::Error::last_os_error());
    }

    /// Maps the ring that an option made.
    pub(crate) fn map(&self, len: usize) -> *mut u8 {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let (flags, fd) = (libc::MAP_SHARED | libc::MAP_POPULATE, self.fd.as_raw_fd());
        // SAFETY: a new mapping, at an address of the kernel's choice.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, flags, fd, 0) };
        assert_ne!(at, libc::MAP_FAILED, "mmap: {}", io::Error::last_os_error());
        at.cast()
    }

    /// Has the kernel send what is in the transmit ring.
    pub(crate) fn kick(&self) {
        // SAFETY: no data is passed.
        unsafe { libc::send(self.fd.as_raw_fd(), std::ptr::null(), 0, libc::MSG_DONTWAIT) };
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
