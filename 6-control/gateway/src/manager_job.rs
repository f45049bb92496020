//! The vpc-manager as a job: its sockets are opened on its thread, in `vpc`.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use portcullis_manager::{Handle, Manager, Setup};
use portcullis_os::threads::{Job, JobError};
use tracing::error;

/// The work of `pc-vpc`.
pub(crate) struct ManagerJob {
    handle: SyncSender<Handle>,
    state: State,
}

enum State {
    New(Box<Setup>),
    Open(Box<Manager>),
    Failed,
}

impl ManagerJob {
    /// A job, and where its handle will be once it is open.
    pub(crate) fn new(setup: Setup) -> (Self, Receiver<Handle>) {
        let (handle, receiver) = sync_channel(1);
        (Self { handle, state: State::New(Box::new(setup)) }, receiver)
    }
}

impl Job for ManagerJob {
    fn open(&mut self) -> Result<(), JobError> {
        if let State::New(setup) = std::mem::replace(&mut self.state, State::Failed) {
            let (manager, handle) = Manager::new(*setup)?;
            self.state = State::Open(Box::new(manager));
            self.handle.send(handle)?;
        }
        Ok(())
    }

    fn run(self: Box<Self>) {
        if let State::Open(manager) = self.state
            && let Err(error) = manager.run()
        {
            error!("the vpc-manager: {error}");
        }
    }
}
