//! Numbered datagrams, so that a change in the middle of a stream shows which were lost.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::command::Background;
use crate::host::Host;
use crate::wait::wait_until;

/// A stream of 100 datagrams a second from one host to another one.
#[derive(Debug)]
pub struct NumberedStream {
    sender: Background,
    receiver: Background,
}

const RECEIVE: &str = "
import socket, sys
address, port = sys.argv[1], int(sys.argv[2])
link = socket.socket(socket.AF_INET6 if ':' in address else socket.AF_INET, socket.SOCK_DGRAM)
link.bind((address, port))
print('ready', flush=True)
while True:
    print(link.recv(64).decode(), flush=True)
";

const SEND: &str = "
import itertools, socket, sys, time
address, port = sys.argv[1], int(sys.argv[2])
link = socket.socket(socket.AF_INET6 if ':' in address else socket.AF_INET, socket.SOCK_DGRAM)
start = time.monotonic()
for number in itertools.count():
    try:
        link.sendto(str(number).encode(), (address, port))
        print(number, flush=True)
    except OSError as error:
        # An ICMP error about an earlier one: this one is not sent.
        print('error', error, flush=True)
    time.sleep(max(0, start + (number + 1) * 0.01 - time.monotonic()))
";

impl NumberedStream {
    /// Starts it; `to` is an address of the receiver, or one that is translated to
    /// `receiver_address`.
    #[track_caller]
    #[must_use]
    pub fn start(sender: &Host, to: &str, receiver: (&Host, &str), port: u16) -> Self {
        let port = port.to_string();
        let receiver =
            receiver.0.start_words(&["/usr/bin/python3", "-c", RECEIVE, receiver.1, &port]);
        wait_until("the receiver listens", Duration::from_secs(20), || {
            receiver.log().contains("ready")
        });
        let sender = sender.start_words(&["/usr/bin/python3", "-c", SEND, to, &port]);
        Self { sender, receiver }
    }

    /// The numbers that have been sent so far.
    #[must_use]
    pub fn sent(&self) -> BTreeSet<u32> {
        numbers(&self.sender.log())
    }

    /// The numbers that have arrived so far.
    #[must_use]
    pub fn received(&self) -> BTreeSet<u32> {
        numbers(&self.receiver.log())
    }

    /// Waits until some more have arrived than have by now.
    #[track_caller]
    pub fn until_more_arrive(&self, more: usize) {
        let before = self.received().len();
        wait_until("more of the stream arrives", Duration::from_secs(10), || {
            self.received().len() >= before + more
        });
    }

    /// Waits until some more have been sent than have by now.
    #[track_caller]
    pub fn until_more_are_sent(&self, more: usize) {
        let before = self.sent().len();
        wait_until("more of the stream is sent", Duration::from_secs(10), || {
            self.sent().len() >= before + more
        });
    }

    /// Those that have been sent, and had the time to arrive, and have not.
    #[must_use]
    pub fn lost(&self) -> BTreeSet<u32> {
        let sent = self.sent();
        self.until_more_are_sent(20);
        &sent - &self.received()
    }
}

fn numbers(log: &str) -> BTreeSet<u32> {
    // A line that is not whole may be half a number.
    let whole = log.rfind('\n').map_or("", |end| &log[..end]);
    whole.lines().filter_map(|line| line.parse().ok()).collect()
}
