//! Flows, translation and the firewall, packet by packet.

mod firewall;
mod fragments;
mod hairpin;
mod icmp;
mod masquerade;
mod reasons;
mod setup;
mod statics;

pub(crate) use reasons::provoked;
