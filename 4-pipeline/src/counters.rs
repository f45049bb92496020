//! What a worker counts.

use portcullis_packet::{Counter, DropCounters, Gauge};

/// Packets and bytes of one kind.
#[derive(Debug, Default)]
pub struct Traffic {
    /// Packets.
    pub packets: Counter,
    /// Bytes, from the network header on.
    pub bytes: Counter,
}

/// The counters of one worker's pipeline. The worker's pipeline thread writes them, anybody reads.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct WorkerCounters {
    /// Dropped packets by reason.
    pub drops: DropCounters,
    /// Packets taken in from ports.
    pub received: Counter,
    /// Forwarded IPv4 packets.
    pub ip4: Traffic,
    /// Forwarded IPv6 packets.
    pub ip6: Traffic,
    /// Packets handed to the trap queue, by [`PuntClass`](portcullis_packet::PuntClass) slot.
    pub punted: [Counter; 4],
    /// Packets from the taps sent out.
    pub injected: Counter,
    /// Packets that had to wait for their next hop's link-layer address.
    pub held: Counter,
    /// Packets that waited and left, or were dropped.
    pub released: Counter,
    /// ICMP and ICMPv6 errors sent.
    pub icmp_errors: Counter,
    /// ICMP and ICMPv6 errors not sent, for their rate limit.
    pub icmp_suppressed: Counter,
    /// Fragments and segments made here.
    pub pieces: Counter,
    /// Batches processed.
    pub batches: Counter,
    /// Flows that there are now.
    pub flows: Gauge,
    /// Flows that began.
    pub flows_opened: Counter,
    /// Flows that ended because a new configuration does not allow them.
    pub flows_revoked: Counter,
    /// ICMP and ICMPv6 errors passed on because they belong to a flow.
    pub icmp_related: Counter,
    /// TCP resets sent for the firewall.
    pub resets: Counter,
}
