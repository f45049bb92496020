//! What the control plane says of translation, already checked.

use std::ops::RangeInclusive;

use ipnet::{Ipv4Net, Ipv6Net};
use portcullis_packet::IfIndex;
use portcullis_wire::IpProtocol;

/// All translation of a gateway.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NatSpec {
    /// Many inside addresses behind few external ones; the first that matches counts.
    pub masquerades: Vec<MasqueradeSpec>,
    /// External ports that lead to inside hosts.
    pub forwards: Vec<ForwardSpec>,
    /// IPv4 networks that have external ones.
    pub statics4: Vec<Static4Spec>,
    /// IPv6 networks that have external ones.
    pub statics6: Vec<Static6Spec>,
}

/// From whom a mapping accepts packets (RFC 4787, 5; RFC 5382, 4.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Filtering {
    /// From everybody.
    #[default]
    EndpointIndependent,
    /// From hosts that the inside host has sent to by it.
    AddressDependent,
}

/// A masquerade.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MasqueradeSpec {
    /// Who is masqueraded.
    pub sources: Vec<Ipv4Net>,
    /// To whom not (RFC 6888, REQ-6).
    pub except: Vec<Ipv4Net>,
    /// Where packets leave that are.
    pub out: IfIndex,
    /// External addresses.
    pub pool: Vec<RangeInclusive<u32>>,
    /// External ports and ICMP identifiers.
    pub ports: RangeInclusive<u16>,
    /// From whom packets are accepted.
    pub filtering: Filtering,
    /// Ports that an inside address may have, per protocol; 0: as many as there are.
    pub ports_per_source: u32,
    /// Ports are given to inside addresses in blocks of so many: a power of two from 64 to 4096.
    pub block_size: Option<u16>,
}

/// A port forwarding.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ForwardSpec {
    /// Where packets come in.
    pub ingress: IfIndex,
    /// TCP or UDP.
    pub protocol: IpProtocol,
    /// The address they are sent to.
    pub external: u32,
    /// And the ports.
    pub external_ports: RangeInclusive<u16>,
    /// Where they go.
    pub internal: u32,
    /// The port that the first external one becomes; the others follow.
    pub internal_first_port: u16,
    /// Whether inside hosts can use it.
    pub hairpin: bool,
}

/// Two IPv4 networks of one size, each standing for the other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Static4Spec {
    /// The interface beyond which it is the external one that is known.
    pub on: IfIndex,
    /// The network as it is known there.
    pub external: Ipv4Net,
    /// The network as it is.
    pub internal: Ipv4Net,
}

/// The same for IPv6 (NPTv6).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Static6Spec {
    /// The interface beyond which it is the external one that is known.
    pub on: IfIndex,
    /// The network as it is known there.
    pub external: Ipv6Net,
    /// The network as it is.
    pub internal: Ipv6Net,
}
