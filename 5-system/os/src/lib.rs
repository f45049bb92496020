//! Threads, CPUs, privileges, namespaces, links and taps of Linux.
//!
//! Everything that the gateway asks of the operating system, other than moving packets and
//! listening to rtnetlink, is asked here:
//!
//! | module | what |
//! |---|---|
//! | [`threads`] | the trait behind which threads are started, and its implementation on system threads |
//! | [`privileges`] | what one thread may do, and taking the rest from it for good |
//! | [`seccomp`] | which system calls each role may make, and why |
//! | [`topology`], [`placement`] | the machine's CPUs, and which thread runs on which of them |
//! | [`netns`] | named network namespaces, in the manner of `ip netns` |
//! | [`links`] | network devices: found, moved, configured, by rtnetlink |
//! | [`quiet`] | namespaces in which the kernel keeps its hands off the packets |
//! | [`tap`] | tap devices |
//! | [`process`] | hardening, lock files, memory in huge pages |
//! | [`proc`] | what `/proc` says the threads are now |
//!
//! Rights, namespaces, CPUs and filters are those of the calling thread alone: all calls are the
//! raw, per-thread ones of the kernel, not the C library's, some of which reach every thread.

pub mod cpus;
pub mod links;
pub mod netns;
pub mod placement;
pub mod privileges;
pub mod proc;
pub mod process;
pub mod quiet;
pub mod seccomp;
pub mod tap;
pub mod threads;
pub mod topology;
