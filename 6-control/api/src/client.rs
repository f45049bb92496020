//! The client's side: blocking, as the command needs it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::marker::PhantomData;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::value::RawValue;

use crate::line::{Greeting, Line, MAX_ANSWER_LINE};
use crate::rows::Row;
use crate::{PROTOCOL, Request};

/// How long the gateway may be silent in the middle of something.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why there is no answer, or no more of it.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody answers at the socket.
    #[error("no gateway answers at {}: {}", path.display(), explain(source))]
    Unreachable {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The gateway is of another version.
    #[error(
        "the gateway (version {version}) speaks version {theirs} of the protocol, this command \
         version {PROTOCOL}: use the command that belongs to the gateway"
    )]
    OtherProtocol {
        /// The gateway's version.
        version: String,
        /// The version of the protocol it speaks.
        theirs: u32,
    },
    /// The connection broke.
    #[error("the connection to the gateway broke: {0}")]
    Broken(#[source] io::Error),
    /// The connection is there, and nothing comes.
    #[error("the gateway is silent for {} s: it is stopped, or gets no time to run", PATIENCE.as_secs())]
    Silent,
    /// The gateway refused, and said why.
    #[error("the gateway says: {0}")]
    Refused(String),
    /// The other side says what no gateway would.
    #[error("this does not sound like a gateway: {0}")]
    Nonsense(String),
}

impl From<io::Error> for ClientError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // What a socket's own timeout answers is the former.
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Self::Silent,
            _ => Self::Broken(error),
        }
    }
}

/// Why nobody answers at a socket, in the words of who wonders.
fn explain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such socket".to_owned(),
        io::ErrorKind::ConnectionRefused => "it was left behind by one that is gone".to_owned(),
        io::ErrorKind::PermissionDenied => "only the user it runs as may ask it".to_owned(),
        _ => error.to_string(),
    }
}

/// A connection to a gateway.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<UnixStream>,
    greeting: Greeting,
}

impl Client {
    /// Connects to the gateway behind a socket.
    ///
    /// # Errors
    /// Nobody answers there, or somebody else than a gateway of this protocol.
    pub fn connect(path: &Path) -> Result<Self, ClientError> {
        let unreachable = |source| ClientError::Unreachable { path: path.to_owned(), source };
        let stream = UnixStream::connect(path).map_err(unreachable)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut stream = BufReader::new(stream);
        match read_line::<Box<RawValue>>(&mut stream)? {
            Line::Hello(greeting) if greeting.protocol == PROTOCOL => Ok(Self { stream, greeting }),
            Line::Hello(Greeting { protocol, version, .. }) => {
                Err(ClientError::OtherProtocol { version, theirs: protocol })
            }
            Line::Error(failure) => Err(ClientError::Refused(failure.message)),
            Line::Row(_) | Line::End(_) => Err(ClientError::Nonsense("it does not greet".into())),
        }
    }

    /// What the gateway said of itself.
    #[must_use]
    pub fn greeting(&self) -> &Greeting {
        &self.greeting
    }

    /// Sends a request. The answer is to be read to its end before the next one is sent.
    ///
    /// # Errors
    /// The connection broke.
    pub fn ask<R: Row>(&mut self, request: &Request) -> Result<Answer<'_, R>, ClientError> {
        let mut line = serde_json::to_vec(request).map_err(io::Error::other)?;
        line.push(b'\n');
        if let Err(error) = self.stream.get_mut().write_all(&line) {
            // A gateway that does not want to hear the rest has said so before it closed.
            return Err(match read_line::<Box<RawValue>>(&mut self.stream) {
                Ok(Line::Error(failure)) => ClientError::Refused(failure.message),
                Ok(Line::Hello(_) | Line::Row(_) | Line::End(_)) | Err(_) => error.into(),
            });
        }
        Ok(Answer { stream: &mut self.stream, ended: false, row: PhantomData })
    }
}

/// The rows of an answer, read one by one. The iterator ends with the answer; after an error there
/// is nothing more.
#[derive(Debug)]
pub struct Answer<'c, R> {
    stream: &'c mut BufReader<UnixStream>,
    ended: bool,
    row: PhantomData<R>,
}

impl<R: Row> Iterator for Answer<'_, R> {
    type Item = Result<R, ClientError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let row = match read_line(self.stream) {
            Ok(Line::Row(row)) => return Some(Ok(row)),
            Ok(Line::End(_)) => None,
            Ok(Line::Error(failure)) => Some(Err(ClientError::Refused(failure.message))),
            Ok(Line::Hello(_)) => Some(Err(ClientError::Nonsense("it greets again".into()))),
            Err(error) => Some(Err(error)),
        };
        self.ended = true;
        row
    }
}

fn read_line<R: Row>(stream: &mut BufReader<UnixStream>) -> Result<Line<R>, ClientError> {
    let mut line = Vec::new();
    stream.take(MAX_ANSWER_LINE as u64).read_until(b'\n', &mut line)?;
    match line.last() {
        None => Err(ClientError::Broken(io::ErrorKind::UnexpectedEof.into())),
        Some(b'\n') => serde_json::from_slice(&line)
            .map_err(|error| ClientError::Nonsense(format!("a line it sent is wrong: {error}"))),
        Some(_) if line.len() >= MAX_ANSWER_LINE => {
            Err(ClientError::Nonsense("a line it sent does not end".into()))
        }
        Some(_) => Err(ClientError::Broken(io::ErrorKind::UnexpectedEof.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_that_says_nothing_is_told_from_one_that_hangs_up() {
        let (near, far) = UnixStream::pair().expect("two ends");
        near.set_read_timeout(Some(Duration::from_millis(1))).expect("a timeout");
        let mut near = BufReader::new(near);
        let silent = read_line::<Box<RawValue>>(&mut near).expect_err("nothing was said");
        assert!(matches!(silent, ClientError::Silent), "{silent:?}");
        assert_eq!(
            silent.to_string(),
            "the gateway is silent for 30 s: it is stopped, or gets no time to run"
        );
        drop(far);
        let gone = read_line::<Box<RawValue>>(&mut near).expect_err("the end");
        assert!(matches!(gone, ClientError::Broken(_)), "{gone:?}");
    }
}
