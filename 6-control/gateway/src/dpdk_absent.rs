//! A gateway that was built without DPDK: no file that it reads has an interface on it.

use std::sync::Arc;

use portcullis_config::Config;
use portcullis_drivers::{Port, PortStatus};
use portcullis_manager::ForeignDevices;
use portcullis_os::cpus::CpuSet;
use portcullis_os::privileges::Privileges;
use portcullis_os::threads::{Job, JobError, SystemThreads, Threads};
use portcullis_packet::{IfIndex, Mac, TxOffload};

/// Nothing goes wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DpdkError {}

/// Nothing runs.
pub(crate) enum Running {}

impl Running {
    pub(crate) fn device(&self, _: IfIndex) -> Option<(Mac, TxOffload)> {
        match *self {}
    }

    pub(crate) fn port(&self, _: usize, _: IfIndex, _: &Arc<PortStatus>) -> Option<Box<dyn Port>> {
        match *self {}
    }

    pub(crate) fn take_devices(&mut self) -> Option<ForeignDevices> {
        match *self {}
    }

    pub(crate) fn stop(&self) {
        match *self {}
    }
}

/// There is none.
pub(crate) enum DpdkJob {}

impl Job for DpdkJob {
    fn open(&mut self) -> Result<(), JobError> {
        match *self {}
    }

    fn run(self: Box<Self>) {
        match *self {}
    }
}

/// The system's own.
pub(crate) fn threads(_: &Config, system: SystemThreads) -> Box<dyn Threads> {
    Box::new(system)
}

/// Starts nothing.
#[expect(clippy::unnecessary_wraps, reason = "as with DPDK")]
pub(crate) fn start<E: From<DpdkError>>(
    _: &Config,
    _: &CpuSet,
    _: &[Vec<Arc<PortStatus>>],
    _: impl FnOnce(DpdkJob, Privileges) -> Result<(), E>,
) -> Result<Option<Running>, E> {
    Ok(None)
}
