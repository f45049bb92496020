//! What every thread needs, whatever it does: memory, waiting, a panic, an end.

use super::{Allow, allow, allow_if, allow_without};

const PROT_EXEC: u32 = libc::PROT_EXEC as u32;

/// Of prctl(2), Linux 6.4 and later.
const PR_GET_AUXV: u32 = 0x4155_5856;

/// Calls of every role.
pub(super) const COMMON: &[Allow] = &[
    // Memory: the allocator's arenas grow by brk, mmap and mprotect, and shrink by munmap, madvise
    // and mremap. No memory that can be executed: nothing here loads code.
    allow(libc::SYS_brk),
    allow_without(libc::SYS_mmap, 2, PROT_EXEC),
    allow_without(libc::SYS_mprotect, 2, PROT_EXEC),
    allow(libc::SYS_munmap),
    allow(libc::SYS_mremap),
    allow(libc::SYS_madvise),
    // Waiting: locks, channels and parking are futexes; back-off sleeps or yields.
    allow(libc::SYS_futex),
    allow(libc::SYS_nanosleep),
    allow(libc::SYS_clock_nanosleep),
    allow(libc::SYS_sched_yield),
    // A call that a signal or a debugger interrupted is taken up again by the kernel with this.
    allow(libc::SYS_restart_syscall),
    // Time: what the vDSO does in user space becomes a call where the clock source is not the TSC.
    allow(libc::SYS_clock_gettime),
    allow(libc::SYS_gettimeofday),
    // Doorbells: eventfds are read and written.
    allow(libc::SYS_read),
    allow(libc::SYS_write),
    // Waiting for doorbells with a time limit.
    #[cfg(target_arch = "x86_64")]
    allow(libc::SYS_poll),
    allow(libc::SYS_ppoll),
    // rustix reads the auxiliary vector (page size, tick, vDSO) the first time that it needs it.
    allow_if(libc::SYS_prctl, 0, &[PR_GET_AUXV]),
    // Seeds of hash tables.
    allow(libc::SYS_getrandom),
    // Closing what the thread owns; a debug build asks first whether it is open.
    allow(libc::SYS_close),
    allow_if(libc::SYS_fcntl, 1, &[libc::F_GETFD as u32]),
    // Messages, those of a panic among them, leave on standard error, several pieces at once.
    allow(libc::SYS_writev),
    // A backtrace shows paths relative to the working directory.
    allow(libc::SYS_getcwd),
    // Who am I: in messages, and in raise().
    allow(libc::SYS_gettid),
    allow(libc::SYS_getpid),
    // abort(), and no other signal to anyone.
    allow_if(libc::SYS_tgkill, 2, &[libc::SIGABRT as u32]),
    // Signals: masks around abort and the end of a thread; the return from a handler.
    allow(libc::SYS_rt_sigprocmask),
    allow(libc::SYS_rt_sigaction),
    allow(libc::SYS_rt_sigreturn),
    // The end of a thread: its alternate signal stack goes, then it. exit_group is what a process
    // does whose main returns.
    allow(libc::SYS_sigaltstack),
    allow(libc::SYS_exit),
    allow(libc::SYS_exit_group),
];

/// What the symboliser of a backtrace tries in order to find names and lines. Threads other than
/// control are told `EACCES`: opening files is not theirs.
pub(super) const SYMBOLISER: &[Allow] = &[
    #[cfg(target_arch = "x86_64")]
    allow(libc::SYS_open),
    allow(libc::SYS_openat),
    // Whether a file of debug information exists.
    #[cfg(target_arch = "x86_64")]
    allow(libc::SYS_stat),
    #[cfg(target_arch = "x86_64")]
    allow(libc::SYS_lstat),
    allow(libc::SYS_fstat),
    allow(libc::SYS_newfstatat),
    allow(libc::SYS_statx),
    // Where /proc/self/exe points.
    #[cfg(target_arch = "x86_64")]
    allow(libc::SYS_readlink),
    allow(libc::SYS_readlinkat),
];
