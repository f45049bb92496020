//! Looking at what the workers remember, while they work.

use std::time::Duration;

use portcullis_dataplane::{Receiver, Sender};
use portcullis_flows::FlowStamp;
use portcullis_nat::{MappingView, PoolStatistics};
use portcullis_pipeline::{Inquiry, Record, State};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

/// Rows that one inquiry has room for.
const ROWS: usize = 4096;

/// How often it is looked whether an answer has come.
const LOOK: Duration = Duration::from_micros(200);

/// How long a worker may take for one inquiry. It does a piece of it in each turn.
const PATIENCE: Duration = Duration::from_secs(5);

/// A worker did not answer.
#[derive(Debug, thiserror::Error)]
#[error("worker {0} does not answer: is it stuck?")]
pub(crate) struct Silent(usize);

/// Asks workers. One inquiry at a time is with each.
pub(crate) struct Inspector {
    lines: Vec<Mutex<Line>>,
}

/// The way to a worker and back.
pub(crate) struct Line {
    to: Sender<Inquiry>,
    from: Receiver<Inquiry>,
    /// Answers that were not waited for to the end.
    owed: usize,
}

impl Line {
    pub(crate) fn new(to: Sender<Inquiry>, from: Receiver<Inquiry>) -> Self {
        Self { to, from, owed: 0 }
    }

    async fn ask(&mut self, worker: usize, inquiry: Inquiry) -> Result<Inquiry, Silent> {
        let end = Instant::now() + PATIENCE;
        while self.owed > 0 {
            self.take(worker, end).await?;
        }
        self.to.send(inquiry).map_err(|_| Silent(worker))?;
        self.owed += 1;
        self.take(worker, end).await
    }

    async fn take(&mut self, worker: usize, end: Instant) -> Result<Inquiry, Silent> {
        loop {
            if let Some(answer) = self.from.take() {
                self.owed -= 1;
                return Ok(answer);
            }
            if Instant::now() >= end {
                return Err(Silent(worker));
            }
            sleep(LOOK).await;
        }
    }
}

impl Inspector {
    pub(crate) fn new(lines: Vec<Line>) -> Self {
        Self { lines: lines.into_iter().map(Mutex::new).collect() }
    }

    pub(crate) fn workers(&self) -> usize {
        self.lines.len()
    }

    async fn ask(&self, worker: usize, inquiry: Inquiry) -> Result<Inquiry, Silent> {
        let line = self.lines.get(worker).ok_or(Silent(worker))?;
        line.lock().await.ask(worker, inquiry).await
    }

    /// Some flows of a worker, from a slot on, and where to go on.
    pub(crate) async fn flows(
        &self,
        worker: usize,
        from: u32,
    ) -> Result<(Vec<(FlowStamp, Record)>, Option<u32>), Silent> {
        let inquiry = Inquiry::Flows { from: Some(from), rows: Vec::with_capacity(ROWS) };
        match self.ask(worker, inquiry).await? {
            Inquiry::Flows { from, rows } => Ok((rows, from)),
            _ => Err(Silent(worker)),
        }
    }

    /// Some mappings of a worker, likewise.
    pub(crate) async fn mappings(
        &self,
        worker: usize,
        from: u32,
    ) -> Result<(Vec<MappingView>, Option<u32>), Silent> {
        let inquiry = Inquiry::Mappings { from: Some(from), rows: Vec::with_capacity(ROWS) };
        match self.ask(worker, inquiry).await? {
            Inquiry::Mappings { from, rows } => Ok((rows, from)),
            _ => Err(Silent(worker)),
        }
    }

    /// A worker's pools.
    pub(crate) async fn pools(&self, worker: usize) -> Result<Vec<PoolStatistics>, Silent> {
        let rows = Vec::with_capacity(ROWS);
        let inquiry = Inquiry::Pools { rows, log_suppressed: 0, events_lost: 0 };
        match self.ask(worker, inquiry).await? {
            Inquiry::Pools { rows, .. } => Ok(rows),
            _ => Err(Silent(worker)),
        }
    }

    /// Ends flows of a worker. How many of them were still there.
    pub(crate) async fn flush(&self, worker: usize, stamps: Vec<FlowStamp>) -> Result<u64, Silent> {
        match self.ask(worker, Inquiry::Flush { stamps, ended: 0 }).await? {
            Inquiry::Flush { ended, .. } => Ok(ended),
            _ => Err(Silent(worker)),
        }
    }

    /// Gives a worker what it is to remember flows in.
    pub(crate) async fn equip(&self, worker: usize, state: Box<State>) -> Result<(), Silent> {
        self.ask(worker, Inquiry::Equip(Some(state))).await.map(drop)
    }
}
