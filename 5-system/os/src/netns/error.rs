//! What can go wrong with a namespace.

use rustix::io::Errno;

/// Something that could not be done to a namespace.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("cannot {action} network namespace {name}: {kind}")]
pub struct NetnsError {
    /// What was tried.
    pub action: &'static str,
    /// With which namespace.
    pub name: String,
    /// Why it did not work.
    pub kind: NetnsErrorKind,
}

/// Why something could not be done to a namespace.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NetnsErrorKind {
    /// The name is no single component of a path.
    #[error("its name must be a file name: 1 to 255 bytes, no slash, not `.` or `..`")]
    BadName,
    /// There is one already.
    #[error("there is one of this name already")]
    Exists,
    /// There is none.
    #[error("there is none of this name")]
    Missing,
    /// The file exists, but no network namespace is mounted on it.
    #[error("{path} is taken by something that is no network namespace")]
    NotANamespace {
        /// The file.
        path: String,
    },
    /// The rights are missing.
    #[error("not permitted (namespaces need CAP_SYS_ADMIN and a writable /run/netns)")]
    NotPermitted,
    /// A helper thread could not be started.
    #[error("no helper thread: {0}")]
    NoThread(String),
    /// Anything else.
    #[error("{step}: {errno}")]
    System {
        /// The step that failed.
        step: &'static str,
        /// What the kernel said.
        errno: Errno,
    },
}

impl NetnsErrorKind {
    /// The kind for what the kernel said to `step`.
    pub(super) fn of(step: &'static str, errno: Errno) -> Self {
        match errno {
            Errno::PERM | Errno::ACCESS => Self::NotPermitted,
            errno => Self::System { step, errno },
        }
    }
}
