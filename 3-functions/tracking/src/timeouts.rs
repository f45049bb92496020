//! How long flows are remembered without packets.

use std::time::Duration;

/// Times after which an idle flow ends. The defaults are the least that the RFCs allow, or what they recommend.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timeouts {
    /// An established TCP connection: two hours and four minutes (RFC 5382, REQ-5).
    pub tcp_established: Duration,
    /// A TCP connection that is being opened or closed, or was reset: four minutes (RFC 5382, REQ-5; RFC 7857,
    /// 2.1 and 2.2).
    pub tcp_transitory: Duration,
    /// UDP: five minutes (RFC 4787, REQ-5c).
    pub udp: Duration,
    /// A query of ICMP or ICMPv6: a minute (RFC 5508, REQ-2).
    pub icmp: Duration,
    /// Any other protocol: ten minutes, as no RFC says.
    pub other: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            tcp_established: Duration::from_secs(7440),
            tcp_transitory: Duration::from_secs(240),
            udp: Duration::from_secs(300),
            icmp: Duration::from_secs(60),
            other: Duration::from_secs(600),
        }
    }
}
