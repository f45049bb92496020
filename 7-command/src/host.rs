//! The host that the command runs on.

use std::fs;

/// The host's name, empty if it has none that can be read.
pub(crate) fn name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim_end().to_owned()
}
