//! The signals that a supervisor listens to.

use std::future::ready;
use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::yield_now;

/// All of them. From the moment they are made here they wait until they are asked for.
pub(super) struct Signals {
    /// Requests to stop.
    pub(super) stop: StopSignals,
    /// SIGHUP: the configuration file is to be read again.
    pub(super) hangup: Signal,
}

/// Requests to stop.
pub(super) struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        let stop = StopSignals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        };
        Ok(Self { stop, hangup: signal(SignalKind::hangup())? })
    }
}

impl StopSignals {
    /// The next request.
    pub(super) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }

    /// A request that came already.
    pub(super) async fn already(&mut self) -> Option<&'static str> {
        // What came while nothing was awaited is noticed by the runtime first.
        yield_now().await;
        tokio::select! {
            biased;
            signal = self.next() => Some(signal),
            () = ready(()) => None,
        }
    }
}
