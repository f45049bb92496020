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
    New(Box<Setup>, Box<dyn Fn() + Send>),
    Open(Box<Manager>),
    Failed,
}

impl ManagerJob {
    /// A job, and where its handle will be once it is open.
    /// `wake` is called after each new snapshot.
    pub(crate) fn new(setup: Setup, wake: impl Fn() + Send + 'static) -> (Self, Receiver<Handle>) {
        let (handle, receiver) = sync_channel(1);
        (Self { handle, state: State::New(Box::new(setup), Box::new(wake)) }, receiver)
    }
}

impl Job for ManagerJob {
    fn open(&mut self) -> Result<(), JobError> {
        if let State::New(setup, wake) = std::mem::replace(&mut self.state, State::Failed) {
            let (manager, handle) = Manager::new(*setup)?;
            self.state = State::Open(Box::new(manager.telling(wake)));
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
