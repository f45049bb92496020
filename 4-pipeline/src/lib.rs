//! One batch of packets through the network functions.
//!
//! A [`Worker`] belongs to one pipeline thread and knows neither threads nor drivers: a batch, a
//! snapshot and the time go in; verdicts, punted packets and questions come out. It allocates
//! nothing while packets are forwarded.

#![forbid(unsafe_code)]

mod complain;
mod counters;
mod hold;
mod ingress;
mod lanes;
mod outbox;
mod pieces;
mod punt;
mod rate;
mod stateful;
mod worker;

pub use counters::{Traffic, WorkerCounters};
pub use hold::{HoldQueue, Resolve};
pub use outbox::Outbox;
pub use punt::PuntLimiter;
pub use rate::{IcmpLimiter, RESOLUTION_TIMEOUT, Rate};
pub use stateful::{
    Conn, EVENTS, Event, Events, Hold, Inquiry, LineFlags, Record, RuleEvent, State, StateConfig,
    Table, Translation,
};
pub use worker::{Worker, WorkerLimits};
