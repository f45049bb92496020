//! The flow table of one worker.

#![forbid(unsafe_code)]
