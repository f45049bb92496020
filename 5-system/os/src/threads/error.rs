//! What can go wrong at the start of a thread.

use std::fmt;

use rustix::io::Errno;

use super::ThreadName;
use crate::cpus::CpuSet;
use crate::privileges::CutError;
use crate::seccomp::FilterError;

/// Whatever a job could not open.
pub type JobError = Box<dyn std::error::Error + Send + Sync>;

/// A thread that did not come up.
#[derive(Debug, thiserror::Error)]
#[error("thread {thread} did not start: {step}")]
pub struct StartError {
    /// Which thread.
    pub thread: ThreadName,
    /// Where it stopped.
    #[source]
    pub step: StartStep,
}

/// The step of a start that failed.
#[derive(Debug, thiserror::Error)]
pub enum StartStep {
    /// The system gave no thread.
    #[error("the system gave none: {0}")]
    Spawn(#[source] std::io::Error),
    /// Signals could not be left to the main thread.
    #[error("cannot leave signals to the main thread: {0}")]
    Signals(#[source] std::io::Error),
    /// The CPUs cannot be had.
    #[error(
        "cannot be pinned to CPUs {cpus}: {errno}; are they there, and in this process's cpuset?"
    )]
    Pin {
        /// Which CPUs.
        cpus: CpuSet,
        /// What the kernel said.
        errno: Errno,
    },
    /// The namespace cannot be entered or made.
    #[error("cannot enter {namespace}: {}", entering(*.errno))]
    Namespace {
        /// Which one, in words.
        namespace: String,
        /// What the kernel said.
        errno: Errno,
    },
    /// The job could not open what it needs.
    #[error("{0}")]
    Open(#[source] JobError),
    /// The job panicked while it opened what it needs.
    #[error("its job panicked while opening: {0}")]
    OpenPanicked(String),
    /// Rights could not be taken away.
    #[error(transparent)]
    Confine(#[from] ConfineError),
    /// The thread ended without a word.
    #[error("it ended before it was ready")]
    Vanished,
}

/// Rights that could not be taken away.
#[derive(Debug, thiserror::Error)]
pub enum ConfineError {
    /// Capabilities, securebits, `no_new_privs`.
    #[error(transparent)]
    Cut(#[from] CutError),
    /// The seccomp filter.
    #[error(transparent)]
    Filter(#[from] FilterError),
}

fn entering(errno: Errno) -> impl fmt::Display {
    if errno == Errno::PERM {
        "not permitted (namespaces need CAP_SYS_ADMIN)".to_owned()
    } else {
        errno.to_string()
    }
}
