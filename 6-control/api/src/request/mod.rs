//! What a client may ask.

mod change;
mod flows;
mod protocol;
mod routing;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub(crate) use change::announces_a_file;
pub use change::{Change, ConfigFile};
pub use flows::{FlowFilter, FlowQuery, FlowSort, FlushFlows, NatQuery, parse_network};
pub use protocol::{BadProtocol, IpProtocol};
pub use routing::{NeighborFilter, RouteFilter};

/// One request: a line with an object whose key names what to do.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(untagged)]
pub enum Request {
    /// `{"show": ...}`: the answer's rows tell how things are.
    Show(Show),
    /// `{"flush": ...}`: something is ended.
    Flush(Flush),
    /// `{"apply": ...}`, `{"diff": ...}`: what becomes of the configuration.
    Change(Change),
}

/// What to show, and which of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "show", rename_all = "snake_case", deny_unknown_fields)]
pub enum Show {
    /// The threads as /proc shows them: [`ThreadRow`](crate::rows::ThreadRow).
    Threads {},
    /// The interfaces: [`InterfaceRow`](crate::rows::InterfaceRow).
    Interfaces {},
    /// The routes: [`RouteRow`](crate::rows::RouteRow).
    Routes(RouteFilter),
    /// The neighbours: [`NeighborRow`](crate::rows::NeighborRow).
    Neighbors(NeighborFilter),
    /// Dropped packets by reason, all reasons: [`DropRow`](crate::rows::DropRow).
    Drops {},
    /// All counters: [`CounterRow`](crate::rows::CounterRow).
    Counters {},
    /// The running configuration, in one row: [`ConfigRow`](crate::rows::ConfigRow).
    Config {},
    /// The flows: [`FlowRow`](crate::rows::FlowRow).
    Flows(FlowQuery),
    /// Address translation: [`NatRow`](crate::rows::NatRow).
    Nat(NatQuery),
    /// The firewall's rules, in their order, then its defaults: [`RuleRow`](crate::rows::RuleRow).
    Firewall {},
}

/// What to end.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "flush", rename_all = "snake_case")]
pub enum Flush {
    /// Flows, and what depends on them. One row says how many: [`FlushRow`](crate::rows::FlushRow).
    Flows(FlushFlows),
}

/// Why a line is no request.
#[derive(Debug, thiserror::Error)]
pub enum BadRequest {
    /// It is not JSON, or not an object.
    #[error("a request is one JSON object in one line: {0}")]
    NotAnObject(serde_json::Error),
    /// It does not say what to do.
    #[error("unknown request: expected an object with the key `show`, `flush`, `apply` or `diff`")]
    Unknown,
    /// It says so, but not rightly.
    #[error("bad `{verb}` request: {source}")]
    Bad {
        /// What it says to do.
        verb: &'static str,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

impl Request {
    /// Reads a request from a line.
    ///
    /// # Errors
    /// The line is no request.
    pub fn parse(line: &[u8]) -> Result<Self, BadRequest> {
        let object: Map<String, Value> =
            serde_json::from_slice(line).map_err(BadRequest::NotAnObject)?;
        let verb = ["show", "flush", "apply", "diff"].into_iter().find(|&v| object.contains_key(v));
        let verb = verb.ok_or(BadRequest::Unknown)?;
        let object = Value::Object(object);
        let request = match verb {
            "show" => Show::deserialize(object).map(Self::Show),
            "flush" => Flush::deserialize(object).map(Self::Flush),
            _ => Change::deserialize(object).map(Self::Change),
        };
        request.map_err(|source| BadRequest::Bad { verb, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Request, String> {
        Request::parse(line.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_request_is_an_object_that_says_what_to_show() {
        assert_eq!(parsed(r#"{"show":"threads"}"#), Ok(Request::Show(Show::Threads {})));
        let filter = RouteFilter { to: "192.0.2.1".parse().ok(), ..RouteFilter::default() };
        let routes = Request::Show(Show::Routes(filter));
        assert_eq!(parsed(r#"{"show":"routes","to":"192.0.2.1"}"#), Ok(routes.clone()));
        let line = serde_json::to_string(&routes).expect("serializable");
        assert_eq!(line, r#"{"show":"routes","to":"192.0.2.1"}"#);
    }

    #[test]
    fn what_is_no_request_is_answered_with_what_would_have_been() {
        for (line, expected) in [
            ("", "a request is one JSON object"),
            ("[]", "a request is one JSON object"),
            ("{} {}", "a request is one JSON object"),
            ("\u{fffd}", "a request is one JSON object"),
            (r#"{"sing":"routes"}"#, "expected an object with the key `show`"),
            (r#"{"show":"weather"}"#, "expected one of `threads`, `interfaces`"),
            (r#"{"show":["threads"]}"#, "bad `show` request"),
            (r#"{"show":"threads","colour":"blue"}"#, "unknown field `colour`"),
            (r#"{"show":"routes","too":"192.0.2.1"}"#, "unknown field `too`"),
            (r#"{"show":"routes","to":"here"}"#, "invalid IP address"),
        ] {
            let error = parsed(line).expect_err(line);
            assert!(error.contains(expected), "{line}: {error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_line_makes_the_parser_panic(line: Vec<u8>) {
            _ = Request::parse(&line);
        }
    }
}
