//! The trap thread: frames between the pipelines' queue and the taps, on an async runtime. Its taps
//! are open before the filter is installed.

use super::{Allow, allow, allow_if};

/// Calls of the trap thread.
pub(super) const TRAP: &[Allow] = &[
    // Frames to and from taps, header and payload in pieces.
    allow(libc::SYS_readv),
    // (writev is in the common list.)
    // The runtime's reactor: made, fed, waited on.
    allow(libc::SYS_epoll_create1),
    allow(libc::SYS_epoll_ctl),
    #[cfg(target_arch = "x86_64")]
    allow(libc::SYS_epoll_wait),
    allow(libc::SYS_epoll_pwait),
    // A signal to the process wakes all runtimes in it by a pair of sockets, made at the start:
    // each reads what is there.
    allow(libc::SYS_recvfrom),
    // Its waker.
    allow(libc::SYS_eventfd2),
    // The runtime duplicates descriptors that it registers, and sets O_NONBLOCK.
    allow_if(
        libc::SYS_fcntl,
        1,
        &[
            libc::F_DUPFD_CLOEXEC as u32,
            libc::F_SETFD as u32,
            libc::F_GETFL as u32,
            libc::F_SETFL as u32,
        ],
    ),
];
