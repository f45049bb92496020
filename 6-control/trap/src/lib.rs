//! The trap thread: frames between the pipelines and the taps.
//!
//! Packets for the gateway itself (ARP, neighbour discovery, routing protocols, BFD, pings) come from
//! the pipelines in one queue and go to the kernel in `vpc` through the tap of the interface they came
//! in by. What that kernel sends through a tap goes to the pipeline that has its flow, and out of the
//! interface, as it is. Both ways frames cross byte for byte; what the sender left undone on them
//! (partial checksums, TCP super-frames) crosses with them in the `virtio_net_hdr`.
//!
//! * [`TrapJob`] is the thread: it opens its taps while it may, and then needs no capability;
//! * [`Exchange`] is what happens to one frame, without I/O: taps are [`TapPort`]s, workers [`Lane`]s;
//! * [`TrapCounters`] is what anybody may read of it.

#![forbid(unsafe_code)]

mod counters;
mod exchange;
mod job;
mod landing;
mod port;
mod service;
mod tap;

pub use counters::{ClassCounters, InterfaceCounters, TrapCounters};
pub use exchange::{Collected, Exchange, Lane};
pub use job::{TapSpec, TrapConfig, TrapJob};
pub use port::{Received, Refusal, TapPort};
pub use tap::KernelTap;
