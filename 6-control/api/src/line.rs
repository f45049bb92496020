//! The lines of the protocol, and how long they may be.

use serde::{Deserialize, Serialize};

use crate::PROTOCOL;

/// Longest request that carries no file, in bytes, with the end of its line. A longer one is refused.
pub const MAX_REQUEST_LINE: usize = 16 << 10;

/// Longest request that carries a configuration file, in bytes, with the end of its line: a file of
/// the largest size, each byte of which JSON may have to escape, and a path.
pub const MAX_FILE_REQUEST_LINE: usize = 33 << 20;

/// Longest line of an answer that a client takes, in bytes: a configuration file of the largest
/// size, quoted, and more than a route with all the next hops that it can have.
pub const MAX_ANSWER_LINE: usize = 64 << 20;

/// The first line, from the gateway.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Greeting {
    /// The version of the protocol, [`PROTOCOL`].
    pub protocol: u32,
    /// The version of the gateway.
    pub version: String,
    /// The gateway's name.
    pub gateway: String,
}

impl Greeting {
    /// The greeting of a gateway that speaks this protocol.
    #[must_use]
    pub fn new(version: impl Into<String>, gateway: impl Into<String>) -> Self {
        Self { protocol: PROTOCOL, version: version.into(), gateway: gateway.into() }
    }
}

/// The last line of an answer that is complete.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct End {
    /// How many rows there were.
    pub rows: u64,
}

/// The last line of an answer that is not complete, or of none.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Failure {
    /// Why, in one sentence.
    pub message: String,
}

/// Any line from the gateway.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Line<R> {
    Hello(Greeting),
    Row(R),
    End(End),
    Error(Failure),
}
