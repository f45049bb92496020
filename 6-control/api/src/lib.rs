//! What is said over the control socket.
//!
//! The socket is a Unix stream socket that only its owner may open (mode 0600). Both sides send
//! lines, each a JSON object ended by `\n`:
//!
//! ```text
//! gateway: {"hello":{"protocol":1,"version":"0.1.0","gateway":"gw1"}}
//! client:  {"show":"routes","to":"192.0.2.1"}
//! gateway: {"row":{"vrf":0,"prefix":"192.0.2.0/24", ...}}
//! gateway: {"end":{"rows":1}}
//! ```
//!
//! Other requests:
//!
//! ```text
//! {"show":"flows","source":"10.0.0.0/8","protocol":"tcp","sort":"bytes","top":10}
//! {"flush":"flows","host":"10.0.0.5"}
//! {"apply":{"file":"/etc/portcullis/portcullis.toml","text":"..."}}
//! ```
//!
//! The gateway speaks first. To every [`Request`] it answers with any number of rows, all of one type
//! ([`rows`]), and then with one line that ends the answer: `end`, or `error` with a message. After
//! that the client may send the next request. Rows are written as they are made, so that neither side
//! holds a table of a million routes at once.
//!
//! Names of fields are in `snake_case`. Values that are names keep the spelling they have
//! elsewhere: `hold-queue-full` is a drop reason, `af-packet` a driver in the file. Fields may be
//! added in a version of the protocol: a client ignores those it does not know.
//! [`PROTOCOL`] changes when something is removed or changes its meaning.
//!
//! [`Client`] is the side of the command, blocking; `server` (a cargo feature) that of the gateway,
//! async.

#![forbid(unsafe_code)]

#[macro_use]
mod names;

mod client;
mod line;
mod request;
pub mod rows;
#[cfg(feature = "server")]
pub mod server;

pub use client::{Answer, Client, ClientError};
pub use line::{End, Failure, Greeting, MAX_ANSWER_LINE, MAX_FILE_REQUEST_LINE, MAX_REQUEST_LINE};
pub use request::{
    BadProtocol, BadRequest, Change, ConfigFile, FlowFilter, FlowQuery, FlowSort, Flush,
    FlushFlows, IpProtocol, NatQuery, NeighborFilter, Request, RouteFilter, Show, parse_network,
};

/// The version of the protocol that is described here.
pub const PROTOCOL: u32 = 1;
