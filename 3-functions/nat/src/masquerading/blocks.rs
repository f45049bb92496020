//! What is to be logged of blocks of ports (RFC 6888, 4: one line a block, and not one a flow).

use std::collections::VecDeque;
use std::net::Ipv4Addr;

use portcullis_wire::IpProtocol;

/// A block of ports that an inside address was given, or gave back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BlockEvent {
    /// Given, or given back.
    pub allocated: bool,
    /// Of which protocol.
    pub protocol: IpProtocol,
    /// To whom.
    pub inside: Ipv4Addr,
    /// The external address.
    pub external: Ipv4Addr,
    /// The first port.
    pub first_port: u16,
    /// The last port.
    pub last_port: u16,
}

/// Events that may wait.
const EVENTS: usize = 128;

#[derive(Debug)]
pub(super) struct BlockEvents(VecDeque<BlockEvent>);

impl BlockEvents {
    pub(super) fn new() -> Self {
        Self(VecDeque::with_capacity(EVENTS))
    }

    /// Keeps an event. Whoever asks for none for long loses the oldest.
    pub(super) fn push(&mut self, event: BlockEvent) {
        if self.0.len() == EVENTS {
            self.0.pop_front();
        }
        self.0.push_back(event);
    }

    pub(super) fn take(&mut self) -> Option<BlockEvent> {
        self.0.pop_front()
    }
}
