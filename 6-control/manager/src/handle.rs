//! The other threads' end of the manager.

use std::sync::Arc;

use portcullis_api::rows::{NeighborRow, RouteRow};
use portcullis_api::{NeighborFilter, RouteFilter};
use portcullis_routing::Interface;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot, watch};

use crate::change::{ApplyError, Change};
use crate::listen::ListenCounters;
use crate::show::{Chunk, Cursor};

/// Questions that wait for the manager.
const QUESTIONS: usize = 16;

/// The manager is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("the vpc-manager is not running")]
pub struct Gone;

/// How the manager is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Status {
    /// All of the kernel's tables were read at least once, and are in the FIBs.
    pub ready: bool,
    /// IPv4 routes that the kernel has.
    pub routes4: usize,
    /// IPv6 routes that the kernel has.
    pub routes6: usize,
    /// Prefixes in the IPv4 FIB.
    pub fib4: usize,
    /// Prefixes in the IPv6 FIB.
    pub fib6: usize,
    /// Readings of all tables, the first included.
    pub resyncs: u64,
    /// What was heard.
    pub listened: ListenCounters,
    /// Neighbours that were not asked for because too many were.
    pub resolve_refused: u64,
}

/// A question.
pub(crate) enum Query {
    Routes { filter: RouteFilter, cursor: Cursor, answer: oneshot::Sender<Chunk> },
    Neighbors { filter: NeighborFilter, answer: oneshot::Sender<Vec<NeighborRow>> },
    Interfaces { answer: oneshot::Sender<Vec<Interface>> },
    Status { answer: oneshot::Sender<Status> },
    Apply { change: Box<Change>, answer: oneshot::Sender<Result<(), ApplyError>> },
}

/// The manager's end of its handles.
pub(crate) struct Inbox {
    pub(crate) queries: mpsc::Receiver<Query>,
    pub(crate) stop: watch::Receiver<bool>,
}

/// Asks the manager, from any thread. The manager stops when told to, or when all handles are gone.
#[derive(Clone, Debug)]
pub struct Handle {
    queries: mpsc::Sender<Query>,
    stop: Arc<watch::Sender<bool>>,
}

impl Handle {
    pub(crate) fn new() -> (Self, Inbox) {
        let (sender, queries) = mpsc::channel(QUESTIONS);
        let (stopper, stop) = watch::channel(false);
        (Self { queries: sender, stop: Arc::new(stopper) }, Inbox { queries, stop })
    }

    /// The routes that a filter lets pass, in the order of prefixes, IPv4 first.
    #[must_use]
    pub fn routes(&self, filter: RouteFilter) -> RouteStream {
        RouteStream { manager: self.clone(), filter, next: Some(Cursor::Start) }
    }

    /// Neighbours.
    ///
    /// # Errors
    /// The manager is gone.
    pub async fn neighbors(&self, filter: NeighborFilter) -> Result<Vec<NeighborRow>, Gone> {
        self.ask(|answer| Query::Neighbors { filter, answer }).await
    }

    /// The interfaces as workers know them, by their index.
    ///
    /// # Errors
    /// The manager is gone.
    pub async fn interfaces(&self) -> Result<Vec<Interface>, Gone> {
        self.ask(|answer| Query::Interfaces { answer }).await
    }

    /// How the manager is doing.
    ///
    /// # Errors
    /// The manager is gone.
    pub async fn status(&self) -> Result<Status, Gone> {
        self.ask(|answer| Query::Status { answer }).await
    }

    /// Puts another configuration in the place of the present one. Its policy is in effect when this
    /// returns: all workers have it. Addresses, routes and MTUs were handed to the kernel, which may take
    /// until a link is up to accept them, and their effects follow as it does. What both
    /// configurations say is not touched.
    ///
    /// # Errors
    /// The change is for another gateway, and nothing was changed; or the manager is gone.
    pub async fn apply(&self, change: Change) -> Result<(), ApplyError> {
        let change = Box::new(change);
        self.ask(|answer| Query::Apply { change, answer }).await?
    }

    /// Stops the manager. What it set in the kernel stays, and so do the FIBs.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    async fn ask<T>(&self, query: impl FnOnce(oneshot::Sender<T>) -> Query) -> Result<T, Gone> {
        let (sender, receiver) = oneshot::channel();
        self.queries.send(query(sender)).await.map_err(|_| Gone)?;
        receiver.await.map_err(|_| Gone)
    }
}

/// Routes, chunk by chunk. Each chunk is as of when it is read.
#[derive(Debug)]
pub struct RouteStream {
    manager: Handle,
    filter: RouteFilter,
    next: Option<Cursor>,
}

impl RouteStream {
    /// The next chunk, possibly empty; `None` at the end.
    ///
    /// # Errors
    /// The manager is gone.
    pub async fn next(&mut self) -> Result<Option<Vec<RouteRow>>, Gone> {
        let Some(cursor) = self.next else { return Ok(None) };
        let filter = self.filter.clone();
        let chunk = self.manager.ask(|answer| Query::Routes { filter, cursor, answer }).await?;
        self.next = chunk.next;
        Ok(Some(chunk.rows))
    }
}
