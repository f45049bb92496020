//! Numbers of errors, in DPDK's words.

use std::ffi::{CStr, c_int};
use std::fmt;

use crate::ffi;

/// An error number of DPDK: the system's, and some of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Errno(i32);

impl Errno {
    /// EPERM, which is -1.
    const UNSPECIFIED: Self = Self(1);
    pub(crate) const NO_MEMORY: Self = Self(12);
    pub(crate) const NO_DEVICE: Self = Self(19);
    pub(crate) const INVALID: Self = Self(22);
    pub(crate) const NOT_SUPPORTED: Self = Self(95);

    /// The error in an answer of the shim, if it is one.
    pub(crate) const fn check(answer: c_int) -> Result<u32, Self> {
        if answer < 0 { Err(Self(answer.wrapping_neg())) } else { Ok(answer as u32) }
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Drivers answer -1 for whatever is not to their liking.
        if *self == Self::UNSPECIFIED {
            return f.pad("its driver refuses that");
        }
        // SAFETY: it answers a string of its own, good until this thread asks again.
        let words = unsafe { CStr::from_ptr(ffi::pc_words(self.0)) };
        f.pad(&words.to_string_lossy())
    }
}

impl std::error::Error for Errno {}
