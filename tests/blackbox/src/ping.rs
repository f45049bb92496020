//! Echo requests, and what came of them.

use std::thread::sleep;
use std::time::Duration;

use crate::command::Background;
use crate::host::Host;
use crate::wait::wait_until;

/// How often a ping that goes on sends, and how many of its last requests do not count.
const INTERVAL: Duration = Duration::from_millis(20);
const ON_ITS_WAY: u32 = 25;

/// The result of a ping.
#[derive(Clone, Debug)]
pub struct Ping {
    /// Requests sent.
    pub sent: u32,
    /// Replies that came back, each counted once.
    pub received: u32,
    /// The number of the request that each reply answers, from 1.
    pub sequence: Vec<u32>,
    /// The TTL or hop limit of each reply.
    pub ttls: Vec<u8>,
    /// The round trip of each reply.
    pub round_trips: Vec<Duration>,
    /// The lines of errors that came back instead of replies.
    pub errors: Vec<String>,
    /// All that ping said.
    pub said: String,
}

impl Ping {
    pub(crate) fn parse(said: &str) -> Self {
        let field = |line: &str, name: &str| {
            let after = line.split(name).nth(1)?;
            after.split_whitespace().next().map(str::to_owned)
        };
        let mut ping = Self {
            sent: 0,
            received: 0,
            sequence: Vec::new(),
            ttls: Vec::new(),
            round_trips: Vec::new(),
            errors: Vec::new(),
            said: said.to_owned(),
        };
        for line in said.lines() {
            if let Some(milliseconds) = field(line, " time=").and_then(|time| time.parse().ok()) {
                ping.round_trips.push(Duration::from_secs_f64(f64::max(milliseconds, 0.0) / 1e3));
                ping.sequence
                    .extend(field(line, "icmp_seq=").and_then(|it| it.parse::<u32>().ok()));
                ping.ttls.extend(field(line, " ttl=").and_then(|ttl| ttl.parse::<u8>().ok()));
            } else if line.starts_with("From ") || line.starts_with("ping: ") {
                ping.errors.push(line.to_owned());
            } else if line.contains(" packets transmitted, ") {
                let mut numbers = line.split(", ").map(|part| {
                    part.split_whitespace().next().and_then(|number| number.parse().ok())
                });
                ping.sent = numbers.next().flatten().unwrap_or(0);
                ping.received = numbers.next().flatten().unwrap_or(0);
            }
        }
        ping
    }

    /// How many requests were not answered.
    #[must_use]
    pub fn lost(&self) -> u32 {
        self.sent - self.received
    }

    /// The round trip that half of the replies beat.
    ///
    /// # Panics
    ///
    /// If there was no reply.
    #[track_caller]
    #[must_use]
    pub fn median(&self) -> Duration {
        let mut sorted = self.round_trips.clone();
        sorted.sort();
        *sorted.get(sorted.len() / 2).unwrap_or_else(|| panic!("no reply: {}", self.said))
    }
}

/// A ping that goes on until it is told to stop.
#[derive(Debug)]
pub struct RunningPing(Background);

impl RunningPing {
    /// Stops, and counts what was sent until half a second before: what is still on its way then
    /// is not lost.
    ///
    /// # Panics
    ///
    /// If ping does not stop.
    #[track_caller]
    #[must_use]
    pub fn stop(mut self) -> Ping {
        sleep(ON_ITS_WAY * INTERVAL);
        self.0.signal("INT");
        self.0.end(Duration::from_secs(5));
        let mut ping = Ping::parse(&self.0.log());
        ping.sent = ping.sent.saturating_sub(ON_ITS_WAY);
        ping.sequence.retain(|&number| number <= ping.sent);
        ping.sequence.sort_unstable();
        ping.sequence.dedup();
        ping.received = u32::try_from(ping.sequence.len()).unwrap_or(u32::MAX);
        ping
    }
}

impl Host {
    /// Pings with ping's own options; no answer is a result too.
    #[track_caller]
    #[must_use]
    pub fn ping(&self, options: &str, destination: &str) -> Ping {
        Ping::parse(&self.attempt(&format!("ping -n {options} {destination}")).stdout)
    }

    /// Sends one echo request, and says whether it was answered within a second.
    #[track_caller]
    #[must_use]
    pub fn reaches(&self, destination: &str) -> bool {
        self.ping("-c 1 -W 1", destination).received == 1
    }

    /// Pings until an answer comes, and says how long that took.
    ///
    /// # Panics
    ///
    /// If none comes within `limit`.
    #[track_caller]
    pub fn reaches_within(&self, limit: Duration, destination: &str) -> Duration {
        let what = format!("{} reaches {destination}", self.name());
        wait_until(&what, limit, || self.ping("-c 1 -W 0.3", destination).received == 1)
    }

    /// Pings from now on, 50 times a second.
    #[track_caller]
    #[must_use]
    pub fn keep_pinging(&self, destination: &str) -> RunningPing {
        let interval = INTERVAL.as_secs_f64();
        RunningPing(self.start(&format!("ping -n -i {interval} {destination}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ping_says_is_understood() {
        let said = "\
PING 10.2.0.2 (10.2.0.2) 56(84) bytes of data.
64 bytes from 10.2.0.2: icmp_seq=1 ttl=63 time=0.061 ms
From 10.1.0.1 icmp_seq=2 Destination Net Unreachable

--- 10.2.0.2 ping statistics ---
2 packets transmitted, 1 received, +1 errors, 50% packet loss, time 1001ms
rtt min/avg/max/mdev = 0.061/0.061/0.061/0.000 ms
";
        let ping = Ping::parse(said);
        assert_eq!((ping.sent, ping.received, ping.lost()), (2, 1, 1));
        assert_eq!((ping.sequence.as_slice(), ping.ttls.as_slice()), (&[1][..], &[63][..]));
        assert_eq!(ping.median(), Duration::from_micros(61));
        assert_eq!(ping.errors, ["From 10.1.0.1 icmp_seq=2 Destination Net Unreachable"]);
    }
}
