//! Network address translation.

#![forbid(unsafe_code)]
