//! Which thread runs on which CPU.
//!
//! A worker is a pipeline thread and an I/O thread. Both poll, and pass batches to each other all
//! the time; so the best place for the two is one core with two CPUs (SMT siblings share its first
//! and second level caches), which is isolated from other work. Next best are two cores of one NUMA
//! node, and last one CPU for both. A worker of one thread has a CPU, and a core of its own as long as there are enough.

mod cores;
mod plan;
mod sentence;

pub use plan::{Pairing, Plan, PlanError, WorkerCpus, WorkerThreads, default_cpus, plan};
