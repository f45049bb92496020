//! The supervisor: the parent process, which waits for the gateway process and then gives devices
//! and namespaces back. It does that whatever happens; so a call that is not in this list is refused
//! (`EPERM`) instead of ending it.

use super::{Allow, allow, allow_if};

/// Calls of the supervisor, and of the helper threads that enter namespaces for it.
pub(super) const SUPERVISOR: &[Allow] = &[
    // The gateway process: waited for, told to stop, killed.
    allow(libc::SYS_wait4),
    allow(libc::SYS_waitid),
    allow_if(libc::SYS_kill, 1, &[libc::SIGTERM as u32, libc::SIGINT as u32, libc::SIGKILL as u32]),
    // Signals arrive on a pair of sockets of the runtime, made before; rtnetlink moves devices; systemd
    // is told how it goes; a changed file goes to the gateway process by its control socket.
    allow_if(libc::SYS_socket, 0, &[libc::AF_NETLINK as u32, libc::AF_UNIX as u32]),
    allow(libc::SYS_bind),
    allow(libc::SYS_connect),
    allow(libc::SYS_setsockopt),
    allow(libc::SYS_getsockopt),
    allow(libc::SYS_sendto),
    allow(libc::SYS_sendmsg),
    allow(libc::SYS_recvfrom),
    allow(libc::SYS_recvmsg),
    // The runtime's reactor: fed, waited on.
    allow(libc::SYS_epoll_ctl),
    #[cfg(target_arch = "x86_64")]
    allow(libc::SYS_epoll_wait),
    allow(libc::SYS_epoll_pwait),
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
    // A thread that enters a namespace, opens a socket there and ends; one that hands a file over.
    // clone3 has its flags in
    // memory, where no filter can look; but there is no execve to go with it.
    allow(libc::SYS_clone3),
    allow(libc::SYS_clone),
    allow(libc::SYS_set_robust_list),
    allow(libc::SYS_rseq),
    allow(libc::SYS_sched_getaffinity),
    allow_if(libc::SYS_prctl, 0, &[libc::PR_SET_NAME as u32]),
    allow_if(libc::SYS_setns, 1, &[libc::CLONE_NEWNET as u32]),
    // Names of namespaces: looked at, and taken away. Nothing is mounted.
    allow(libc::SYS_umount2),
    allow(libc::SYS_fstatfs),
    allow_if(libc::SYS_ioctl, 1, &[NS_GET_NSTYPE]),
    // The record of what is to be given back: written aside, put in its place, removed at the end. A
    // changed configuration file: read.
    #[cfg(target_arch = "x86_64")]
    allow(libc::SYS_open),
    allow(libc::SYS_openat),
    #[cfg(target_arch = "x86_64")]
    allow(libc::SYS_rename),
    allow(libc::SYS_renameat),
    allow(libc::SYS_renameat2),
    allow(libc::SYS_fsync),
    #[cfg(target_arch = "x86_64")]
    allow(libc::SYS_unlink),
    allow(libc::SYS_unlinkat),
    allow(libc::SYS_lseek),
    allow(libc::SYS_getdents64),
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
];

/// `NS_GET_NSTYPE` of ioctl_ns(2).
const NS_GET_NSTYPE: u32 = 0xb703;
