//! Another configuration for a gateway that runs.

use serde::{Deserialize, Serialize};

/// What to do with a configuration file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Take it, whole or not at all: the rows are the differences that were applied
    /// ([`ChangeRow`](crate::rows::ChangeRow)). If it is refused, rows that come before the error are those
    /// that it is refused for.
    Apply(ConfigFile),
    /// Say what taking it would change, by the same rows.
    Diff(ConfigFile),
}

/// A configuration file, as the client has read it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigFile {
    /// Its path, by which errors name it.
    pub file: String,
    /// What is in it.
    pub text: String,
}

/// Whether a line that begins so carries a file.
pub(crate) fn announces_a_file(line: &[u8]) -> bool {
    let Some(object) = line.trim_ascii_start().strip_prefix(b"{") else { return false };
    let key = object.trim_ascii_start();
    key.starts_with(br#""apply""#) || key.starts_with(br#""diff""#)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Request;

    #[test]
    fn requests_with_a_file_are_known_by_how_they_begin() {
        let file = ConfigFile { file: "/etc/gw.toml".into(), text: "a = \"b\"\n".into() };
        for change in [Change::Apply(file.clone()), Change::Diff(file)] {
            let request = Request::Change(change);
            let line = serde_json::to_vec(&request).expect("serializable");
            assert!(announces_a_file(&line));
            assert_eq!(Request::parse(&line).expect("a request"), request);
        }
        assert!(announces_a_file(b" { \"diff\" : {"));
        for other in [&b""[..], b"{", b"{\"apple\":1", b"{\"show\":\"apply\"", b"\"apply\""] {
            assert!(!announces_a_file(other));
        }
    }

    #[test]
    fn a_file_without_text_or_with_more_is_refused() {
        for line in [
            r#"{"apply":{"file":"a"}}"#,
            r#"{"diff":{"file":"a","text":"","force":true}}"#,
            r#"{"apply":{"file":"a","text":""},"diff":{"file":"a","text":""}}"#,
            r#"{"apply":"a"}"#,
        ] {
            let error = Request::parse(line.as_bytes()).expect_err(line).to_string();
            assert!(error.starts_with("bad `"), "{line}: {error}");
        }
    }
}
