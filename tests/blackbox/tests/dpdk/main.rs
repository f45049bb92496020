//! Interfaces on DPDK's devices, whatever the other tests run on.

mod coming_and_going;
mod mixed;
mod one_thread;
mod others;
mod shared_memory;
mod tap;
