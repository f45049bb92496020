//! What a client may ask.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One request: a line with an object whose key names what to do.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(untagged)]
pub enum Request {
    /// `{"show": ...}`: the answer's rows tell how things are.
    Show(Show),
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
}

/// Which routes; all conditions must hold.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteFilter {
    /// The one by which packets to this address are forwarded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<IpAddr>,
    /// The one to this network, and those to networks inside of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<IpNet>,
    /// Those of a routing protocol: `kernel`, `static`, `bgp`, `ospf`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
}

/// Which neighbours.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NeighborFilter {
    /// Those on this interface.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
}

/// Why a line is no request.
#[derive(Debug, thiserror::Error)]
pub enum BadRequest {
    /// It is not JSON, or not an object.
    #[error("a request is one JSON object in one line: {0}")]
    NotAnObject(serde_json::Error),
    /// It does not say what to do.
    #[error("unknown request: expected an object with the key `show`")]
    Unknown,
    /// It says so, but not rightly.
    #[error("bad `show` request: {0}")]
    Show(serde_json::Error),
}

impl Request {
    /// Reads a request from a line.
    ///
    /// # Errors
    /// The line is no request.
    pub fn parse(line: &[u8]) -> Result<Self, BadRequest> {
        let object: Map<String, Value> =
            serde_json::from_slice(line).map_err(BadRequest::NotAnObject)?;
        if object.contains_key("show") {
            Show::deserialize(Value::Object(object)).map(Self::Show).map_err(BadRequest::Show)
        } else {
            Err(BadRequest::Unknown)
        }
    }
}

impl RouteFilter {
    /// Whether a route is one that was asked for, as far as the route alone can tell: whether it
    /// is the longest match of [`Self::to`], only the table knows.
    #[must_use]
    pub fn admits(&self, prefix: &IpNet, protocol: &str) -> bool {
        self.to.is_none_or(|address| prefix.contains(&address))
            && self.prefix.is_none_or(|outer| outer.contains(prefix))
            && self.protocol.as_deref().is_none_or(|wanted| wanted == protocol)
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

    #[test]
    fn filters_of_routes_hold_together() {
        let prefix: IpNet = "10.1.0.0/16".parse().expect("a prefix");
        let all = RouteFilter::default();
        assert!(all.admits(&prefix, "bgp"));
        let bgp_in_10 = RouteFilter {
            prefix: "10.0.0.0/8".parse().ok(),
            protocol: Some("bgp".into()),
            ..RouteFilter::default()
        };
        assert!(bgp_in_10.admits(&prefix, "bgp"));
        assert!(!bgp_in_10.admits(&prefix, "static"));
        assert!(!bgp_in_10.admits(&"0.0.0.0/0".parse().expect("a prefix"), "bgp"));
    }

    proptest::proptest! {
        #[test]
        fn no_line_makes_the_parser_panic(line: Vec<u8>) {
            _ = Request::parse(&line);
        }
    }
}
