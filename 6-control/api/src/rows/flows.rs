//! Flows.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// A flow: both directions of a conversation.
///
/// Its addresses stand here as each side sends them, before anything is translated: `source` and
/// `destination` by the initiator, `reply_source` and `reply_destination` by the responder. Without
/// translation the second pair is the first one turned round.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct FlowRow {
    /// No other flow of this gateway has the same, nor had before.
    pub id: u64,
    /// The worker that its packets go through.
    pub worker: u32,
    /// Its protocol: `tcp`, `icmpv6`, or a number.
    pub protocol: String,
    /// How far it is: `established`.
    pub state: String,
    /// The initiator's address.
    pub source: IpAddr,
    /// The initiator's port; of an ICMP query, its identifier.
    pub source_port: Option<u16>,
    /// The address that the initiator sends to.
    pub destination: IpAddr,
    /// The port that the initiator sends to.
    pub destination_port: Option<u16>,
    /// The address that replies come from.
    pub reply_source: IpAddr,
    /// The port that replies come from.
    pub reply_source_port: Option<u16>,
    /// The address that replies go to.
    pub reply_destination: IpAddr,
    /// The port that replies go to; of an ICMP query, the reply's identifier.
    pub reply_destination_port: Option<u16>,
    /// The type of an ICMP query.
    pub icmp_type: Option<u8>,
    /// The code of an ICMP query.
    pub icmp_code: Option<u8>,
    /// The interface that the initiator's packets come in by; none if the gateway sends them itself.
    pub in_interface: Option<String>,
    /// The interface that the initiator's packets leave by; none if the gateway is meant itself.
    pub out_interface: Option<String>,
    /// The firewall rule that let it in; `default` or `gateway-default` if none did.
    pub rule: Option<String>,
    /// What translates it: `masquerade`, `forward`, `static`, `hairpin`.
    pub nat: Option<String>,
    /// Packets of the initiator.
    pub packets: u64,
    /// Bytes of the initiator, from the IP header on.
    pub bytes: u64,
    /// Packets of the responder.
    pub reply_packets: u64,
    /// Bytes of the responder, from the IP header on.
    pub reply_bytes: u64,
    /// How long it has been there.
    pub age_seconds: f64,
    /// How long it has had no packet.
    pub idle_seconds: f64,
    /// How long it will be there if no packet comes.
    pub timeout_seconds: f64,
}

/// What became of a request to end flows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FlushRow {
    /// How many were ended.
    pub flows: u64,
}

/// An address, and a port if the protocol has any.
pub type Endpoint = (IpAddr, Option<u16>);

impl FlowRow {
    /// The initiator, as it names itself.
    #[must_use]
    pub fn initiator(&self) -> Endpoint {
        (self.source, self.source_port)
    }

    /// The responder, as the initiator names it.
    #[must_use]
    pub fn responder(&self) -> Endpoint {
        (self.destination, self.destination_port)
    }

    /// The initiator, as the responder sees it.
    #[must_use]
    pub fn translated_initiator(&self) -> Endpoint {
        (self.reply_destination, self.reply_destination_port)
    }

    /// The responder, as it names itself.
    #[must_use]
    pub fn translated_responder(&self) -> Endpoint {
        (self.reply_source, self.reply_source_port)
    }

    /// Packets of both sides.
    #[must_use]
    pub fn all_packets(&self) -> u64 {
        self.packets.saturating_add(self.reply_packets)
    }

    /// Bytes of both sides.
    #[must_use]
    pub fn all_bytes(&self) -> u64 {
        self.bytes.saturating_add(self.reply_bytes)
    }
}
