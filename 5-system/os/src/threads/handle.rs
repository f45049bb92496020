//! A thread that was started, and how it ended.

use std::fmt;
use std::thread::JoinHandle;

use rustix::thread::Pid;

use super::{Role, ThreadName};

/// A running thread.
#[derive(Debug)]
pub struct ThreadHandle {
    /// Its kernel id.
    pub tid: Pid,
    /// Its name.
    pub name: ThreadName,
    /// What it is there for.
    pub role: Role,
    inner: JoinHandle<Result<(), String>>,
}

impl ThreadHandle {
    /// For implementations of [`super::Threads`]: `inner` answers what a panic said, if one ended
    /// the job.
    #[must_use]
    pub fn new(
        tid: Pid,
        name: ThreadName,
        role: Role,
        inner: JoinHandle<Result<(), String>>,
    ) -> Self {
        Self { tid, name, role, inner }
    }

    /// Whether it has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.inner.is_finished()
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// If the job panicked.
    pub fn join(self) -> Result<(), JoinError> {
        let Self { name, inner, .. } = self;
        let said = match inner.join() {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(said)) => said,
            Err(panic) => panic_message(&*panic),
        };
        Err(JoinError { thread: name, said })
    }
}

/// A thread whose job panicked.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("thread {thread} panicked: {said}")]
pub struct JoinError {
    /// Which thread.
    pub thread: ThreadName,
    /// What the panic said.
    pub said: String,
}

/// The end of a job, as told to the observer of [`super::SystemThreads`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ThreadEnd {
    /// Which thread.
    pub name: ThreadName,
    /// Its kernel id.
    pub tid: Pid,
    /// What it was there for.
    pub role: Role,
    /// What the panic said, if the job did not end by itself.
    pub panicked: Option<String>,
}

impl fmt::Display for ThreadEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.panicked {
            None => write!(f, "thread {} ended", self.name),
            Some(said) => write!(f, "thread {} panicked: {said}", self.name),
        }
    }
}

/// What a panic said, as far as it said it in words.
pub(super) fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    if let Some(said) = panic.downcast_ref::<&str>() {
        (*said).to_owned()
    } else if let Some(said) = panic.downcast_ref::<String>() {
        said.clone()
    } else {
        "without a message".to_owned()
    }
}
