//! The loops of the I/O and pipeline threads, and the queues between them.
//!
//! A worker is one I/O thread and one pipeline thread. Between them `Vec`s of packets go round,
//! always the same ones: filled by I/O, worked on in place by the pipeline, emptied by I/O again
//! ([`exchange`]). So in the steady state nothing is allocated, and a slow pipeline makes frames wait
//! in the devices, not in queues of ours.
//!
//! With several workers, each packet of a flow goes to the one that has it: I/O threads steer what they
//! receive ([`Steer`]) and hand it over to each other ([`mesh`]).

pub mod clock;
mod doorbell;
mod exchange;
mod idle;
mod io_loop;
mod jobs;
mod mesh;
mod partner;
mod pipeline_loop;
mod questions;
mod ring;
mod sleeper;
mod steer;
mod stop;
mod trap_queue;

/// What [`sleeper`] is built on; the model checker has its own.
mod sync {
    pub(crate) use std::sync::atomic::{AtomicU32, Ordering, fence};
}

pub use doorbell::{Bell, Doorbell};
pub use exchange::{
    BATCHES, EXTRAS, FEW_BATCHES, IoEnd, PipelineEnd, exchange, exchange_on_one_thread,
};
pub use idle::{Idle, IdlePolicy, MAX_FDS, Step, sleep};
pub use io_loop::{IoConfig, IoCounters, IoLinks, IoLoop};
pub use jobs::{IoJob, OpenPort, PipelineJob, WorkerJob};
pub use mesh::{HANDOVERS, MeshEnd, mesh};
pub use pipeline_loop::{
    EVENT_CAPACITY, INJECT_CAPACITY, INQUIRIES, PipelineCounters, PipelineLinks, PipelineLoop,
};
pub use questions::{Asker, QUESTIONS, Questions, questions};
pub use ring::{Receiver, Sender, ring};
pub use steer::{Steer, SteerByFlow, SteeredBy};
pub use stop::Stop;
pub use trap_queue::{CLASS_CAPACITY, TrapReceiver, TrapSender, trap_queue, weight};
