//! `[[nat.forward]]`.

use std::fmt;
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::str::FromStr;

use crate::address;
use crate::check::{Checker, Expected};
use crate::diagnostic::Diagnostic;
use crate::links::Links;
use crate::name::InterfaceName;
use crate::overlap::{Range, overlaps};
use crate::range;
use crate::raw::RawForward;
use crate::source::Located;
use crate::word::word_type;

word_type! {
    /// The protocol whose ports are forwarded.
    #[derive(PartialOrd, Ord)]
    ForwardProtocol {
        /// TCP.
        Tcp = "tcp",
        /// UDP.
        Udp = "udp",
    }
}

/// A host's address, and some ports of it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub struct Endpoint {
    /// The address.
    pub address: Ipv4Addr,
    /// The ports, without 0.
    pub ports: RangeInclusive<u16>,
}

impl FromStr for Endpoint {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        let expected = || {
            Expected::new(
                "an IPv4 address and a port or ports: `10.0.0.5:443`, `10.0.0.5:5000-5010`",
            )
        };
        if text.starts_with('[') {
            return Err(Expected::new("an IPv4 address: IPv6 hosts need no port forwarding"));
        }
        let (address, ports) = text.rsplit_once(':').ok_or_else(expected)?;
        let address: Ipv4Addr = address.parse().map_err(|_| expected())?;
        address::host(address.into())?;
        let ports = range::ports(ports).ok_or_else(expected)?;
        if *ports.start() == 0 {
            return Err(Expected::new("ports from 1 to 65535"));
        }
        Ok(Self { address, ports })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.address, range::ports_text(&self.ports))
    }
}

/// Ports of an outside address that lead to an inside host.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Forward {
    /// The interface by which packets come in: `in` in the file.
    pub interface: InterfaceName,
    /// The protocol.
    pub protocol: ForwardProtocol,
    /// Where packets are sent to from outside.
    pub destination: Endpoint,
    /// Where they go; as many ports as `destination` has.
    pub to: Endpoint,
    /// Whether inside hosts can use the outside address too.
    pub hairpin: bool,
}

pub(super) fn check(
    raw: &[Located<RawForward>],
    links: &Links<'_>,
    checker: &mut Checker<'_>,
) -> Option<Vec<Forward>> {
    let forwards: Vec<Option<Forward>> =
        raw.iter().map(|one| one_forward(&one.value, links, checker)).collect();
    let ranges = forwards.iter().zip(raw).filter_map(|(forward, raw)| {
        let forward = forward.as_ref()?;
        let (first, last) = (*forward.destination.ports.start(), *forward.destination.ports.end());
        let key = (&forward.interface, forward.protocol, forward.destination.address);
        Some(Range { key, first, last, span: &raw.value.destination.as_ref()?.span })
    });
    for (later, earlier) in overlaps(ranges.collect()) {
        let found = "a second forward of the same port";
        let error = Diagnostic::new(later, found, "ports that no other forward has");
        checker.report(error.related(earlier, "the first one"));
    }
    forwards.into_iter().collect()
}

fn one_forward(raw: &RawForward, links: &Links<'_>, checker: &mut Checker<'_>) -> Option<Forward> {
    let interface = raw.r#in.as_ref().and_then(|given| links.named("in", given, checker));
    let protocol = raw.protocol.as_ref().and_then(|given| checker.parse("protocol", given));
    let destination: Option<Located<Endpoint>> =
        checker.located("destination", raw.destination.as_ref());
    let to: Option<Located<Endpoint>> = checker.located("to", raw.to.as_ref());
    if let (Some(destination), Some(to)) = (&destination, &to) {
        let (outside, inside) = (destination.value.ports.len(), to.value.ports.len());
        if outside != inside {
            let found = format!("{outside} ports forwarded to {inside}");
            let error = Diagnostic::new(&to.span, found, format!("{outside} here too"));
            checker.report(error.related(&destination.span, "the ports outside"));
            return None;
        }
    }
    Some(Forward {
        interface: interface?.clone(),
        protocol: protocol?,
        destination: destination?.value,
        to: to?.value,
        hairpin: raw.hairpin.as_ref().is_none_or(|given| given.value),
    })
}

impl Forward {
    pub(crate) fn to_raw(&self) -> RawForward {
        let text = |text: String| Some(Located::nowhere(text));
        RawForward {
            r#in: text(self.interface.to_string()),
            protocol: text(self.protocol.to_string()),
            destination: text(self.destination.to_string()),
            to: text(self.to.to_string()),
            hairpin: Some(Located::nowhere(self.hairpin)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_an_address_with_a_port_or_some() {
        for good in ["10.0.0.5:443", "203.0.113.1:5000-5010", "10.0.0.5:1-65535"] {
            assert_eq!(good.parse::<Endpoint>().map(|one| one.to_string()), Ok(good.to_owned()));
        }
        for bad in [
            "",
            "10.0.0.5",
            "10.0.0.5:",
            ":443",
            "10.0.0.5:0",
            "10.0.0.5:0-5",
            "10.0.0.5:9-5",
            "10.0.0.5:65536",
            "224.0.0.1:5",
            "[2001:db8::1]:443",
            "2001:db8::1:443",
            "10.0.0.0/8:1",
        ] {
            assert!(bad.parse::<Endpoint>().is_err(), "{bad}");
        }
    }
}
