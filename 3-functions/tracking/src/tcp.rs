//! A TCP connection, seen from between its ends.
//!
//! Of each end three numbers are kept: the end of what it has sent, the end of what the other one allows it to send,
//! and the largest window it has announced. A segment is within the window if it does not go beyond
//! what the receiver allows, does not lie further back than the receiver's largest window, acknowledges nothing that
//! was not sent, and nothing that is older than a window. The bounds are generous by that one window, since what is
//! seen here is older or newer than what the ends know.

use std::time::Duration;

use portcullis_packet::DropReason;
use portcullis_wire::tcp::Flags;

use crate::timeouts::Timeouts;
use crate::tracker::{Segment, Side, Step};

/// The largest scale there is (RFC 7323, 2.3). What an end that was never seen to open scales by is not
/// known, and may be that.
const MAX_SCALE: u8 = 14;

/// A window so wide that everything passes: of an end that has not spoken yet.
const UNKNOWN_WINDOW: u32 = 0xffff << MAX_SCALE;

/// The flags that say what a segment does.
const DEED: Flags = Flags(0x17);
/// Flags with which a segment changes no state.
const PLAIN: Flags = Flags(Flags::SYN.0 | Flags::FIN.0 | Flags::RST.0 | Flags::ACK.0);

/// How far a connection is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
enum Phase {
    /// A SYN was seen from who begins.
    SynSent,
    /// Both have sent a SYN at once (RFC 9293, 3.5, figure 8).
    SimultaneousOpen,
    /// The SYN was answered with one.
    SynReceived,
    /// Both have acknowledged, or it was taken up in the middle.
    Established,
    /// One side has said that it sends no more.
    FinWait,
    /// Both have.
    Closing,
    /// Both have, and it was acknowledged.
    TimeWait,
    /// It was reset.
    Closed,
}

/// What one end has sent, and may send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct End {
    /// The sequence number behind the last byte it sent.
    end: u32,
    /// The sequence number up to which the other one lets it send.
    limit: u32,
    /// The largest window it has announced, in bytes, at least one.
    window: u32,
}

/// The state of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Connection {
    original: End,
    reply: End,
    phase: Phase,
    /// Scales of the two ends' windows: the original's in the upper half.
    scales: u8,
    flags: u8,
}

/// Nothing was seen of the responder yet.
const REPLY_UNSEEN: u8 = 1;
/// The initiator has sent a FIN.
const ORIGINAL_FIN: u8 = 2;
/// The responder has sent a FIN.
const REPLY_FIN: u8 = 4;
/// The connection was taken up in the middle: windows are not known for certain.
const PICKED_UP: u8 = 8;
/// The initiator's SYN offered scaling.
const SCALE_OFFERED: u8 = 16;

/// Whether one sequence number lies after another (RFC 9293, 3.4).
#[inline(always)]
const fn after(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) > 0
}

#[inline(always)]
const fn later(a: u32, b: u32) -> u32 {
    if after(a, b) { a } else { b }
}

/// The sequence number behind a segment: SYN and FIN count as a byte each.
#[inline(always)]
const fn end_of(segment: &Segment) -> u32 {
    let flags = segment.flags.0;
    let controls = (flags >> 1 & 1) as u32 + (flags & 1) as u32;
    segment.seq.wrapping_add(segment.len).wrapping_add(controls)
}

/// Whether the flags are some that TCP has: one of SYN, RST, FIN or none of them, and ACK but in a first SYN or a
/// reset.
const fn is_possible(flags: Flags) -> bool {
    let deed = flags.0 & DEED.0;
    matches!(
        Flags(deed),
        Flags::SYN | Flags::ACK | Flags::RST
            | Flags(0x12) // SYN, ACK
            | Flags(0x11) // FIN, ACK
            | Flags(0x14) // RST, ACK
    )
}

impl Connection {
    pub(crate) fn open(
        first: &Segment,
        pickup: bool,
        timeouts: &Timeouts,
    ) -> Result<(Self, Duration), DropReason> {
        if !is_possible(first.flags) {
            return Err(DropReason::TcpInvalid);
        }
        let is_syn = first.flags.0 & DEED.0 == Flags::SYN.0;
        let end = end_of(first);
        if is_syn {
            let window = u32::from(first.window).max(1);
            let scale = first.window_scale.unwrap_or(0).min(MAX_SCALE);
            let offered = if first.window_scale.is_some() { SCALE_OFFERED } else { 0 };
            let connection = Self {
                // Data in a SYN (RFC 7413) may go on before there is an answer.
                original: End { end, limit: end.wrapping_add(UNKNOWN_WINDOW), window },
                reply: End { end: 0, limit: 0, window: 1 },
                phase: Phase::SynSent,
                scales: scale << 4,
                flags: REPLY_UNSEEN | offered,
            };
            return Ok((connection, timeouts.tcp_transitory));
        }
        let opens = first.flags.contains(Flags::ACK)
            && !first.flags.contains(Flags::RST)
            && !first.flags.contains(Flags::SYN);
        if !pickup || !opens {
            return Err(DropReason::TcpNoConnection);
        }
        let window = u32::from(first.window) << MAX_SCALE;
        let connection = Self {
            original: End { end, limit: end.wrapping_add(UNKNOWN_WINDOW), window: window.max(1) },
            reply: End {
                end: first.ack,
                limit: first.ack.wrapping_add(window.max(1)),
                window: UNKNOWN_WINDOW,
            },
            phase: Phase::Established,
            scales: MAX_SCALE << 4 | MAX_SCALE,
            flags: PICKED_UP | REPLY_UNSEEN,
        };
        // Who knows whether the other end still knows of it: until it answers, it is an attempt.
        Ok((connection, timeouts.tcp_transitory))
    }

    #[inline(always)]
    pub(crate) const fn is_plain_data(&self, flags: Flags) -> bool {
        matches!(self.phase, Phase::Established)
            && flags.0 & PLAIN.0 == Flags::ACK.0
            && self.flags & REPLY_UNSEEN == 0
    }

    pub(crate) const fn is_established(&self) -> bool {
        matches!(self.phase, Phase::Established | Phase::FinWait) && self.flags & REPLY_UNSEEN == 0
    }

    pub(crate) const fn state_name(&self) -> &'static str {
        match self.phase {
            Phase::SynSent => "syn-sent",
            Phase::SimultaneousOpen => "simultaneous-open",
            Phase::SynReceived => "syn-received",
            Phase::Established => "established",
            Phase::FinWait => "fin-wait",
            Phase::Closing => "closing",
            Phase::TimeWait => "time-wait",
            Phase::Closed => "closed",
        }
    }

    pub(crate) fn may_be_in_flight(&self, sender: Side, seq: u32) -> bool {
        let (own, other) = match sender {
            Side::Original => (&self.original, &self.reply),
            Side::Reply => (&self.reply, &self.original),
        };
        if sender == Side::Reply && self.flags & REPLY_UNSEEN != 0 {
            return self.flags & PICKED_UP != 0;
        }
        // Between what may be unacknowledged and what was sent.
        let oldest = own.end.wrapping_sub(other.window.max(0x1_0000));
        !after(seq, own.end) && !after(oldest, seq)
    }

    /// The scale of an end's windows.
    #[inline(always)]
    const fn scale(&self, side: Side) -> u8 {
        match side {
            Side::Original => self.scales >> 4,
            Side::Reply => self.scales & 0xf,
        }
    }

    #[inline(always)]
    pub(crate) fn segment(&mut self, side: Side, segment: &Segment, timeouts: &Timeouts) -> Step {
        if self.is_plain_data(segment.flags) {
            if self.fits(side, segment) { Step::Fine } else { OUTSIDE }
        } else {
            self.turn(side, segment, timeouts)
        }
    }

    /// Whether a segment with an acknowledgment lies within both windows; if so, it is taken into account.
    #[inline(always)]
    fn fits(&mut self, side: Side, segment: &Segment) -> bool {
        let scale = self.scale(side);
        let (own, other) = match side {
            Side::Original => (&mut self.original, &mut self.reply),
            Side::Reply => (&mut self.reply, &mut self.original),
        };
        let end = end_of(segment);
        let is_inside = !after(end, own.limit)
            && !after(own.end.wrapping_sub(other.window), segment.seq)
            && !after(segment.ack, other.end)
            && !after(other.end.wrapping_sub(own.window.max(0x1_0000)), segment.ack);
        if !is_inside {
            return false;
        }
        let window = u32::from(segment.window) << scale;
        own.end = later(end, own.end);
        own.window = own.window.max(window);
        // A probe of a closed window is one byte (RFC 9293, 3.8.6.1).
        other.limit = later(segment.ack.wrapping_add(window.max(1)), other.limit);
        true
    }

    /// A segment that may change the state.
    #[inline(never)]
    fn turn(&mut self, side: Side, segment: &Segment, timeouts: &Timeouts) -> Step {
        if !is_possible(segment.flags) {
            return Step::Drop(DropReason::TcpInvalid);
        }
        let deed = segment.flags.0 & DEED.0;
        if deed & Flags::RST.0 != 0 {
            return self.reset(side, segment, timeouts);
        }
        if deed == Flags::SYN.0 {
            return self.syn(side, segment, timeouts);
        }
        if deed & Flags::SYN.0 != 0 {
            return self.syn_ack(side, segment, timeouts);
        }
        self.acknowledgment(side, segment, timeouts)
    }

    /// RFC 5961, 3.2: only a reset at exactly the expected place resets the connection. One elsewhere in the window
    /// passes, and its receiver asks back; it changes nothing here.
    fn reset(&mut self, side: Side, segment: &Segment, timeouts: &Timeouts) -> Step {
        let (own, other) = match side {
            Side::Original => (&self.original, &self.reply),
            Side::Reply => (&self.reply, &self.original),
        };
        let answers_syn = side == Side::Reply && self.flags & REPLY_UNSEEN != 0;
        let is_exact = if answers_syn {
            // A refused connection: it has no sequence number of its own, but must acknowledge the SYN.
            segment.flags.contains(Flags::ACK) && segment.ack == other.end
                || self.flags & PICKED_UP != 0
        } else {
            segment.seq == own.end
        };
        if is_exact {
            self.phase = Phase::Closed;
            // The mapping stays for a while (RFC 7857, 2.2): the other end may not have got it.
            return Step::Timeout(timeouts.tcp_transitory);
        }
        let is_inside = !answers_syn
            && !after(segment.seq, own.limit)
            && !after(own.end.wrapping_sub(other.window), segment.seq);
        if is_inside { Step::Fine } else { OUTSIDE }
    }

    fn syn(&mut self, side: Side, segment: &Segment, timeouts: &Timeouts) -> Step {
        match (self.phase, side) {
            // Sent once more, perhaps with another number after a crash.
            (Phase::SynSent, Side::Original) => {
                let end = end_of(segment);
                self.original.end = end;
                self.original.limit = end.wrapping_add(UNKNOWN_WINDOW);
                Step::Timeout(timeouts.tcp_transitory)
            }
            // RFC 5382, REQ-2a.
            (Phase::SynSent, Side::Reply) => {
                self.meet(segment);
                self.phase = Phase::SimultaneousOpen;
                Step::Timeout(timeouts.tcp_transitory)
            }
            (Phase::SimultaneousOpen | Phase::SynReceived, _) => Step::Fine,
            // RFC 9293, 3.6.1: only from who began before, or who was refused.
            (Phase::TimeWait | Phase::Closed, Side::Original) => Step::Reopen,
            (Phase::TimeWait | Phase::Closed, Side::Reply) => OUTSIDE,
            // RFC 5961, 4.2: passes, so that its receiver can ask back, and changes nothing.
            (Phase::Established | Phase::FinWait | Phase::Closing, _) => Step::Fine,
        }
    }

    /// The first that is heard of the responder.
    fn meet(&mut self, segment: &Segment) {
        let end = end_of(segment);
        let window = u32::from(segment.window).max(1);
        self.reply = End { end, limit: end.wrapping_add(self.original.window.max(1)), window };
        self.original.limit = self.original.end.wrapping_add(window);
        // Only if both offer it is there scaling (RFC 7323, 2.2).
        self.scales = match segment.window_scale {
            Some(scale) if self.flags & SCALE_OFFERED != 0 => {
                self.scales & 0xf0 | scale.min(MAX_SCALE)
            }
            _ => 0,
        };
        self.flags &= !REPLY_UNSEEN;
    }

    fn syn_ack(&mut self, side: Side, segment: &Segment, timeouts: &Timeouts) -> Step {
        match (self.phase, side) {
            (Phase::SynSent, Side::Reply) => {
                // Data of the SYN may be left unacknowledged (RFC 7413, 4.2).
                let oldest = self.original.end.wrapping_sub(0x1_0000);
                if after(segment.ack, self.original.end) || !after(segment.ack, oldest) {
                    return OUTSIDE;
                }
                self.meet(segment);
                self.original.limit = segment.ack.wrapping_add(u32::from(segment.window).max(1));
                self.phase = Phase::SynReceived;
                Step::Timeout(timeouts.tcp_transitory)
            }
            (Phase::SynSent, Side::Original) => Step::Drop(DropReason::TcpInvalid),
            // Sent once more; or the answers to a simultaneous open.
            (Phase::SimultaneousOpen | Phase::SynReceived, _) => {
                if !self.fits(side, segment) {
                    return OUTSIDE;
                }
                if self.phase == Phase::SimultaneousOpen && side == Side::Reply {
                    self.phase = Phase::SynReceived;
                }
                Step::Timeout(timeouts.tcp_transitory)
            }
            // An old one (RFC 9293, 3.5, figure 9); its receiver acknowledges or resets.
            (
                Phase::Established
                | Phase::FinWait
                | Phase::Closing
                | Phase::TimeWait
                | Phase::Closed,
                _,
            ) => Step::Fine,
        }
    }

    fn acknowledgment(&mut self, side: Side, segment: &Segment, timeouts: &Timeouts) -> Step {
        let unseen = self.flags & REPLY_UNSEEN != 0;
        if unseen && side == Side::Reply {
            if self.flags & PICKED_UP == 0 {
                // An answer to a SYN that is none: a connection that only one end remembers (RFC 9293, 3.5.1). The
                // initiator will reset it.
                return Step::Fine;
            }
            self.flags &= !REPLY_UNSEEN;
            self.learn(segment);
        } else if self.phase == Phase::Closed {
            return if self.fits(side, segment) { Step::Fine } else { OUTSIDE };
        } else if unseen && self.flags & PICKED_UP == 0 {
            // More of a SYN's data before there is an answer.
            return if after(end_of(segment), self.original.limit) { OUTSIDE } else { Step::Fine };
        } else if !self.fits(side, segment) {
            return OUTSIDE;
        }
        self.advance(side, segment, timeouts)
    }

    /// The first segment of the other end of a connection that was taken up in the middle.
    fn learn(&mut self, segment: &Segment) {
        let window = (u32::from(segment.window) << MAX_SCALE).max(1);
        let end = end_of(segment);
        self.reply.end = later(end, self.reply.end);
        self.reply.limit = later(end.wrapping_add(self.original.window), self.reply.limit);
        self.reply.window = window;
        self.original.limit = later(segment.ack.wrapping_add(window), self.original.limit);
    }

    /// What a segment within the windows changes.
    fn advance(&mut self, side: Side, segment: &Segment, timeouts: &Timeouts) -> Step {
        if segment.flags.contains(Flags::FIN) {
            self.flags |= match side {
                Side::Original => ORIGINAL_FIN,
                Side::Reply => REPLY_FIN,
            };
        }
        let fins = self.flags & (ORIGINAL_FIN | REPLY_FIN);
        let before = self.phase;
        self.phase = match before {
            Phase::SynReceived if side == Side::Original && fins == 0 => Phase::Established,
            // The responder's data does not establish anything that the initiator did not acknowledge.
            Phase::SynReceived | Phase::SynSent | Phase::SimultaneousOpen if fins == 0 => before,
            Phase::Closing if self.is_all_acknowledged(side, segment) => Phase::TimeWait,
            Phase::Closing | Phase::TimeWait | Phase::Closed => before,
            _ if fins == ORIGINAL_FIN | REPLY_FIN => Phase::Closing,
            _ if fins != 0 => Phase::FinWait,
            _ => Phase::Established,
        };
        match self.phase {
            // One side may still have much to say (RFC 5382, REQ-5: half closed is established).
            Phase::Established | Phase::FinWait if self.flags & REPLY_UNSEEN == 0 => {
                Step::Timeout(timeouts.tcp_established)
            }
            Phase::Established
            | Phase::FinWait
            | Phase::SynSent
            | Phase::SimultaneousOpen
            | Phase::SynReceived
            | Phase::Closing
            | Phase::TimeWait
            | Phase::Closed => Step::Timeout(timeouts.tcp_transitory),
        }
    }

    /// Whether a segment acknowledges all that the other end has sent, its FIN included.
    fn is_all_acknowledged(&self, side: Side, segment: &Segment) -> bool {
        let other = match side {
            Side::Original => &self.reply,
            Side::Reply => &self.original,
        };
        segment.ack == other.end
    }
}

const OUTSIDE: Step = Step::Drop(DropReason::TcpOutOfWindow);

#[cfg(test)]
mod tests;
