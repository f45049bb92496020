//! What the control side is to write into the log.

use std::net::IpAddr;

use portcullis_firewall::{Action, RuleId};
use portcullis_nat::BlockEvent;
use portcullis_packet::{DropReason, IfIndex, Ports};

/// Something to be logged. Plain numbers: names are looked up by who writes the log.
#[derive(Clone, Copy, Debug)]
pub enum Event {
    /// A rule with `log` decided.
    Rule(RuleEvent),
    /// A block of ports was given to a source, or came back (RFC 6888, REQ-13 and 14).
    Block(BlockEvent),
}

/// A decision of the firewall.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RuleEvent {
    /// Which rule.
    pub rule: RuleId,
    /// What it says.
    pub action: Action,
    /// Why the packet was dropped, if it was.
    pub reason: Option<DropReason>,
    /// Where the packet came in.
    pub rx: IfIndex,
    /// Where it was to leave; none for the gateway itself.
    pub tx: IfIndex,
    /// Who sent it.
    pub src: IpAddr,
    /// Whom it is for, after translation.
    pub dst: IpAddr,
    /// Ports, as a [`Tuple`](portcullis_wire::Tuple) has them.
    pub ports: Ports,
    /// The protocol's number.
    pub protocol: u8,
}

/// Events that may wait to be logged.
pub const EVENTS: usize = 256;

/// Events that were not logged yet.
#[derive(Debug)]
pub struct Events {
    waiting: Vec<Event>,
    lost: u64,
}

impl Events {
    pub(crate) fn new() -> Self {
        Self { waiting: Vec::with_capacity(EVENTS), lost: 0 }
    }

    /// Keeps an event, if there is room; the log is no reason to stop forwarding.
    pub(crate) fn push(&mut self, event: Event) {
        if self.waiting.len() < EVENTS {
            self.waiting.push(event);
        } else {
            self.lost += 1;
        }
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes all of them, oldest first.
    pub fn drain(&mut self) -> impl Iterator<Item = Event> + '_ {
        self.waiting.drain(..)
    }

    /// How many found no room.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.lost
    }
}
