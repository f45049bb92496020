//! Flows, translation and the firewall, packet by packet.

mod firewall;
mod fragments;
mod hairpin;
mod icmp;
mod masquerade;
mod reasons;
pub(crate) mod setup;
mod statics;
mod tcp;
mod timeouts;

pub(crate) use reasons::provoked;
