//! Short conversations of TCP and UDP, in which each side learns as whom the other one sees it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::command::Background;
use crate::host::Host;
use crate::wait::wait_until;

/// Answers on some ports of a host, by TCP and UDP, on each of the host's addresses, with the
/// address and port of whoever asks. It ends when dropped.
#[derive(Debug)]
pub struct Reflector {
    server: Background,
}

impl Reflector {
    /// Starts it on ports and ranges of ports, as in `7000 8000-8010`.
    #[track_caller]
    #[must_use]
    pub fn start(host: &Host, ports: &str) -> Self {
        let mut words = vec!["/usr/bin/python3", "-c", include_str!("reflector.py")];
        words.extend(ports.split_whitespace());
        let server = host.start_words(&words);
        wait_until("the reflector listens", Duration::from_secs(20), || {
            server.log().contains("ready")
        });
        Self { server }
    }

    /// What went wrong in it.
    #[must_use]
    pub fn log(&self) -> String {
        self.server.log()
    }
}

/// A conversation to be had.
#[derive(Clone, Debug)]
pub struct Dial {
    protocol: &'static str,
    to: SocketAddr,
    from: Option<SocketAddr>,
    bytes: usize,
    patience: Duration,
}

/// What came of a conversation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The reflector saw this address and port, and sent back just what it was sent.
    Seen(SocketAddr),
    /// There was no answer in time.
    Silence,
    /// The connection was refused: a TCP reset, or ICMP's port unreachable.
    Refused,
    /// Something else, as the system calls it.
    Failed(String),
}

/// An outcome, and how long it took.
#[derive(Clone, Debug)]
pub struct Answer {
    /// What came of it.
    pub outcome: Outcome,
    /// How long it took.
    pub took: Duration,
}

impl Dial {
    /// A connection of TCP.
    #[track_caller]
    #[must_use]
    pub fn tcp(to: &str) -> Self {
        Self::new("tcp", to)
    }

    /// A datagram of UDP and its answer.
    #[track_caller]
    #[must_use]
    pub fn udp(to: &str) -> Self {
        Self::new("udp", to)
    }

    /// One of the two.
    #[track_caller]
    #[must_use]
    pub fn new(protocol: &'static str, to: &str) -> Self {
        let to = to.parse().unwrap_or_else(|error| panic!("{to}: {error}"));
        Self { protocol, to, from: None, bytes: 10, patience: Duration::from_secs(3) }
    }

    /// The same from an address and port.
    #[track_caller]
    #[must_use]
    pub fn from(mut self, from: &str) -> Self {
        self.from = Some(from.parse().unwrap_or_else(|error| panic!("{from}: {error}")));
        self
    }

    /// The same with this much to say.
    #[must_use]
    pub fn bytes(mut self, bytes: usize) -> Self {
        self.bytes = bytes;
        self
    }

    /// The same with another patience than three seconds.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Has it, on a host.
    ///
    /// # Panics
    ///
    /// If what comes back is not what was sent, or the address is not the host's.
    #[track_caller]
    #[must_use]
    pub fn by(&self, host: &Host) -> Answer {
        let (to, to_port) = (self.to.ip().to_string(), self.to.port().to_string());
        let from = self.from.map_or("any".to_owned(), |from| from.ip().to_string());
        let from_port = self.from.map_or(0, |from| from.port()).to_string();
        let (bytes, patience) = (self.bytes.to_string(), self.patience.as_secs_f64().to_string());
        let said = host.run_words(&[
            "/usr/bin/python3",
            "-c",
            include_str!("dial.py"),
            self.protocol,
            &to,
            &to_port,
            &from,
            &from_port,
            &bytes,
            &patience,
        ]);
        answer(&said).unwrap_or_else(|| panic!("no answer in {said}"))
    }

    /// Has it, and returns the address and port that it was had from as the reflector sees them.
    ///
    /// # Panics
    ///
    /// If the reflector is not reached.
    #[track_caller]
    #[must_use]
    pub fn seen(&self, host: &Host) -> SocketAddr {
        match self.by(host).outcome {
            Outcome::Seen(seen) => seen,
            other => panic!("{self:?} by {}: {other:?}", host.name()),
        }
    }
}

fn answer(said: &str) -> Option<Answer> {
    let said: serde_json::Value = serde_json::from_str(said).ok()?;
    let took = Duration::from_secs_f64(said["seconds"].as_f64()?);
    let outcome = match (said["seen"].as_str(), said["failure"].as_str()) {
        (Some(seen), _) => {
            let (address, port) = seen.split_once(' ')?;
            let address: IpAddr = address.parse().ok()?;
            Outcome::Seen(SocketAddr::new(address, port.parse().ok()?))
        }
        (None, Some("silence")) => Outcome::Silence,
        (None, Some("Connection refused")) => Outcome::Refused,
        (None, failure) => Outcome::Failed(failure?.to_owned()),
    };
    Some(Answer { outcome, took })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_script_prints_is_understood() {
        let seen = r#"{"seen": "2001:db8::1 4000", "failure": null, "seconds": 0.5}"#;
        let seen = answer(seen).expect("an answer");
        let expected = SocketAddr::new("2001:db8::1".parse().expect("an address"), 4000);
        assert_eq!(seen.outcome, Outcome::Seen(expected));
        assert_eq!(seen.took, Duration::from_millis(500));
        let refused = r#"{"seen": null, "failure": "Connection refused", "seconds": 0}"#;
        assert_eq!(answer(refused).expect("an answer").outcome, Outcome::Refused);
    }
}
