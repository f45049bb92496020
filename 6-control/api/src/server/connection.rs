//! One client.

use std::io;
use std::time::Duration;

use serde::Serialize;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::{AnswerError, Common, Handler, Limits};
use crate::line::{End, Failure, Line, MAX_FILE_REQUEST_LINE, MAX_REQUEST_LINE};
use crate::request::{Request, announces_a_file};
use crate::rows::Row;

/// Serves a client until it leaves.
pub(super) async fn run<H: Handler>(
    stream: UnixStream,
    common: &Common,
    handler: &H,
    limits: Limits,
) -> io::Result<()> {
    let (reader, writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    let mut out = Out { writer, buffer: Vec::with_capacity(limits.buffer), limits };
    out.line(&Line::<()>::Hello(common.greeting.clone())).await?;
    out.flush().await?;
    while let Some(heard) = patiently(limits.idle, listen(&mut reader, &common.files)).await? {
        let Heard { line, limit, _room } = heard;
        if line.len() >= limit {
            // What is left of the line is not read, so nothing more can be understood.
            return out.fail(format!("a request has {limit} bytes at most")).await;
        }
        let request = Request::parse(&line);
        drop(line);
        match request {
            Ok(request) => answer(handler, request, &mut out).await?,
            Err(error) => out.fail(error.to_string()).await?,
        }
    }
    Ok(())
}

/// A line, or what there was of it.
struct Heard<'s> {
    line: Vec<u8>,
    /// How long it may be.
    limit: usize,
    /// To be kept until the request is answered, which holds the file as long.
    _room: Option<SemaphorePermit<'s>>,
}

/// Reads a line. None at the end. One that is long waits for its turn, unread, unless it is too long.
async fn listen<'s>(
    reader: &mut BufReader<OwnedReadHalf>,
    files: &'s Semaphore,
) -> io::Result<Option<Heard<'s>>> {
    let mut line = Vec::new();
    let mut limit = MAX_REQUEST_LINE;
    let mut room = None;
    reader.take(limit as u64).read_until(b'\n', &mut line).await?;
    if line.len() >= limit && announces_a_file(&line) {
        room = Some(files.acquire().await.map_err(io::Error::other)?);
        limit = MAX_FILE_REQUEST_LINE;
        let rest = limit - line.len();
        if line.last() != Some(&b'\n') {
            reader.take(rest as u64).read_until(b'\n', &mut line).await?;
        }
    }
    Ok((!line.is_empty()).then_some(Heard { line, limit, _room: room }))
}

async fn answer<H: Handler>(handler: &H, request: Request, out: &mut Out) -> io::Result<()> {
    let mut reply = Reply { out, rows: 0 };
    let answered = handler.answer(request, &mut reply).await;
    let rows = reply.rows;
    match answered {
        Ok(()) => {
            out.line(&Line::<()>::End(End { rows })).await?;
            out.flush().await
        }
        Err(AnswerError::Refused(message)) => out.fail(message).await,
        Err(AnswerError::Gone(error)) => Err(error),
    }
}

/// Where the rows of an answer go.
#[derive(Debug)]
pub struct Reply<'c> {
    out: &'c mut Out,
    rows: u64,
}

impl Reply<'_> {
    /// Writes a row. Waits while the client is not reading.
    ///
    /// # Errors
    /// The client is gone, or has not read for too long.
    pub async fn row<R: Row + Sync>(&mut self, row: &R) -> Result<(), AnswerError> {
        self.out.line(&Line::Row(row)).await?;
        self.rows += 1;
        Ok(())
    }
}

/// The client's end of the socket, and what is to be written to it.
#[derive(Debug)]
struct Out {
    writer: OwnedWriteHalf,
    buffer: Vec<u8>,
    limits: Limits,
}

impl Out {
    async fn line<R: Serialize>(&mut self, line: &Line<R>) -> io::Result<()> {
        serde_json::to_writer(&mut self.buffer, line)?;
        self.buffer.push(b'\n');
        if self.buffer.len() >= self.limits.buffer { self.flush().await } else { Ok(()) }
    }

    async fn fail(&mut self, message: String) -> io::Result<()> {
        self.line(&Line::<()>::Error(Failure { message })).await?;
        self.flush().await
    }

    async fn flush(&mut self) -> io::Result<()> {
        patiently(self.limits.write, self.writer.write_all(&self.buffer)).await?;
        self.buffer.clear();
        Ok(())
    }
}

/// Waits for so long, and no longer.
async fn patiently<T>(
    patience: Duration,
    what: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    timeout(patience, what).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
