//! An open network namespace.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::{NetnsError, NetnsErrorKind};

/// An open network namespace: it lives at least as long as this. Clones share the descriptor.
#[derive(Clone)]
pub struct NetnsHandle {
    fd: Arc<OwnedFd>,
    name: Arc<str>,
    inode: u64,
}

impl NetnsHandle {
    /// The namespace of the calling thread.
    ///
    /// # Errors
    /// If `/proc` does not show it.
    pub fn current() -> Result<Self, NetnsError> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        rustix::fs::open("/proc/thread-self/ns/net", flags, Mode::empty())
            .and_then(|fd| Self::new(fd, "of this process"))
            .map_err(|errno| NetnsError {
                action: "open",
                name: "of this process".to_owned(),
                kind: NetnsErrorKind::of("open /proc/thread-self/ns/net", errno),
            })
    }

    pub(super) fn new(fd: OwnedFd, name: &str) -> rustix::io::Result<Self> {
        let inode = rustix::fs::fstat(&fd)?.st_ino;
        Ok(Self { fd: Arc::new(fd), name: name.into(), inode })
    }

    /// Its name, for messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its number: the inode that `/proc/PID/ns/net` shows. Two handles of the same
    /// namespace have the same, as long as either is open.
    #[must_use]
    pub fn inode(&self) -> u64 {
        self.inode
    }

    /// Moves the calling thread, and no other, into the namespace.
    ///
    /// # Errors
    /// What `setns` answers; it needs CAP_SYS_ADMIN.
    pub fn enter(&self) -> rustix::io::Result<()> {
        move_into_link_name_space(self.as_fd(), Some(LinkNameSpaceType::Network))
    }
}

impl AsFd for NetnsHandle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl fmt::Display for NetnsHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Debug for NetnsHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NetnsHandle({}, net:[{}])", self.name, self.inode)
    }
}

/// Does `work` on a helper thread inside the namespace. Sockets opened there stay in it, wherever
/// they are used later.
///
/// # Errors
/// If the helper cannot be started or cannot enter.
///
/// # Panics
/// If `work` does.
pub fn run_in<T: Send>(
    netns: &NetnsHandle,
    work: impl FnOnce() -> T + Send,
) -> Result<T, NetnsError> {
    let failed = |kind| NetnsError { action: "enter", name: netns.name().to_owned(), kind };
    on_helper(|| {
        netns.enter().map_err(|errno| failed(NetnsErrorKind::of("setns", errno)))?;
        Ok(work())
    })
    .map_err(failed)?
}

/// Does `work` on a thread of its own, so that what it does to its thread ends with it.
pub(super) fn on_helper<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, NetnsErrorKind> {
    std::thread::scope(|scope| {
        let helper = std::thread::Builder::new()
            .name("pc-netns".to_owned())
            .spawn_scoped(scope, work)
            .map_err(|error| NetnsErrorKind::NoThread(error.to_string()))?;
        match helper.join() {
            Ok(result) => Ok(result),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}
