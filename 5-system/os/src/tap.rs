//! Tap devices: an Ethernet device of the kernel whose wire is a file descriptor
//! (`Documentation/networking/tuntap.rst` of the kernel).
//!
//! Taps made here carry a `struct virtio_net_hdr` of [`Tap::HEADER`] bytes before each frame, both
//! ways, in host byte order, and take partial checksums and segmentation from the kernel.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use portcullis_packet::Mac;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// `_IOW('T', 217, int)`
const TUNSETVNETHDRSZ: libc::c_ulong = 0x4004_54d8;

/// An open tap, non-blocking.
#[derive(Debug)]
pub struct Tap {
    fd: OwnedFd,
    name: TapName,
    segments_udp: bool,
}

/// A name that a device can have: 1 to 15 bytes, no slash, blank, colon or `%`, not `.` or `..`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct TapName(String);

impl TapName {
    /// Takes a name.
    ///
    /// # Errors
    /// [`TapErrorKind::BadName`].
    pub fn new(name: &str) -> Result<Self, TapError> {
        // `%` would be the kernel's pattern for the next free number.
        let good = !matches!(name, "" | "." | "..")
            && name.len() < libc::IFNAMSIZ
            && !name.bytes().any(|byte| b"/:%\0".contains(&byte) || byte.is_ascii_whitespace());
        if good {
            Ok(Self(name.to_owned()))
        } else {
            Err(TapError { name: name.to_owned(), kind: TapErrorKind::BadName })
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A tap that cannot be had.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("cannot open tap {name}: {kind}")]
pub struct TapError {
    /// Which one.
    pub name: String,
    /// Why not.
    pub kind: TapErrorKind,
}

/// Why a tap cannot be had.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TapErrorKind {
    /// The kernel takes no such name.
    #[error("its name must be 1 to 15 bytes without slash, blank, colon or percent sign")]
    BadName,
    /// Someone has it open.
    #[error("another process has it open; is another gateway running with this namespace?")]
    Busy,
    /// The name belongs to something else.
    #[error("there is a device of this name already, and it is no tap of this kind")]
    OtherKind,
    /// The rights are missing.
    #[error("not permitted (CAP_NET_ADMIN is needed)")]
    NotPermitted,
    /// No tun driver.
    #[error("this system has no /dev/net/tun")]
    NoDriver,
    /// Anything else.
    #[error("cannot {step}: {errno}")]
    System {
        /// The step that failed.
        step: &'static str,
        /// What the kernel said.
        errno: Errno,
    },
}

impl Tap {
    /// Bytes of the `virtio_net_hdr` before each frame: the legacy form, without a count of
    /// merged buffers.
    pub const HEADER: usize = 10;

    /// Opens the tap of this name in the calling thread's namespace; makes it if it is not there.
    /// It stays when it is closed, until it is deleted: its addresses and the sessions over them
    /// survive a restart. If it is new it is down.
    ///
    /// # Errors
    /// [`TapError`].
    pub fn open(name: &TapName) -> Result<Self, TapError> {
        let failed = |kind| TapError { name: name.0.clone(), kind };
        let system = |step| move |errno| failed_step(step, errno);
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let fd = rustix::fs::open("/dev/net/tun", flags, Mode::empty()).map_err(|errno| {
            failed(match errno {
                Errno::NOENT | Errno::NODEV | Errno::NXIO => TapErrorKind::NoDriver,
                errno => failed_step("open /dev/net/tun", errno),
            })
        })?;
        let mut request = interface_request(name);
        request.ifr_ifru.ifru_flags =
            (libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR) as libc::c_short;
        // SAFETY: TUNSETIFF reads and writes a `struct ifreq`.
        unsafe { ioctl_pointer(&fd, libc::TUNSETIFF, &mut request) }
            .map_err(|errno| failed(refusal(errno)))?;
        let mut tap = Self { fd, name: name.clone(), segments_udp: false };
        let mut header = Self::HEADER as libc::c_int;
        // SAFETY: TUNSETVNETHDRSZ reads an int.
        unsafe { ioctl_pointer(&tap.fd, TUNSETVNETHDRSZ, &mut header) }
            .map_err(system("set the header's size"))
            .map_err(failed)?;
        tap.segments_udp = tap.offer_offloads().map_err(failed)?;
        tap.ioctl_number(libc::TUNSETPERSIST, 1).map_err(system("make it stay")).map_err(failed)?;
        Ok(tap)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &TapName {
        &self.name
    }

    /// Whether it may hand over UDP datagrams to be segmented (kernel 6.2 and later), besides TCP.
    #[must_use]
    pub fn segments_udp(&self) -> bool {
        self.segments_udp
    }

    /// Sets the MAC address that the kernel uses on it.
    ///
    /// # Errors
    /// If it is a group address, or rights are missing.
    pub fn set_mac(&self, mac: Mac) -> Result<(), TapError> {
        let mut request = interface_request(&self.name);
        let mut address = libc::sockaddr { sa_family: libc::ARPHRD_ETHER, sa_data: [0; 14] };
        for (to, from) in address.sa_data.iter_mut().zip(mac.0) {
            *to = from as libc::c_char;
        }
        request.ifr_ifru.ifru_hwaddr = address;
        // SAFETY: SIOCSIFHWADDR reads a `struct ifreq`; asked of a tap it means that tap.
        unsafe { ioctl_pointer(&self.fd, libc::SIOCSIFHWADDR, &mut request) }
            .map_err(|errno| self.failed(failed_step("set its MAC address", errno)))
    }

    /// The descriptor alone. The tap stays.
    #[must_use]
    pub fn into_fd(self) -> OwnedFd {
        self.fd
    }

    /// Lets the kernel leave checksums and segmentation to whoever reads; answers whether that
    /// includes UDP.
    fn offer_offloads(&self) -> Result<bool, TapErrorKind> {
        let tcp = libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6;
        let udp = libc::TUN_F_USO4 | libc::TUN_F_USO6;
        if self.ioctl_number(libc::TUNSETOFFLOAD, (tcp | udp).into()).is_ok() {
            return Ok(true);
        }
        self.ioctl_number(libc::TUNSETOFFLOAD, tcp.into())
            .map(|()| false)
            .map_err(|errno| failed_step("offer offloads", errno))
    }

    fn ioctl_number(&self, request: libc::c_ulong, value: libc::c_ulong) -> rustix::io::Result<()> {
        // SAFETY: the requests that this is called with take a number, and touch no memory.
        let result = unsafe { libc::ioctl(self.fd.as_raw_fd(), request, value) };
        if result < 0 { Err(last_errno()) } else { Ok(()) }
    }

    fn failed(&self, kind: TapErrorKind) -> TapError {
        TapError { name: self.name.0.clone(), kind }
    }
}

impl AsFd for Tap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Why TUNSETIFF failed.
fn refusal(errno: Errno) -> TapErrorKind {
    match errno {
        Errno::BUSY => TapErrorKind::Busy,
        Errno::INVAL => TapErrorKind::OtherKind,
        errno => failed_step("attach to it", errno),
    }
}

fn failed_step(step: &'static str, errno: Errno) -> TapErrorKind {
    match errno {
        Errno::PERM | Errno::ACCESS => TapErrorKind::NotPermitted,
        errno => TapErrorKind::System { step, errno },
    }
}

fn interface_request(name: &TapName) -> libc::ifreq {
    // SAFETY: `ifreq` is made of integers and pointers, all of which may be zero.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // A `TapName` is shorter than the field, so that a NUL remains.
    for (to, from) in request.ifr_name.iter_mut().zip(name.0.bytes()) {
        *to = from as libc::c_char;
    }
    request
}

/// # Safety
/// `request` must be one that reads and writes no more than a `T` behind its pointer.
unsafe fn ioctl_pointer<T>(
    fd: &OwnedFd,
    request: libc::c_ulong,
    argument: &mut T,
) -> rustix::io::Result<()> {
    // SAFETY: the argument lives until the call returns, and the caller says that it fits.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), request, std::ptr::from_mut(argument)) };
    if result < 0 { Err(last_errno()) } else { Ok(()) }
}

fn last_errno() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_the_kernel_would_change_or_refuse_is_no_name() {
        assert!(TapName::new("wan0.exactly15c").is_ok());
        for name in ["", ".", "..", "a/b", "a b", "tap%d", "eth0:1", "sixteen-bytes-xx"] {
            assert_eq!(TapName::new(name).unwrap_err().kind, TapErrorKind::BadName, "{name:?}");
        }
    }
}
