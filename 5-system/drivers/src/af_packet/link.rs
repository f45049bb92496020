//! What a packet socket can ask about a device of its namespace by name (netdevice(7)).

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use libc::{c_char, c_int, c_short, c_ulong};
use portcullis_packet::Mac;

use super::socket::{KernelIndex, check};

/// A device's name, fit for the kernel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct DeviceName([c_char; libc::IFNAMSIZ]);

impl DeviceName {
    /// `None` if the kernel allows no device of this name.
    pub(super) fn new(name: &str) -> Option<Self> {
        let fits = !name.is_empty() && name.len() < libc::IFNAMSIZ && !name.contains('\0');
        let mut bytes = [0; libc::IFNAMSIZ];
        for (to, from) in bytes.iter_mut().zip(name.bytes()) {
            *to = from as c_char;
        }
        fits.then_some(Self(bytes))
    }
}

/// How a device looks at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Link {
    pub(super) index: KernelIndex,
    pub(super) up: bool,
    pub(super) carrier: bool,
    pub(super) mtu: u32,
    pub(super) mac: Mac,
}

/// Looks at the device called `name` in the namespace of `socket`. `None` if there is none.
pub(super) fn look(socket: &impl AsFd, name: DeviceName) -> io::Result<Option<Link>> {
    let link = || -> io::Result<Link> {
        let index = ask(socket, name, libc::SIOCGIFINDEX)?;
        let flags = ask(socket, name, libc::SIOCGIFFLAGS)?;
        let mtu = ask(socket, name, libc::SIOCGIFMTU)?;
        let mac = ask(socket, name, libc::SIOCGIFHWADDR)?;
        // SAFETY: every field of the union is made of integers, and the kernel filled in the one
        // that belongs to the request.
        unsafe {
            let flags = c_int::from(flags.ifru_flags);
            let [a, b, c, d, e, f, ..] = mac.ifru_hwaddr.sa_data;
            Ok(Link {
                index: KernelIndex(index.ifru_ifindex),
                up: flags & libc::IFF_UP != 0,
                carrier: flags & libc::IFF_RUNNING != 0,
                mtu: u32::try_from(mtu.ifru_mtu).unwrap_or(0),
                mac: Mac([a, b, c, d, e, f].map(|byte| byte as u8)),
            })
        }
    };
    match link() {
        Ok(link) => Ok(Some(link)),
        Err(e) if matches!(e.raw_os_error(), Some(libc::ENODEV | libc::ENXIO)) => Ok(None),
        Err(e) => Err(e),
    }
}

fn ask(
    socket: &impl AsFd,
    name: DeviceName,
    request: c_ulong,
) -> io::Result<libc::__c_anonymous_ifr_ifru> {
    let ifr_ifru = libc::__c_anonymous_ifr_ifru { ifru_flags: c_short::from(false) };
    let mut query = libc::ifreq { ifr_name: name.0, ifr_ifru };
    // SAFETY: these requests read the name and write the union of the live `ifreq`.
    check(unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), request as _, &raw mut query) })?;
    Ok(query.ifr_ifru)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any_socket() -> std::net::UdpSocket {
        std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket")
    }

    #[test]
    fn the_loopback_device_is_found_by_name() {
        let name = DeviceName::new("lo").expect("a name");
        let link = look(&any_socket(), name).expect("an answer").expect("lo");
        assert_eq!(link.mac, Mac::default());
        assert!(link.up && link.mtu >= 1500, "{link:?}");
    }

    #[test]
    fn a_device_that_does_not_exist_is_none_and_no_error() {
        let name = DeviceName::new("no-such-device").expect("a name");
        assert_eq!(look(&any_socket(), name).expect("an answer"), None);
    }

    #[test]
    fn names_that_the_kernel_would_cut_are_refused() {
        assert_eq!(DeviceName::new(""), None);
        assert_eq!(DeviceName::new("sixteen-letters!"), None);
        assert_eq!(DeviceName::new("a\0b"), None);
        assert!(DeviceName::new("fifteen-letters").is_some());
    }
}
