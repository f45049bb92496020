//! Signals for the process go to its main thread, and to no other.

use std::io;
use std::mem::MaybeUninit;

/// Those that say that this very thread did something wrong. To block them would be to die of them
/// without a word.
const OWN_FAULTS: [libc::c_int; 7] = [
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGILL,
    libc::SIGTRAP,
    libc::SIGSYS,
    libc::SIGABRT,
];

/// Blocks all other signals for the calling thread. The kernel may give a signal for the process to any
/// thread that does not block it, and a handler makes system calls that this thread's filter
/// need not allow.
pub(super) fn leave_to_main() -> io::Result<()> {
    let mut set = MaybeUninit::uninit();
    // SAFETY: `sigfillset` writes the whole set; the others read or change an initialised one; the
    // mask is that of the calling thread alone.
    let result = unsafe {
        libc::sigfillset(set.as_mut_ptr());
        for fault in OWN_FAULTS {
            libc::sigdelset(set.as_mut_ptr(), fault);
        }
        libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut())
    };
    if result == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(result)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    static CAUGHT: AtomicUsize = AtomicUsize::new(0);

    extern "C" fn count(_: libc::c_int) {
        CAUGHT.fetch_add(1, Ordering::SeqCst);
    }

    #[test]
    fn a_blocked_signal_waits_and_a_fault_does_not() {
        std::thread::spawn(|| {
            leave_to_main().expect("a mask");
            let raise = |signal| {
                // SAFETY: the handler only counts, and nobody else in this process uses SIGUSR2 or
                // raises SIGTRAP.
                unsafe {
                    libc::signal(signal, count as *const () as libc::sighandler_t);
                    libc::pthread_kill(libc::pthread_self(), signal);
                }
                CAUGHT.load(Ordering::SeqCst)
            };
            assert_eq!(raise(libc::SIGUSR2), 0, "blocked");
            assert_eq!(raise(libc::SIGTRAP), 1, "a fault of its own");
        })
        .join()
        .expect("no panic");
    }
}
