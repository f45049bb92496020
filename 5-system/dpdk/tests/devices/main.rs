//! On DPDK's virtual devices, without hugepages. All tests share the one DPDK of the process.

mod checksums;
mod control;
mod frames;
mod kernel;
mod support;
mod threads;
