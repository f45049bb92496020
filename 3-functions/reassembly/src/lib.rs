//! Virtual reassembly: the ports of fragments.

#![forbid(unsafe_code)]
