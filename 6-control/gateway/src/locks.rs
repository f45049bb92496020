//! Lock files: one gateway of a name, one in a namespace, and one gateway process of a name.
//!
//! The supervisor holds the first two kinds, the gateway process the third: when a supervisor is
//! killed, its gateway process may outlive it for a moment, with taps and devices open.

use std::path::Path;

use portcullis_config::Config;
use portcullis_os::process::{LockError, LockFile};

use crate::state::RUN_DIRECTORY;

/// What is locked. Their files' names end differently, so that none can be another's.
#[derive(Clone, Copy)]
pub(crate) enum What<'n> {
    /// A gateway of this name.
    Gateway(&'n str),
    /// The use of a namespace.
    Namespace(&'n str),
    /// The threads of the gateway with this name.
    Process(&'n str),
}

impl What<'_> {
    /// Takes the lock; does not wait.
    ///
    /// # Errors
    /// Whoever has it is named.
    pub(crate) fn take(self) -> Result<LockFile, LockError> {
        let (file, words) = match self {
            Self::Gateway(name) => (format!("{name}.lock"), format!("gateway {name}")),
            Self::Namespace(name) => (format!("{name}.netns-lock"), format!("namespace {name}")),
            Self::Process(name) => {
                (format!("{name}.process-lock"), format!("gateway {name}'s dataplane"))
            }
        };
        LockFile::take(&Path::new(RUN_DIRECTORY).join(file), &words)
    }
}

/// What a supervisor holds.
pub(crate) fn take_all(config: &Config) -> Result<[LockFile; 3], LockError> {
    let gateway = config.gateway();
    Ok([
        What::Gateway(gateway.name.as_str()).take()?,
        What::Namespace(gateway.link_namespace.as_str()).take()?,
        What::Namespace(gateway.vpc_namespace.as_str()).take()?,
    ])
}
