//! Threads that DPDK knows.
//!
//! A registered thread has an lcore id, and with it a cache of its own in each pool: it takes and frees buffers without a lock.

use portcullis_os::threads::{Job, JobError, Role, StartError, ThreadHandle, ThreadSpec, Threads};

use crate::error::Errno;
use crate::ffi;

/// What DPDK calls a thread that it does not know.
const NONE: u32 = u32::MAX;

/// The lcore id of the calling thread, if DPDK knows it.
#[must_use]
pub fn lcore() -> Option<u32> {
    Some(ffi::pc_lcore()).filter(|&id| id != NONE)
}

/// A thread's registration, which ends with it. To be dropped on the thread that it is of.
#[derive(Debug)]
pub struct Registration {
    lcore: u32,
}

/// DPDK does not take another thread.
#[derive(Debug, thiserror::Error)]
#[error("DPDK does not register the thread: {0}; it has a place for 128 at most")]
pub struct RegisterError(Errno);

impl Registration {
    /// Registers the calling thread.
    ///
    /// # Errors
    /// If there is no lcore id left, or DPDK was not started.
    pub fn new() -> Result<Self, RegisterError> {
        Errno::check(ffi::pc_thread_register()).map_err(RegisterError)?;
        Ok(Self { lcore: ffi::pc_lcore() })
    }

    /// Its lcore id.
    #[must_use]
    pub const fn lcore(&self) -> u32 {
        self.lcore
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if ffi::pc_lcore() == self.lcore {
            ffi::pc_thread_unregister();
        } else {
            tracing::error!("lcore {} stays taken: its thread has ended", self.lcore);
        }
    }
}

/// Starts threads as another does, and registers those with DPDK that have its buffers in their hands.
#[derive(Debug)]
pub struct DpdkThreads<T> {
    inner: T,
}

impl<T> DpdkThreads<T> {
    /// Around what starts them.
    pub const fn new(inner: T) -> Self {
        Self { inner }
    }
}

impl<T: Threads> Threads for DpdkThreads<T> {
    fn start(&self, spec: ThreadSpec, job: Box<dyn Job>) -> Result<ThreadHandle, StartError> {
        let job: Box<dyn Job> = match spec.role {
            Role::Io | Role::Pipeline | Role::Worker | Role::Trap => {
                Box::new(Registered { job, registration: None })
            }
            Role::Manager | Role::Control | Role::Supervisor | Role::Dpdk => job,
        };
        self.inner.start(spec, job)
    }
}

/// A job on a registered thread. It is registered once it is where it stays, and with its rights still there.
struct Registered {
    // In this order: what the job drops may be DPDK's.
    job: Box<dyn Job>,
    registration: Option<Registration>,
}

impl Job for Registered {
    fn open(&mut self) -> Result<(), JobError> {
        self.registration = Some(Registration::new()?);
        self.job.open()
    }

    fn run(self: Box<Self>) {
        let Self { job, registration } = *self;
        // Dropped last, also when the job panics.
        let _registration = registration;
        job.run();
    }
}
