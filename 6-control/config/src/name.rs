//! Names, each a type of its own.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::check::Expected;

/// `IFNAMSIZ` of Linux, less the byte that ends the name.
const LONGEST_LINK: usize = 15;

/// `NAME_MAX` of Linux: a namespace's name is a file in /run/netns.
const LONGEST_FILE: usize = 255;

/// Longest name of a gateway: its socket's path must fit into 107 bytes (`sockaddr_un`).
const LONGEST_GATEWAY: usize = 64;

/// Longest name of a zone.
const LONGEST_ZONE: usize = 32;

/// Longest name of a rule or a set.
const LONGEST_RULE: usize = 64;

/// The zone of traffic to the gateway itself.
pub(crate) const GATEWAY_ZONE: &str = "gateway";

macro_rules! name_types {
    ($( $(#[$doc:meta])* $name:ident, $check:ident; )+) => { $(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = Expected;

            fn from_str(text: &str) -> Result<Self, Expected> {
                $check(text).map(|()| Self(text.to_owned()))
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }
    )+ };
}

name_types! {
    /// The gateway's name: part of the path of its control socket.
    GatewayName, gateway;
    /// The name of a network namespace: a file's name in /run/netns.
    NamespaceName, namespace;
    /// The name of an interface of the gateway, and of its tap.
    InterfaceName, interface;
    /// The kernel's name of a device.
    DeviceName, device;
    /// The name of a zone of the firewall.
    ZoneName, zone;
    /// The name of a rule of the firewall.
    RuleName, rule;
    /// The name of a set of addresses or of services.
    SetName, set;
}

fn expect(holds: bool, expected: &str) -> Result<(), Expected> {
    if holds { Ok(()) } else { Err(Expected::new(expected)) }
}

fn gateway(text: &str) -> Result<(), Expected> {
    let ok = text.len() <= LONGEST_GATEWAY
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    expect(ok, "1 to 64 letters, digits, `.`, `_` or `-`, the first a letter or digit")
}

fn namespace(text: &str) -> Result<(), Expected> {
    let ok = (1..=LONGEST_FILE).contains(&text.len())
        && text != "."
        && text != ".."
        && text.bytes().all(|b| b.is_ascii_graphic() && b != b'/');
    expect(ok, "1 to 255 printable ASCII characters without spaces and `/`")
}

/// What the kernel takes for a network device's name (`dev_valid_name`), and no more than can be
/// typed and printed anywhere.
fn link(text: &str) -> Result<(), Expected> {
    let ok = (1..=LONGEST_LINK).contains(&text.len())
        && text != "."
        && text != ".."
        && text.bytes().all(|b| b.is_ascii_graphic() && !b"/:%".contains(&b));
    expect(ok, "1 to 15 printable ASCII characters without spaces, `/`, `:` and `%`")
}

fn interface(text: &str) -> Result<(), Expected> {
    link(text)?;
    // `lo` is every namespace's own, the other two are directories in /proc/sys/net/ipv4/conf.
    expect(!["lo", "all", "default"].contains(&text), "another name: the kernel reserves this one")
}

fn device(text: &str) -> Result<(), Expected> {
    link(text)?;
    expect(text != "lo", "a device that can be moved to another namespace")
}

fn zone(text: &str) -> Result<(), Expected> {
    let ok = (1..=LONGEST_ZONE).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    expect(ok, "1 to 32 printable ASCII characters without spaces")?;
    expect(text != GATEWAY_ZONE, "another name: `gateway` is the zone of the gateway itself")
}

fn rule(text: &str) -> Result<(), Expected> {
    let ok = (1..=LONGEST_RULE).contains(&text.len())
        && text.trim() == text
        && text.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
    expect(ok, "1 to 64 printable ASCII characters, neither the first nor the last a space")
}

/// What can't be taken for an address, a port or a service.
fn set(text: &str) -> Result<(), Expected> {
    let ok = text.len() <= LONGEST_RULE
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    expect(ok, "1 to 64 letters, digits, `.`, `_` or `-`, the first a letter")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_named_as_the_kernel_would_have_it() {
        for good in ["wan", "eth0.100", "a", "fifteen-letters", "pc_0@x"] {
            assert!(good.parse::<InterfaceName>().is_ok(), "{good}");
            assert!(good.parse::<DeviceName>().is_ok(), "{good}");
        }
        for bad in
            ["", ".", "..", "sixteen-letters-", "a/b", "a b", "a:b", "veth%d", "ümlaut", "lo"]
        {
            assert!(bad.parse::<InterfaceName>().is_err(), "{bad}");
            assert!(bad.parse::<DeviceName>().is_err(), "{bad}");
        }
        assert!("all".parse::<InterfaceName>().is_err());
    }

    #[test]
    fn names_that_become_paths_cannot_leave_their_directory() {
        for bad in ["", ".", "..", "../x", "a/b", "/", "a\0b", "a b"] {
            assert!(bad.parse::<GatewayName>().is_err(), "{bad}");
            assert!(bad.parse::<NamespaceName>().is_err(), "{bad}");
        }
        assert!("gw1.example.net".parse::<GatewayName>().is_ok());
        assert!("x".repeat(65).parse::<GatewayName>().is_err());
    }

    #[test]
    fn the_gateways_own_zone_cannot_be_given_to_an_interface() {
        assert!("gateway".parse::<ZoneName>().is_err());
        assert!("untrusted".parse::<ZoneName>().is_ok());
    }
}
