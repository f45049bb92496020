//! What a thread does.

use super::JobError;

/// The work of one thread, in two halves with different rights.
pub trait Job: Send {
    /// Opens sockets, taps and the like: called once, on the thread, in its namespace and on its
    /// CPUs, before any right is taken away.
    ///
    /// # Errors
    /// Whatever could not be opened; the start fails with it.
    fn open(&mut self) -> Result<(), JobError>;

    /// The work, until it is done. The thread has by now only what its spec names.
    fn run(self: Box<Self>);
}
