//! Ports: where frames come from and go to.
//!
//! A [`Port`] is one queue of one network device, used by one I/O thread. The I/O loop knows
//! nothing more of it than the trait: AF_PACKET ([`af_packet`]) is the first driver behind it. For
//! tests there is a wire in [`memory`], and two ports that are put before others: [`fault`] and [`pcap`].

pub mod af_packet;
pub mod fault;
pub mod memory;
pub mod pcap;
mod port;
pub mod vlan;
pub mod vnet_hdr;

pub use port::{Port, PortCounters, PortState, PortStatus};
