//! The zone firewall's rules, compiled.

#![forbid(unsafe_code)]
