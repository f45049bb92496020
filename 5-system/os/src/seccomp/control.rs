//! Main and control: the socket that the command talks to, metrics, signals, and reading `/proc`.
//! They hold no capability by then, and their files are opened for reading.

use super::{Allow, allow, allow_if, allow_without};

/// Access modes and flags of open(2) that could change a file system.
const WRITING: u32 = (libc::O_WRONLY | libc::O_RDWR | libc::O_CREAT | libc::O_TRUNC) as u32;

/// Calls of the control threads.
pub(super) const CONTROL: &[Allow] = &[
    // The control socket and the metrics listener; sd_notify sends to a unix socket.
    allow_if(
        libc::SYS_socket,
        0,
        &[libc::AF_UNIX as u32, libc::AF_INET as u32, libc::AF_INET6 as u32],
    ),
    allow_if(libc::SYS_socketpair, 0, &[libc::AF_UNIX as u32]),
    allow(libc::SYS_bind),
    allow(libc::SYS_listen),
    allow(libc::SYS_accept4),
    allow(libc::SYS_connect),
    allow(libc::SYS_shutdown),
    allow(libc::SYS_getsockname),
    allow(libc::SYS_getpeername),
    allow(libc::SYS_setsockopt),
    allow(libc::SYS_getsockopt),
    allow(libc::SYS_sendto),
    allow(libc::SYS_sendmsg),
    allow(libc::SYS_recvfrom),
    allow(libc::SYS_recvmsg),
    allow(libc::SYS_readv),
    // The runtime's reactor: made, fed, waited on.
    allow(libc::SYS_epoll_create1),
    allow(libc::SYS_epoll_ctl),
    #[cfg(target_arch = "x86_64")]
    allow(libc::SYS_epoll_wait),
    allow(libc::SYS_epoll_pwait),
    // Its waker; the pipe of other wakers.
    allow(libc::SYS_eventfd2),
    allow(libc::SYS_pipe2),
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
    // `show threads` reads /proc, a new configuration is read from its file: for reading only.
    #[cfg(target_arch = "x86_64")]
    allow_without(libc::SYS_open, 1, WRITING),
    allow_without(libc::SYS_openat, 2, WRITING),
    allow(libc::SYS_getdents64),
    allow(libc::SYS_lseek),
    #[cfg(target_arch = "x86_64")]
    allow(libc::SYS_stat),
    #[cfg(target_arch = "x86_64")]
    allow(libc::SYS_lstat),
    allow(libc::SYS_fstat),
    allow(libc::SYS_newfstatat),
    allow(libc::SYS_statx),
    #[cfg(target_arch = "x86_64")]
    allow(libc::SYS_readlink),
    allow(libc::SYS_readlinkat),
    // std::fs asks for the descriptor's flags and sizes of files through these.
    allow(libc::SYS_pread64),
    // The control socket's file: the owner's alone, and taken away at the end.
    #[cfg(target_arch = "x86_64")]
    allow(libc::SYS_chmod),
    allow(libc::SYS_fchmodat),
    #[cfg(target_arch = "x86_64")]
    allow(libc::SYS_unlink),
    allow(libc::SYS_unlinkat),
    // `show threads` says what the threads have used; main waits for them to end.
    allow(libc::SYS_getrusage),
    allow(libc::SYS_sched_getaffinity),
    // Who is asking: the peer is compared with this user.
    allow(libc::SYS_getuid),
    allow(libc::SYS_geteuid),
];
