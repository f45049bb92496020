//! The gateway's side of the control socket, async.
//!
//! A client can do no harm: its request is bounded in length, it is given up when it is idle or does
//! not read its answer, and there are only so many clients at a time. An answer in progress holds
//! one buffer of [`Limits::buffer`] bytes, whatever the length of the answer. Requests with a configuration
//! file may be much longer than others; they are heard and answered a few at a time.

mod connection;
mod socket;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::line::{Failure, Greeting, Line};
use crate::request::Request;

pub use connection::Reply;
pub use socket::{ControlSocket, SocketError};

/// Who answers requests.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request by writing rows. The end of the answer is written for it, whether that is
    /// success or not.
    fn answer(
        &self,
        request: Request,
        reply: &mut Reply<'_>,
    ) -> impl Future<Output = Result<(), AnswerError>> + Send;
}

/// Why an answer is not complete.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// The client is gone, or did not read.
    #[error("the client is gone: {0}")]
    Gone(#[from] io::Error),
    /// The request can't be answered. The client is told so.
    #[error("{0}")]
    Refused(String),
}

/// What is granted to clients.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many may be connected at a time.
    pub clients: usize,
    /// How long one may take to send a request.
    pub idle: Duration,
    /// How long one may take to read [`Self::buffer`] bytes of an answer.
    pub write: Duration,
    /// Bytes of an answer that are collected before they are written.
    pub buffer: usize,
    /// How many requests with a large file are in memory at a time; others wait.
    pub files: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            clients: 32,
            idle: Duration::from_secs(60),
            write: Duration::from_secs(10),
            buffer: 32 << 10,
            files: 2,
        }
    }
}

/// What all connections have in common.
struct Common {
    greeting: Greeting,
    /// A permit for each large file that may be in memory.
    files: Semaphore,
}

/// Serves clients until the future is dropped, which disconnects all of them.
pub async fn serve<H: Handler>(
    listener: &UnixListener,
    greeting: Greeting,
    handler: Arc<H>,
    limits: Limits,
) {
    let common = Arc::new(Common { greeting, files: Semaphore::new(limits.files) });
    let mut clients = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = clients.join_next() => continue,
        };
        match accepted {
            Ok((stream, _)) if clients.len() < limits.clients => {
                let (common, handler) = (Arc::clone(&common), Arc::clone(&handler));
                clients.spawn(async move {
                    let served = connection::run(stream, &common, &*handler, limits).await;
                    if let Err(error) = served {
                        tracing::debug!(%error, "a client of the control socket is gone");
                    }
                });
            }
            Ok((stream, _)) => turn_away(&stream),
            Err(error) => {
                // Out of file descriptors, most likely: the client stays in the queue, and asking
                // again at once would only spin.
                tracing::warn!(%error, "a client of the control socket could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Tells a client that there are too many, if its socket takes that without waiting.
fn turn_away(stream: &UnixStream) {
    let message = "too many clients at the control socket, try again later".to_owned();
    let line = Line::<()>::Error(Failure { message });
    if let Ok(mut text) = serde_json::to_vec(&line) {
        text.push(b'\n');
        // A client that does not get it sees the connection closed, which says enough.
        _ = stream.try_write(&text);
    }
}
