//! Bytes on the wire: views of headers, checksums, and what is built from both (flow hashes,
//! segmentation, fragmentation, ICMP errors).
//!
//! A view is a checked constructor followed by accessors that cannot fail: the constructor proves
//! that the fixed header is there by taking a reference to an array of its size, so no accessor has a
//! bound left to check. `Header<&[u8; N]>` reads, `Header<&mut [u8; N]>` reads and writes. Integers
//! are in host order, lengths and offsets in bytes, unless an item says otherwise.
//!
//! Nothing here knows a socket, a clock or a thread, and nothing allocates but [`build`], which is
//! for tests and slow paths.

#![forbid(unsafe_code)]

pub mod arp;
pub mod build;
pub mod checksum;
pub mod dissect;
pub mod ethernet;
mod field;
mod flow_hash;
pub mod fragment;
pub mod icmp_error;
pub mod icmpv4;
pub mod icmpv6;
pub mod ipv4;
pub mod ipv6;
pub mod mss;
pub mod offload;
mod protocol;
pub mod proxy;
pub mod reset;
pub mod rewrite;
pub mod sctp;
pub mod tcp;
mod tuple;
pub mod udp;

pub use flow_hash::flow_hash;
pub use protocol::{EtherType, IpProtocol};
pub use tuple::{Tuple, icmp_port};
