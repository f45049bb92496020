//! Addresses of a device.

use std::net::IpAddr;

use ipnet::IpNet;

use super::link::LinkIndex;
use super::{LinkError, Links, Request};

/// `IFA_F_NODAD` of `linux/if_addr.h`: use an IPv6 address at once, without looking for others who
/// have it (RFC 4862, section 5.4).
const IFA_F_NODAD: u8 = 0x02;

impl Links {
    /// Gives the device an address; the kernel adds the route to the prefix.
    ///
    /// # Errors
    /// [`super::LinkErrorKind::Exists`] if it has that address already.
    pub fn add_address(&mut self, name: &str, address: IpNet) -> Result<(), LinkError> {
        let index = self.find(name)?.index;
        let request = with_address(Request::create(libc::RTM_NEWADDR), index, address, 0);
        self.tell(&format!("add address {address}"), name, request)
    }

    /// Gives the device an IPv6 address that is good at once, without duplicate address detection.
    ///
    /// # Errors
    /// [`super::LinkErrorKind::Exists`] if it has that address already.
    pub fn add_address_without_dad(&mut self, name: &str, address: IpNet) -> Result<(), LinkError> {
        let index = self.find(name)?.index;
        let request = with_address(Request::create(libc::RTM_NEWADDR), index, address, IFA_F_NODAD);
        self.tell(&format!("add address {address}"), name, request)
    }

    /// Takes an address away from the device.
    ///
    /// # Errors
    /// The kernel's, if it does not have it.
    pub fn remove_address(&mut self, name: &str, address: IpNet) -> Result<(), LinkError> {
        let index = self.find(name)?.index;
        let request = with_address(Request::new(libc::RTM_DELADDR), index, address, 0);
        self.tell(&format!("remove address {address}"), name, request)
    }
}

/// `struct ifaddrmsg` and its attributes.
fn with_address(request: Request, index: LinkIndex, address: IpNet, flags: u8) -> Request {
    let family = match address {
        IpNet::V4(_) => libc::AF_INET,
        IpNet::V6(_) => libc::AF_INET6,
    };
    let mut header = [0; 8];
    header[0] = family as u8;
    header[1] = address.prefix_len();
    header[2] = flags;
    header[4..8].copy_from_slice(&index.0.to_ne_bytes());
    let request = request.header(&header);
    match address.addr() {
        IpAddr::V4(address) => request
            .bytes(libc::IFA_LOCAL, &address.octets())
            .bytes(libc::IFA_ADDRESS, &address.octets()),
        IpAddr::V6(address) => request.bytes(libc::IFA_ADDRESS, &address.octets()),
    }
}
