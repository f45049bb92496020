//! A packet socket (packet(7)) and the options that the driver sets on it.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use libc::{c_int, c_uint, c_void, socklen_t};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

/// The kernel's index of a network device, unique in its namespace for as long as that lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct KernelIndex(pub(super) c_int);

/// A fanout group of the kernel, unique in its namespace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct FanoutId(pub(super) u16);

/// A raw packet socket: whole frames, each behind a `virtio_net_hdr`. It never blocks.
#[derive(Debug)]
pub(super) struct Socket(OwnedFd);

impl Socket {
    /// A socket that receives nothing yet. Needs CAP_NET_RAW.
    pub(super) fn new() -> io::Result<Self> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = Self(socket_with(AddressFamily::PACKET, SocketType::RAW, flags, None)?);
        socket.set(libc::SOL_PACKET, libc::PACKET_VNET_HDR, &c_int::from(true))?;
        socket.set(libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, &c_int::from(true))?;
        Ok(socket)
    }

    /// Makes a receive ring of TPACKET_V2, to be mapped. Frames that do not fit into its slots are
    /// queued to the socket as well.
    pub(super) fn make_ring(&self, request: &libc::tpacket_req) -> io::Result<()> {
        let version = libc::tpacket_versions::TPACKET_V2 as c_int;
        self.set(libc::SOL_PACKET, libc::PACKET_VERSION, &version)?;
        self.set(libc::SOL_PACKET, libc::PACKET_COPY_THRESH, &c_int::from(true))?;
        self.set(libc::SOL_PACKET, libc::PACKET_RX_RING, request)
    }

    /// Whether frames go to the device at once (true) or through its queueing discipline.
    pub(super) fn set_qdisc_bypass(&self, bypass: bool) -> io::Result<()> {
        self.set(libc::SOL_PACKET, libc::PACKET_QDISC_BYPASS, &c_int::from(bypass))
    }

    /// Asks for buffers of these sizes in bytes. True if the kernel gave at least these; beyond
    /// `net.core.rmem_max` and `wmem_max` that takes CAP_NET_ADMIN.
    pub(super) fn set_buffers(&self, receive: usize, send: usize) -> io::Result<bool> {
        let given = self.set_buffer(receive, libc::SO_RCVBUFFORCE, libc::SO_RCVBUF)?
            & self.set_buffer(send, libc::SO_SNDBUFFORCE, libc::SO_SNDBUF)?;
        Ok(given)
    }

    fn set_buffer(&self, size: usize, force: c_int, plain: c_int) -> io::Result<bool> {
        // The kernel doubles what it is asked for, to account for its own bookkeeping.
        let size = c_int::try_from(size).unwrap_or(c_int::MAX / 2).min(c_int::MAX / 2);
        if self.set(libc::SOL_SOCKET, force, &size).is_err() {
            self.set(libc::SOL_SOCKET, plain, &size)?;
        }
        Ok(self.get::<c_int>(libc::SOL_SOCKET, plain)? >= size)
    }

    /// Makes the socket receive nothing even when bound. Undone by [`Self::open_filter`].
    pub(super) fn close_filter(&self) -> io::Result<()> {
        let mut refuse =
            [libc::sock_filter { code: (libc::BPF_RET | libc::BPF_K) as u16, jt: 0, jf: 0, k: 0 }];
        let program = libc::sock_fprog { len: 1, filter: refuse.as_mut_ptr() };
        self.set(libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)
    }

    pub(super) fn open_filter(&self) -> io::Result<()> {
        self.set(libc::SOL_SOCKET, libc::SO_DETACH_FILTER, &0)
    }

    /// Receives from this device, and sends to it.
    pub(super) fn bind(&self, device: KernelIndex) -> io::Result<()> {
        let address = libc::sockaddr_ll {
            sll_family: libc::AF_PACKET as u16,
            sll_protocol: (libc::ETH_P_ALL as u16).to_be(),
            sll_ifindex: device.0,
            sll_hatype: 0,
            sll_pkttype: 0,
            sll_halen: 0,
            sll_addr: [0; 8],
        };
        // SAFETY: the address is a live `sockaddr_ll`, and its size is told.
        let done = unsafe {
            libc::bind(
                self.0.as_raw_fd(),
                (&raw const address).cast(),
                size_of_val(&address) as u32,
            )
        };
        check(done)
    }

    /// Whether it is bound to this device still. The kernel unbinds it when the device leaves the
    /// namespace, and the device may come back with the same index.
    pub(super) fn is_bound_to(&self, device: KernelIndex) -> io::Result<bool> {
        // SAFETY: a `sockaddr_ll` is made of integers: all zero is valid.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        let mut len = size_of_val(&address) as socklen_t;
        // SAFETY: the kernel writes at most `len` bytes into the live address.
        let done = unsafe {
            libc::getsockname(self.0.as_raw_fd(), (&raw mut address).cast(), &raw mut len)
        };
        check(done).map(|()| address.sll_ifindex == device.0)
    }

    /// Has the device pass up all multicast for as long as the socket is bound to it.
    pub(super) fn accept_all_multicast(&self, device: KernelIndex) -> io::Result<()> {
        let request = libc::packet_mreq {
            mr_ifindex: device.0,
            mr_type: libc::PACKET_MR_ALLMULTI as u16,
            mr_alen: 0,
            mr_address: [0; 8],
        };
        self.set(libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &request)
    }

    /// Founds a group of sockets among which the kernel divides the device's flows by a symmetric
    /// hash: both directions of a flow go to one socket, and so do all fragments of a packet.
    pub(super) fn found_fanout(&self) -> io::Result<FanoutId> {
        let mode = libc::PACKET_FANOUT_HASH | libc::PACKET_FANOUT_FLAG_UNIQUEID;
        self.set(libc::SOL_PACKET, libc::PACKET_FANOUT, &(mode << 16))?;
        let founded: c_uint = self.get(libc::SOL_PACKET, libc::PACKET_FANOUT)?;
        Ok(FanoutId((founded & 0xffff) as u16))
    }

    /// Joins a group.
    pub(super) fn join_fanout(&self, id: FanoutId) -> io::Result<()> {
        let group = (libc::PACKET_FANOUT_HASH << 16) | c_uint::from(id.0);
        self.set(libc::SOL_PACKET, libc::PACKET_FANOUT, &group)
    }

    /// Frames that the kernel had no room for since this was last asked.
    pub(super) fn take_overruns(&self) -> io::Result<u64> {
        // SAFETY: `tpacket_stats` is made of integers only.
        let stats = unsafe {
            self.get_raw::<libc::tpacket_stats>(libc::SOL_PACKET, libc::PACKET_STATISTICS)
        }?;
        Ok(u64::from(stats.tp_drops))
    }

    /// Takes note of the error that ended or disturbed the socket, so that it no longer counts as
    /// readable for that.
    pub(super) fn clear_error(&self) -> io::Result<()> {
        self.get::<c_int>(libc::SOL_SOCKET, libc::SO_ERROR).map(drop)
    }

    fn set<T>(&self, level: c_int, name: c_int, value: &T) -> io::Result<()> {
        // SAFETY: the kernel reads the live `value`, whose size is told.
        let done = unsafe {
            libc::setsockopt(
                self.0.as_raw_fd(),
                level,
                name,
                std::ptr::from_ref(value).cast::<c_void>(),
                size_of::<T>() as socklen_t,
            )
        };
        check(done)
    }

    fn get<T: Number>(&self, level: c_int, name: c_int) -> io::Result<T> {
        // SAFETY: a `Number` is an integer.
        unsafe { self.get_raw(level, name) }
    }

    /// # Safety
    /// Any bytes must make a valid `T`.
    unsafe fn get_raw<T>(&self, level: c_int, name: c_int) -> io::Result<T> {
        // SAFETY: all zero is a valid `T`: the caller says that all bytes are.
        let mut value: T = unsafe { std::mem::zeroed() };
        let mut len = size_of::<T>() as socklen_t;
        // SAFETY: the kernel writes at most `len` bytes into the live `value`.
        let done = unsafe {
            let value = (&raw mut value).cast::<c_void>();
            libc::getsockopt(self.0.as_raw_fd(), level, name, value, &raw mut len)
        };
        check(done).map(|()| value)
    }
}

/// Integers, of which any bytes are a valid one.
trait Number {}
impl Number for c_int {}
impl Number for c_uint {}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The result of a system call that says -1 for an error.
pub(super) fn check(done: c_int) -> io::Result<()> {
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
