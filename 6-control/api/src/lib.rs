//! What is said over the control socket.

#![forbid(unsafe_code)]
