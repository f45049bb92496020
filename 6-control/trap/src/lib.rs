//! The trap thread: frames between the pipelines and the taps.

#![forbid(unsafe_code)]

mod counters;
mod exchange;
mod landing;
mod port;
mod tap;

pub use counters::{ClassCounters, InterfaceCounters, TrapCounters};
pub use exchange::{Collected, Exchange, Lane};
pub use port::{Received, Refusal, TapPort};
pub use tap::KernelTap;
