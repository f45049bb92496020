//! Starting threads, behind one trait.
//!
//! A thread is described by a [`ThreadSpec`] (role, name, CPUs, namespace, what it keeps) and does
//! a [`Job`]. Who starts it stands behind [`Threads`]: system threads here ([`SystemThreads`]); an
//! environment whose threads must be made known to it first, as DPDK's, implements the same trait.
//! Jobs never know which they run on.
//!
//! A job has two halves. [`Job::open`] runs in the thread's namespace with all rights still there:
//! sockets, taps and runtimes are made in it. Then everything that the spec does not name is taken
//! away, for good, and [`Job::run`] does the work. The starter hears back only when the thread is
//! fully cut, or why it is not. Signals for the process are left to its main thread.

mod confine;
mod error;
mod handle;
mod job;
mod role;
mod signals;
mod spec;
mod system;

pub use confine::confine_this_thread;
pub use error::{ConfineError, JobError, StartError, StartStep};
pub use handle::{JoinError, ThreadEnd, ThreadHandle};
pub use job::Job;
pub use role::Role;
pub use spec::{NamespaceChoice, ThreadName, ThreadNameError, ThreadSpec};
pub use system::SystemThreads;

/// Whoever starts threads.
pub trait Threads {
    /// Starts a thread as `spec` says, lets it open what `job` needs, and cuts its rights.
    /// Returns when the thread runs `job` with nothing left to it but what `spec` names.
    ///
    /// # Errors
    /// Which step failed, and why, in words. The thread has ended then.
    fn start(&self, spec: ThreadSpec, job: Box<dyn Job>) -> Result<ThreadHandle, StartError>;
}
