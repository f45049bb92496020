//! The signals that a supervisor listens to.

use std::future::ready;
use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::yield_now;

/// What a signal asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Request {
    /// To stop; with the signal's name.
    Stop(&'static str),
    /// To read the file again.
    Reload,
}

/// Requests by signals. From the moment they are made here they wait until they are asked for.
pub(super) struct Requests {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Requests {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// The next request.
    pub(super) async fn next(&mut self) -> Request {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => Request::Stop("SIGTERM"),
            _ = self.interrupt.recv() => Request::Stop("SIGINT"),
            _ = self.hangup.recv() => Request::Reload,
        }
    }

    /// A request to stop that came already. One to read the file again is forgotten: that has just
    /// been done.
    pub(super) async fn already_to_stop(&mut self) -> Option<&'static str> {
        // What came while nothing was awaited is noticed by the runtime first.
        yield_now().await;
        loop {
            tokio::select! {
                biased;
                request = self.next() => match request {
                    Request::Stop(signal) => return Some(signal),
                    Request::Reload => {}
                },
                () = ready(()) => return None,
            }
        }
    }
}
