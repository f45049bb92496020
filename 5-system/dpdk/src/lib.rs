//! DPDK behind the traits of the other drivers and threads: ports that are polled ([`DpdkPort`]), threads that may
//! use DPDK's memory ([`DpdkThreads`]), and what starts and ends it ([`Eal`]).
//!
//! DPDK is a process's own: one [`Eal`] for all of it. `shim/` is the part in C: what is inline or a macro there is a function
//! here, called once per burst. Everything `unsafe` is in this crate.
//!
//! Without the feature `dpdk` the crate is empty.

#![cfg(feature = "dpdk")]

mod device;
mod eal;
mod error;
mod ffi;
mod gate;
mod log;
mod memory;
mod pci;
mod port;
mod slot;
mod stale;
mod threads;

/// What the gate is built on; the model checker has its own.
mod sync {
    pub(crate) use std::sync::atomic::{AtomicU32, Ordering};
}

pub use device::{Device, DeviceError, DeviceInfo, DeviceSetup, LINK_LAYER, Link};
pub use eal::{Eal, EalConfig, EalError, Memory};
pub use error::Errno;
pub use log::{listening, quietly};
pub use memory::{BufferPool, PoolError};
pub use pci::PciDevice;
pub use port::DpdkPort;
pub use slot::{Mailbox, SlotPort};
pub use stale::remove_stale_socket;
pub use threads::{DpdkThreads, RegisterError, Registration, lcore};
