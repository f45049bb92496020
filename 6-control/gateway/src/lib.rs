//! The gateway put together.
//!
//! Two processes: the [`supervise`]d one, whose threads forward, and its parent, which holds namespaces
//! and devices and gives them back. Both are this program; the parent starts the child with
//! [`GATEWAY_COMMAND`].

#![forbid(unsafe_code)]

mod assemble;
mod control;
mod counters;
#[cfg_attr(not(feature = "dpdk"), path = "dpdk_absent.rs")]
mod dpdk;
mod estate;
mod flows;
mod inspect;
mod journal;
mod locks;
mod manager_job;
mod policy;
mod process;
mod pulse;
mod running;
mod state;
mod stateful;
mod status;
mod supervisor;
mod tables;

pub use process::{ProcessOptions, gateway_process};
pub use state::RUN_DIRECTORY;
pub use supervisor::{RunOptions, supervise};

/// The first argument of the gateway process. Not for users.
pub const GATEWAY_COMMAND: &str = "gateway-process";
