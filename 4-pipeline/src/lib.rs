//! One batch of packets through the network functions.

#![forbid(unsafe_code)]
