//! One client.

use std::io;
use std::time::Duration;

use serde::Serialize;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

use super::{AnswerError, Handler, Limits};
use crate::line::{End, Failure, Greeting, Line, MAX_REQUEST_LINE};
use crate::request::Request;
use crate::rows::Row;

/// Serves a client until it leaves.
pub(super) async fn run<H: Handler>(
    stream: UnixStream,
    greeting: &Greeting,
    handler: &H,
    limits: Limits,
) -> io::Result<()> {
    let (reader, writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    let mut out = Out { writer, buffer: Vec::with_capacity(limits.buffer), limits };
    out.line(&Line::<()>::Hello(greeting.clone())).await?;
    out.flush().await?;
    let mut line = Vec::new();
    while patiently(limits.idle, read_request(&mut reader, &mut line)).await? {
        if line.len() >= MAX_REQUEST_LINE {
            // What is left of the line is not read, so nothing more can be understood.
            return out.fail(format!("a request has {MAX_REQUEST_LINE} bytes at most")).await;
        }
        match Request::parse(&line) {
            Ok(request) => answer(handler, request, &mut out).await?,
            Err(error) => out.fail(error.to_string()).await?,
        }
    }
    Ok(())
}

/// Reads a line into `line`, or what there is of it. False at the end.
async fn read_request(
    reader: &mut BufReader<OwnedReadHalf>,
    line: &mut Vec<u8>,
) -> io::Result<bool> {
    line.clear();
    reader.take(MAX_REQUEST_LINE as u64).read_until(b'\n', line).await?;
    Ok(!line.is_empty())
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
