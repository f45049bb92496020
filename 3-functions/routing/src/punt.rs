//! Into which class a packet for the gateway itself falls.

use portcullis_packet::PuntClass;
use portcullis_wire::IpProtocol;

/// Ports of BFD: single-hop control and echo, multihop, and seamless BFD (RFC 5881, 5883, 7881).
const BFD: [u16; 4] = [3784, 3785, 4784, 7784];
/// Ports of routing protocols over UDP: RIP (RFC 2453), RIPng (RFC 2080), LDP (RFC 5036).
const ROUTING_UDP: [u16; 3] = [520, 521, 646];
/// Ports of routing protocols over TCP: BGP (RFC 4271), LDP, MSDP (RFC 3618).
const ROUTING_TCP: [u16; 3] = [179, 646, 639];

const EIGRP: u8 = 88;

/// The class of a packet by its upper protocol and that protocol's first bytes, which are empty where
/// they are unknown (later fragments).
#[must_use]
pub fn class(protocol: IpProtocol, upper: &[u8]) -> PuntClass {
    match protocol {
        IpProtocol::OSPF | IpProtocol::PIM | IpProtocol::VRRP | IpProtocol::IGMP => {
            PuntClass::Routing
        }
        IpProtocol(EIGRP) => PuntClass::Routing,
        IpProtocol::UDP => match ports(upper) {
            Some((_, to)) if BFD.contains(&to) => PuntClass::Bfd,
            Some((_, to)) if ROUTING_UDP.contains(&to) => PuntClass::Routing,
            _ => PuntClass::Other,
        },
        IpProtocol::TCP => match ports(upper) {
            Some((from, to)) if ROUTING_TCP.contains(&from) || ROUTING_TCP.contains(&to) => {
                PuntClass::Routing
            }
            _ => PuntClass::Other,
        },
        IpProtocol::ICMPV6 => match upper.first() {
            // Router and neighbour discovery, redirect (RFC 4861).
            Some(133..=137) => PuntClass::Neighbor,
            // Multicast listener discovery (RFC 2710, 3810).
            Some(130..=132 | 143) => PuntClass::Routing,
            _ => PuntClass::Other,
        },
        _ => PuntClass::Other,
    }
}

fn ports(upper: &[u8]) -> Option<(u16, u16)> {
    let &[a, b, c, d] = upper.first_chunk()?;
    Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn udp_to(port: u16) -> PuntClass {
        let [high, low] = port.to_be_bytes();
        class(IpProtocol::UDP, &[0xc0, 0, high, low, 0, 8, 0, 0])
    }

    #[test]
    fn routing_protocols_bfd_and_neighbour_discovery_have_classes_of_their_own() {
        assert_eq!(udp_to(3784), PuntClass::Bfd);
        assert_eq!(udp_to(520), PuntClass::Routing);
        assert_eq!(udp_to(53), PuntClass::Other);
        assert_eq!(class(IpProtocol::OSPF, &[]), PuntClass::Routing);
        assert_eq!(class(IpProtocol::TCP, &[0, 179, 0xc0, 0]), PuntClass::Routing);
        assert_eq!(class(IpProtocol::TCP, &[0xc0, 0, 0, 179]), PuntClass::Routing);
        assert_eq!(class(IpProtocol::TCP, &[0xc0, 0, 0, 22]), PuntClass::Other);
        assert_eq!(class(IpProtocol::ICMPV6, &[135, 0]), PuntClass::Neighbor);
        assert_eq!(class(IpProtocol::ICMPV6, &[143, 0]), PuntClass::Routing);
        assert_eq!(class(IpProtocol::ICMPV6, &[128, 0]), PuntClass::Other);
    }

    #[test]
    fn what_is_too_short_to_tell_is_ordinary() {
        for protocol in [IpProtocol::UDP, IpProtocol::TCP, IpProtocol::ICMPV6] {
            assert_eq!(class(protocol, &[]), PuntClass::Other);
        }
        assert_eq!(class(IpProtocol::UDP, &[0, 1, 14]), PuntClass::Other);
    }
}
