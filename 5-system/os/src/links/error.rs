//! What can go wrong with a device.

use std::fmt;

use rustix::io::Errno;

use crate::netns::NetnsError;

/// Something that could not be done to a device.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LinkError {
    /// What was tried.
    pub action: String,
    /// With which device; `None` if not with one.
    pub device: Option<String>,
    /// In which namespace.
    pub namespace: String,
    /// Why it did not work.
    pub kind: LinkErrorKind,
}

/// Why something could not be done to a device.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LinkErrorKind {
    /// `ENODEV`.
    #[error("there is no such device")]
    NotFound,
    /// `ENOENT`: the device is there, but not what was meant to be on it.
    #[error("there is nothing of that kind on it{}", Said(.0))]
    Missing(String),
    /// `EPERM`.
    #[error("not permitted (CAP_NET_ADMIN is needed)")]
    NotPermitted,
    /// `EBUSY`.
    #[error("it is in use{}", Said(.0))]
    Busy(String),
    /// `EEXIST`.
    #[error("there is one of this name already{}", Said(.0))]
    Exists(String),
    /// `EOPNOTSUPP`.
    #[error("this kind of device cannot do that{}", Said(.0))]
    NotSupported(String),
    /// Anything else that the kernel answered.
    #[error("{errno}{}", Said(.said))]
    Refused {
        /// The error number.
        errno: Errno,
        /// The kernel's own words, if it had any.
        said: String,
    },
    /// The kernel's answer cannot be understood.
    #[error("the kernel's answer cannot be understood")]
    Malformed,
    /// The socket failed.
    #[error("cannot {step}: {errno}")]
    Socket {
        /// What was tried.
        step: &'static str,
        /// What came back.
        errno: Errno,
    },
    /// The namespace could not be entered.
    #[error(transparent)]
    Namespace(Box<NetnsError>),
}

/// The kernel's own words after ours.
struct Said<'a>(&'a str);

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, " (the kernel says: {})", self.0) }
    }
}

impl LinkErrorKind {
    /// The kind for the kernel's answer.
    pub(super) fn of(errno: Errno, said: String) -> Self {
        match errno {
            Errno::NODEV | Errno::NXIO => Self::NotFound,
            Errno::PERM | Errno::ACCESS => Self::NotPermitted,
            Errno::NOENT => Self::Missing(said),
            Errno::BUSY => Self::Busy(said),
            Errno::EXIST => Self::Exists(said),
            Errno::OPNOTSUPP => Self::NotSupported(said),
            errno => Self::Refused { errno, said },
        }
    }
}

impl LinkError {
    pub(super) fn of_namespace(action: &str, namespace: &str, kind: LinkErrorKind) -> Self {
        Self { action: action.to_owned(), device: None, namespace: namespace.to_owned(), kind }
    }
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { action, device, namespace, kind } = self;
        match device {
            Some(device) => {
                write!(f, "device {device} in namespace {namespace}: cannot {action}: {kind}")
            }
            None => write!(f, "namespace {namespace}: cannot {action}: {kind}"),
        }
    }
}

impl std::error::Error for LinkError {}
