//! Flows, translation and the firewall, packet by packet.

mod firewall;
mod fragments;
mod hairpin;
mod icmp;
mod masquerade;
mod setup;

use portcullis_packet::DropReason;

/// The reasons that these tests provoke.
pub(crate) const PROVOKED: [DropReason; 21] = [
    DropReason::TransportMalformed,
    DropReason::FragmentTiny,
    DropReason::FragmentOverlap,
    DropReason::FragmentMalformed,
    DropReason::FragmentTimeout,
    DropReason::FragmentQueueFull,
    DropReason::TcpNoConnection,
    DropReason::TcpInvalid,
    DropReason::TcpOutOfWindow,
    DropReason::IcmpUnrelated,
    DropReason::FlowTableFull,
    DropReason::FlowSourceLimit,
    DropReason::FlowConflict,
    DropReason::SpoofedSource,
    DropReason::FirewallDrop,
    DropReason::FirewallReject,
    DropReason::NatNoMapping,
    DropReason::NatFiltered,
    DropReason::NatOutOfPorts,
    DropReason::NatSourceLimit,
    DropReason::NatUntranslatable,
];
