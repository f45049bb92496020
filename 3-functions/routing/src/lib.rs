//! Routing: what happens to an IP packet between two interfaces.

#![forbid(unsafe_code)]
