//! Flows, translation and the firewall, packet by packet.

mod firewall;
mod fragments;
mod hairpin;
mod icmp;
mod inspection;
mod masquerade;
mod model;
mod offloads;
mod own_address;
mod reasons;
pub(crate) mod setup;
mod statics;
mod tcp;
mod timeouts;
mod workers;

pub(crate) use reasons::provoked;
