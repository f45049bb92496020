//! Taking a thread's rights away.

use super::{ConfineError, Role};
use crate::privileges::{Privileges, cut_to};
use crate::seccomp::Filter;

/// Leaves the calling thread `keep` and the system calls of `role`. This is the last step of
/// every [`super::Threads`] before the job's work, and what the main thread does to itself once
/// all others are up (threads that it starts later would inherit both).
///
/// # Errors
/// The step that failed. The thread may be half confined then, and should end.
pub fn confine_this_thread(role: Role, keep: Privileges) -> Result<(), ConfineError> {
    // Compiled first: it allocates, and nothing is lost if it fails.
    let filter = Filter::for_role(role)?;
    cut_to(keep)?;
    filter.install()?;
    Ok(())
}
