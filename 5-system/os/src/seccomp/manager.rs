//! The vpc-manager: rtnetlink in, snapshots out, on an async runtime.

use super::{Allow, allow, allow_if};

/// Calls of the vpc-manager.
pub(super) const MANAGER: &[Allow] = &[
    // rtnetlink: a lost message means a new dump, on a new socket if need be. The runtime's signal
    // pipe is a pair of unix sockets, made by socketpair.
    allow_if(libc::SYS_socket, 0, &[libc::AF_NETLINK as u32]),
    allow_if(libc::SYS_socketpair, 0, &[libc::AF_UNIX as u32]),
    allow(libc::SYS_bind),
    allow(libc::SYS_connect),
    allow(libc::SYS_getsockname),
    allow(libc::SYS_setsockopt),
    allow(libc::SYS_getsockopt),
    allow(libc::SYS_sendto),
    allow(libc::SYS_sendmsg),
    allow(libc::SYS_recvfrom),
    allow(libc::SYS_recvmsg),
    // The runtime's reactor: made, fed, waited on.
    allow(libc::SYS_epoll_create1),
    allow(libc::SYS_epoll_ctl),
    #[cfg(target_arch = "x86_64")]
    allow(libc::SYS_epoll_wait),
    allow(libc::SYS_epoll_pwait),
    // Its waker, and timers.
    allow(libc::SYS_eventfd2),
    allow(libc::SYS_timerfd_create),
    allow(libc::SYS_timerfd_settime),
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
