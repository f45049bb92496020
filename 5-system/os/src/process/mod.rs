//! What the process as a whole asks for: an end with its parent, no traces of its memory, memory in
//! huge pages, and to be the only one of its name.

mod huge;
mod lock;

pub use huge::{HugeAlloc, THRESHOLD};
pub use lock::{Holder, LockError, LockFile};

use rustix::io::Errno;
use rustix::process::{
    DumpableBehavior, Pid, Signal, getppid, set_dumpable_behavior, set_parent_process_death_signal,
};

/// The parent ended before this process could ask to end with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ParentError {
    /// It is gone.
    #[error("the parent, process {}, has ended", .0.as_raw_nonzero())]
    Gone(Pid),
    /// The kernel refused.
    #[error("cannot ask for a signal at the parent's end: {0}")]
    Refused(Errno),
}

/// Lets the kernel end this process (`SIGKILL`) when the thread of the parent that started it ends:
/// a gateway process without its supervisor could not give the devices back.
///
/// # Errors
/// If `parent`, the process that started this one, is gone already.
pub fn end_with_parent(parent: Pid) -> Result<(), ParentError> {
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(ParentError::Refused)?;
    // Asked too late it has no effect: then there is another parent by now.
    if getppid() == Some(parent) { Ok(()) } else { Err(ParentError::Gone(parent)) }
}

/// No core dumps, and nobody without CAP_SYS_PTRACE attaches to the process or reads its memory.
///
/// # Errors
/// The kernel's.
pub fn forbid_dumps() -> rustix::io::Result<()> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
}
