//! A worker's place for a device that may come late, go and come back.

use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, PoisonError};

use portcullis_drivers::{Port, PortState, PortStatus};
use portcullis_packet::{DropReason, IfIndex, Packet, Pool, TxOffload};

use crate::DpdkPort;

/// Where who looks after a device leaves its ports for the threads that poll them.
#[derive(Clone, Debug, Default)]
pub struct Mailbox(Arc<Mutex<Option<DpdkPort>>>);

impl Mailbox {
    /// Leaves a port, to be taken by its thread within a tenth of a second.
    pub fn leave(&self, port: DpdkPort) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(port);
    }

    /// Takes back what was left and not taken.
    pub fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn take(&self) -> Option<DpdkPort> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The port of an interface whose device is there or not: what comes from its mailbox, as long as that is there.
#[derive(Debug)]
pub struct SlotPort {
    interface: IfIndex,
    status: Arc<PortStatus>,
    offload: TxOffload,
    mailbox: Mailbox,
    port: Option<DpdkPort>,
}

impl SlotPort {
    /// With what is in the mailbox already. What the device is said to finish itself must not change when it
    /// comes back.
    #[must_use]
    pub fn new(
        interface: IfIndex,
        status: Arc<PortStatus>,
        offload: TxOffload,
        mailbox: Mailbox,
    ) -> Self {
        let port = mailbox.take();
        Self { interface, status, offload, mailbox, port }
    }
}

impl Port for SlotPort {
    fn interface(&self) -> IfIndex {
        self.interface
    }

    fn receive(&mut self, pool: &mut Pool, into: &mut Vec<Packet>, max: usize) -> usize {
        self.port.as_mut().map_or(0, |port| port.receive(pool, into, max))
    }

    fn transmit(&mut self, batch: &mut Vec<Packet>, pool: &mut Pool) -> usize {
        if let Some(port) = &mut self.port {
            return port.transmit(batch, pool);
        }
        self.status.counters.drops.add(DropReason::TxGone, batch.len() as u64);
        batch.drain(..).for_each(|packet| pool.put(packet));
        0
    }

    fn wait_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn maintain(&mut self) {
        if let Some(port) = &mut self.port {
            port.maintain();
            if self.status.state() == PortState::Gone {
                self.port = None;
            }
        }
        if self.port.is_none() {
            self.port = self.mailbox.take();
        }
    }

    fn status(&self) -> &Arc<PortStatus> {
        &self.status
    }

    fn offload(&self) -> TxOffload {
        self.offload
    }
}
