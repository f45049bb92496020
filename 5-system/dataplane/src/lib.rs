//! The loops of the I/O and pipeline threads, and the queues between them.
//!
//! A worker is one I/O thread and one pipeline thread. Between them `Vec`s of packets go round,
//! always the same ones: filled by I/O, worked on in place by the pipeline, emptied by I/O again.
//! So in the steady state nothing is allocated, and a slow pipeline makes frames wait in the
//! devices, not in queues of ours.

pub mod clock;
mod doorbell;
mod idle;
mod ring;
mod stop;
mod trap_queue;

pub use doorbell::{Bell, Doorbell};
pub use idle::{Idle, IdlePolicy, MAX_FDS, Step, sleep};
pub use ring::{Receiver, Sender, ring};
pub use stop::Stop;
pub use trap_queue::{CLASS_CAPACITY, TrapReceiver, TrapSender, trap_queue, weight};
