//! DPDK's log goes to ours.

use std::cell::{Cell, RefCell};
use std::ffi::c_char;
use std::panic::catch_unwind;

use crate::error::Errno;
use crate::ffi;

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
    /// The first error that was logged since somebody listens.
    static HEARD: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Does something of which DPDK's complaints are known already: what it logs on this thread meanwhile is logged as
/// details.
pub fn quietly<T>(what: impl FnOnce() -> T) -> T {
    QUIET.set(true);
    let done = what();
    QUIET.set(false);
    done
}

/// Does something, and tells what DPDK's first complaint on this thread was meanwhile.
pub fn listening<T>(what: impl FnOnce() -> T) -> (T, Option<String>) {
    HEARD.take();
    let done = what();
    (done, HEARD.take())
}

/// From now on.
pub(crate) fn take() -> Result<(), Errno> {
    // SAFETY: `sink` is a function for ever, and takes any bytes.
    Errno::check(unsafe { ffi::pc_log_to(sink) }).map(drop)
}

/// DPDK numbers levels from emergency (1) to debug (8).
unsafe extern "C" fn sink(level: u32, text: *const c_char, length: usize) {
    // SAFETY: the shim passes on what was written, which lives as long as this call.
    let bytes = unsafe { std::slice::from_raw_parts(text.cast::<u8>(), length) };
    // A panic must not go on into C.
    let _ = catch_unwind(|| {
        for line in String::from_utf8_lossy(bytes).lines().map(str::trim_end) {
            if !line.is_empty() {
                say(level, line);
            }
        }
    });
}

fn say(level: u32, line: &str) {
    const ERROR: u32 = 4;
    if level <= ERROR {
        HEARD.with_borrow_mut(|heard| {
            heard.get_or_insert_with(|| line.to_owned());
        });
    }
    match if QUIET.get() { level.max(7) } else { level } {
        0..=ERROR => tracing::error!(target: "dpdk", "DPDK: {line}"),
        5 => tracing::warn!(target: "dpdk", "DPDK: {line}"),
        // Notices tell of each library that is loaded.
        6 | 7 => tracing::debug!(target: "dpdk", "DPDK: {line}"),
        _ => tracing::trace!(target: "dpdk", "DPDK: {line}"),
    }
}
