//! How a thread is to be.

use std::fmt;

use super::Role;
use crate::cpus::CpuSet;
use crate::netns::NetnsHandle;
use crate::privileges::Privileges;

/// Description of a thread to start.
#[derive(Clone, Debug)]
pub struct ThreadSpec {
    /// What it is there for.
    pub role: Role,
    /// Its name, as `ps`, `top` and `/proc` show it.
    pub name: ThreadName,
    /// Where it may run.
    pub cpus: CpuSet,
    /// Which network it sees.
    pub namespace: NamespaceChoice,
    /// What it keeps.
    pub privileges: Privileges,
}

/// The network namespace of a thread.
#[derive(Clone, Debug)]
pub enum NamespaceChoice {
    /// A new one of its own, without any active interface, gone when the thread ends.
    Private,
    /// This one.
    At(NetnsHandle),
    /// That of whoever starts the thread.
    Inherit,
}

impl fmt::Display for NamespaceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Private => f.write_str("a private namespace"),
            Self::At(netns) => write!(f, "namespace {netns}"),
            Self::Inherit => f.write_str("the starter's namespace"),
        }
    }
}

/// A name that the kernel keeps whole: 1 to 15 bytes, without NUL (`TASK_COMM_LEN`).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ThreadName(String);

/// A thread's name that the kernel would cut short or not take.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{0}` is no name for a thread: 1 to 15 bytes without NUL are")]
pub struct ThreadNameError(String);

impl ThreadName {
    /// Takes a name.
    ///
    /// # Errors
    /// If it is empty, longer than 15 bytes, or has a NUL in it.
    pub fn new(name: impl Into<String>) -> Result<Self, ThreadNameError> {
        let name = name.into();
        if name.is_empty() || name.len() > 15 || name.contains('\0') {
            return Err(ThreadNameError(name));
        }
        Ok(Self(name))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ThreadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_the_kernel_would_cut_is_refused() {
        assert!(ThreadName::new("pc-pipe-1234567").is_ok());
        for name in ["", "pc-pipe-12345678", "a\0b"] {
            assert!(ThreadName::new(name).is_err(), "{name:?}");
        }
    }
}
