//! The state of a flow.

use std::time::Duration;

use portcullis_packet::DropReason;
use portcullis_wire::tcp::Flags;

use crate::tcp::Connection;
use crate::timeouts::Timeouts;

/// Who sent a packet of a flow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// Who began it.
    Original,
    /// Who answers.
    Reply,
}

/// A TCP segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segment {
    /// Its control bits.
    pub flags: Flags,
    /// Its sequence number.
    pub seq: u32,
    /// Its acknowledgment number.
    pub ack: u32,
    /// The window it announces, not scaled.
    pub window: u16,
    /// Its payload, in bytes: up to 64 KiB in a super-frame.
    pub len: u32,
    /// The window scale option of a SYN.
    pub window_scale: Option<u8>,
}

/// What comes of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// It passes.
    Fine,
    /// It passes, and from now on the flow lives so long without packets.
    Timeout(Duration),
    /// It is none of the flow's, and changed nothing.
    Drop(DropReason),
    /// It begins a new connection between the same ports: the flow is over, and this packet the first one of
    /// another (RFC 6191; RFC 9293, 3.6.1).
    Reopen,
}

/// The state of a flow.
#[derive(Clone, Copy, Debug)]
pub struct Tracker(State);

#[derive(Clone, Copy, Debug)]
enum State {
    Tcp(Connection),
    /// A protocol whose only state is whether there was an answer.
    Datagrams {
        answered: bool,
    },
}

// What a flow has room for: see `portcullis-pipeline`.
const _: () = assert!(size_of::<Tracker>() <= 28);

impl Tracker {
    /// A connection that begins with this segment, and its first timeout. With `pickup` it may have begun
    /// elsewhere: before the gateway's start, or on another way.
    ///
    /// # Errors
    /// [`DropReason::TcpInvalid`] for flags that no segment has, [`DropReason::TcpNoConnection`] for a segment that
    /// opens nothing.
    pub fn open_tcp(
        first: &Segment,
        pickup: bool,
        timeouts: &Timeouts,
    ) -> Result<(Self, Duration), DropReason> {
        let (connection, timeout) = Connection::open(first, pickup, timeouts)?;
        Ok((Self(State::Tcp(connection)), timeout))
    }

    const UNANSWERED: Self = Self(State::Datagrams { answered: false });

    /// A UDP flow, and its first timeout.
    #[must_use]
    pub const fn open_udp(timeouts: &Timeouts) -> (Self, Duration) {
        (Self::UNANSWERED, timeouts.udp)
    }

    /// An ICMP query's flow, and its first timeout.
    #[must_use]
    pub const fn open_icmp(timeouts: &Timeouts) -> (Self, Duration) {
        (Self::UNANSWERED, timeouts.icmp)
    }

    /// Any other flow, and its first timeout.
    #[must_use]
    pub const fn open_other(timeouts: &Timeouts) -> (Self, Duration) {
        (Self::UNANSWERED, timeouts.other)
    }

    /// Whether a segment with these flags is nothing but data or an acknowledgment on an open connection.
    #[inline(always)]
    #[must_use]
    pub const fn is_plain_data(&self, flags: Flags) -> bool {
        match &self.0 {
            State::Tcp(connection) => connection.is_plain_data(flags),
            State::Datagrams { .. } => false,
        }
    }

    /// What a further TCP segment comes to.
    #[inline(always)]
    pub fn segment(&mut self, side: Side, segment: &Segment, timeouts: &Timeouts) -> Step {
        match &mut self.0 {
            State::Tcp(connection) => connection.segment(side, segment, timeouts),
            State::Datagrams { .. } => Step::Drop(DropReason::TcpInvalid),
        }
    }

    /// Takes note of a further packet of another protocol. Its timeout is that of the first, answered or not.
    #[inline(always)]
    pub fn datagram(&mut self, side: Side) {
        if let State::Datagrams { answered } = &mut self.0 {
            *answered |= side == Side::Reply;
        }
    }

    /// Whether the flow is more than an attempt of one side.
    #[must_use]
    pub const fn is_established(&self) -> bool {
        match &self.0 {
            State::Tcp(connection) => connection.is_established(),
            State::Datagrams { answered } => *answered,
        }
    }

    /// Whether an ICMP error may be about a segment with this sequence number that `sender` sent (RFC 5927, 4.1): it
    /// was sent, and may not have arrived yet. True of protocols that have none.
    #[must_use]
    pub fn may_be_in_flight(&self, sender: Side, seq: u32) -> bool {
        match &self.0 {
            State::Tcp(connection) => connection.may_be_in_flight(sender, seq),
            State::Datagrams { .. } => true,
        }
    }

    /// The state's name.
    #[must_use]
    pub const fn state_name(&self) -> &'static str {
        match &self.0 {
            State::Tcp(connection) => connection.state_name(),
            State::Datagrams { answered: false } => "one-way",
            State::Datagrams { answered: true } => "two-way",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_is_established_by_its_first_answer() {
        let timeouts = Timeouts::default();
        let (mut flow, timeout) = Tracker::open_udp(&timeouts);
        assert_eq!((timeout, flow.state_name()), (timeouts.udp, "one-way"));
        flow.datagram(Side::Original);
        assert!(!flow.is_established());
        flow.datagram(Side::Reply);
        assert_eq!((flow.is_established(), flow.state_name()), (true, "two-way"));
        flow.datagram(Side::Original);
        assert!(flow.is_established());
    }

    #[test]
    fn each_protocol_has_its_timeout() {
        let timeouts = Timeouts::default();
        assert_eq!(Tracker::open_icmp(&timeouts).1, Duration::from_secs(60));
        assert_eq!(Tracker::open_other(&timeouts).1, Duration::from_secs(600));
    }
}
