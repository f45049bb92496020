//! Ctrl-C in programs that are more than tests: labs are to be tidied up before they end.

use std::sync::atomic::{AtomicBool, Ordering};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// From now on SIGINT, SIGTERM and SIGHUP do not end this process; instead whatever waits in this
/// crate panics, so that labs are dropped on the way out.
pub fn unwind_on_interrupts() {
    extern "C" fn note(_signal: libc::c_int) {
        INTERRUPTED.store(true, Ordering::Relaxed);
    }
    let handler: extern "C" fn(libc::c_int) = note;
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        // SAFETY: the handler only stores to an atomic, which is allowed at any moment.
        unsafe { libc::signal(signal, handler as libc::sighandler_t) };
    }
}

/// Whether such a signal has come.
#[must_use]
pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// Where a wait may end early.
#[track_caller]
pub(crate) fn point() {
    assert!(!interrupted() || std::thread::panicking(), "interrupted");
}
