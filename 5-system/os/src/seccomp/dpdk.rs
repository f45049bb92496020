//! The thread that has DPDK: it starts it, looks for devices, configures them and looks after them; and the threads that
//! DPDK starts for itself (interrupts, alarms), which inherit what this one may do.
//!
//! DPDK and its drivers are other people's code: a call that is not in this list is refused (`EPERM`), and what they say
//! then is logged, instead of the gateway ending. None of these calls starts a program, changes who the process is,
//! mounts, traces, or enters another namespace.

use super::{Allow, allow};

/// Calls of the DPDK thread.
pub(super) const DPDK: &[Allow] = &[
    // Drivers are libraries, which are loaded: found, read, mapped to be executed.
    allow(libc::SYS_mmap),
    allow(libc::SYS_mprotect),
    #[cfg(target_arch = "x86_64")]
    allow(libc::SYS_access),
    allow(libc::SYS_faccessat),
    allow(libc::SYS_faccessat2),
    allow(libc::SYS_pread64),
    // The configuration space of a PCI device, through vfio: it is set up, and mastered, by writing there.
    allow(libc::SYS_pwrite64),
    allow(libc::SYS_lseek),
    allow(libc::SYS_getdents64),
    allow(libc::SYS_statfs),
    allow(libc::SYS_fstatfs),
    // Memory: on which node, locked, shared with devices and peers by descriptors; hugetlbfs files where the
    // kernel has no memfd for huge pages.
    allow(libc::SYS_memfd_create),
    allow(libc::SYS_ftruncate),
    allow(libc::SYS_fallocate),
    allow(libc::SYS_flock),
    allow(libc::SYS_mbind),
    allow(libc::SYS_set_mempolicy),
    allow(libc::SYS_get_mempolicy),
    allow(libc::SYS_mlock),
    allow(libc::SYS_munlock),
    allow(libc::SYS_mlockall),
    #[cfg(target_arch = "x86_64")]
    allow(libc::SYS_mkdir),
    allow(libc::SYS_mkdirat),
    #[cfg(target_arch = "x86_64")]
    allow(libc::SYS_unlink),
    allow(libc::SYS_unlinkat),
    // What the machine is, and what this process may use of it.
    allow(libc::SYS_sysinfo),
    allow(libc::SYS_uname),
    allow(libc::SYS_getuid),
    allow(libc::SYS_geteuid),
    allow(libc::SYS_getgid),
    allow(libc::SYS_getegid),
    allow(libc::SYS_prlimit64),
    allow(libc::SYS_sched_getaffinity),
    allow(libc::SYS_sched_setaffinity),
    allow(libc::SYS_sched_getscheduler),
    allow(libc::SYS_getcpu),
    // Threads of its own.
    allow(libc::SYS_clone3),
    allow(libc::SYS_clone),
    allow(libc::SYS_set_robust_list),
    allow(libc::SYS_rseq),
    allow(libc::SYS_prctl),
    // Interrupts and alarms.
    #[cfg(target_arch = "x86_64")]
    allow(libc::SYS_epoll_create),
    allow(libc::SYS_epoll_create1),
    allow(libc::SYS_epoll_ctl),
    #[cfg(target_arch = "x86_64")]
    allow(libc::SYS_epoll_wait),
    allow(libc::SYS_epoll_pwait),
    allow(libc::SYS_timerfd_create),
    allow(libc::SYS_timerfd_settime),
    allow(libc::SYS_eventfd2),
    #[cfg(target_arch = "x86_64")]
    allow(libc::SYS_pipe),
    allow(libc::SYS_pipe2),
    allow(libc::SYS_fcntl),
    allow(libc::SYS_dup),
    // Devices: packet sockets, AF_XDP with its program, taps, netlink, pcap; vfio and uio by ioctl; the sockets of
    // memif and vhost, over which descriptors come and go.
    allow(libc::SYS_ioctl),
    allow(libc::SYS_socket),
    allow(libc::SYS_socketpair),
    allow(libc::SYS_bind),
    allow(libc::SYS_listen),
    allow(libc::SYS_accept4),
    #[cfg(target_arch = "x86_64")]
    allow(libc::SYS_accept),
    allow(libc::SYS_connect),
    allow(libc::SYS_shutdown),
    allow(libc::SYS_setsockopt),
    allow(libc::SYS_getsockopt),
    allow(libc::SYS_getsockname),
    allow(libc::SYS_sendto),
    allow(libc::SYS_sendmsg),
    allow(libc::SYS_recvfrom),
    allow(libc::SYS_recvmsg),
    allow(libc::SYS_readv),
    allow(libc::SYS_bpf),
];
