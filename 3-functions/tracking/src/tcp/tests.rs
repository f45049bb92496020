use proptest::prelude::*;

use super::*;
use crate::tracker::Tracker;

const TIMEOUTS: Timeouts = Timeouts {
    tcp_established: Duration::from_secs(7440),
    tcp_transitory: Duration::from_secs(240),
    udp: Duration::from_secs(300),
    icmp: Duration::from_secs(60),
    other: Duration::from_secs(600),
};
const ESTABLISHED: Step = Step::Timeout(TIMEOUTS.tcp_established);
const TRANSITORY: Step = Step::Timeout(TIMEOUTS.tcp_transitory);
const SYN_ACK: Flags = Flags::SYN.with(Flags::ACK);
const FIN_ACK: Flags = Flags::FIN.with(Flags::ACK);
const RST_ACK: Flags = Flags::RST.with(Flags::ACK);

fn segment(flags: Flags, seq: u32, ack: u32, len: u32) -> Segment {
    Segment { flags, seq, ack, window: 1000, len, window_scale: None }
}

/// A connection of which the initiator's next byte is 101, the responder's 501.
fn established() -> Tracker {
    let (mut flow, _) =
        Tracker::open_tcp(&segment(Flags::SYN, 100, 0, 0), false, &TIMEOUTS).expect("opens");
    assert_eq!(flow.segment(Side::Reply, &segment(SYN_ACK, 500, 101, 0), &TIMEOUTS), TRANSITORY);
    assert_eq!(
        flow.segment(Side::Original, &segment(Flags::ACK, 101, 501, 0), &TIMEOUTS),
        ESTABLISHED
    );
    assert!(flow.is_established());
    flow
}

#[test]
fn rfc5382_req5_a_connection_has_the_long_timeout_only_while_it_is_open() {
    let (flow, timeout) =
        Tracker::open_tcp(&segment(Flags::SYN, 100, 0, 0), false, &TIMEOUTS).expect("opens");
    assert_eq!((timeout, flow.state_name()), (TIMEOUTS.tcp_transitory, "syn-sent"));
    let mut flow = established();
    let say = |flow: &mut Tracker, side, s: Segment| flow.segment(side, &s, &TIMEOUTS);
    assert_eq!(say(&mut flow, Side::Original, segment(FIN_ACK, 101, 501, 0)), ESTABLISHED);
    assert_eq!(flow.state_name(), "fin-wait");
    assert_eq!(say(&mut flow, Side::Reply, segment(Flags::ACK, 501, 102, 10)), ESTABLISHED);
    assert_eq!(say(&mut flow, Side::Reply, segment(FIN_ACK, 511, 102, 0)), TRANSITORY);
    assert_eq!(flow.state_name(), "closing");
    assert_eq!(say(&mut flow, Side::Original, segment(Flags::ACK, 102, 512, 0)), TRANSITORY);
    assert_eq!(flow.state_name(), "time-wait");
}

#[test]
fn rfc5382_req2_both_ends_may_open_at_once() {
    let (mut flow, _) =
        Tracker::open_tcp(&segment(Flags::SYN, 100, 0, 0), false, &TIMEOUTS).expect("opens");
    for (side, s) in [
        (Side::Reply, segment(Flags::SYN, 500, 0, 0)),
        (Side::Original, segment(SYN_ACK, 100, 501, 0)),
        (Side::Reply, segment(SYN_ACK, 500, 101, 0)),
        (Side::Original, segment(Flags::ACK, 101, 501, 0)),
    ] {
        assert!(!matches!(flow.segment(side, &s, &TIMEOUTS), Step::Drop(_)), "{s:?}");
    }
    assert!(flow.is_established());
}

#[test]
fn rfc7857_a_reset_keeps_the_flow_for_the_transitory_time() {
    let mut flow = established();
    let reset = segment(Flags::RST, 501, 0, 0);
    assert_eq!(flow.segment(Side::Reply, &reset, &TIMEOUTS), TRANSITORY);
    assert_eq!(flow.state_name(), "closed");
}

#[test]
fn rfc5961_a_reset_elsewhere_in_the_window_passes_and_changes_nothing() {
    let mut flow = established();
    let near = segment(Flags::RST, 600, 0, 0);
    assert_eq!(flow.segment(Side::Reply, &near, &TIMEOUTS), Step::Fine);
    let far = segment(Flags::RST, 501 + 100_000, 0, 0);
    assert_eq!(flow.segment(Side::Reply, &far, &TIMEOUTS), OUTSIDE);
    assert!(flow.is_established());
}

#[test]
fn a_refused_connection_is_closed_by_a_reset_that_acknowledges_its_syn() {
    let open =
        || Tracker::open_tcp(&segment(Flags::SYN, 100, 0, 0), false, &TIMEOUTS).expect("opens").0;
    let mut flow = open();
    let guessed = segment(RST_ACK, 0, 4711, 0);
    assert_eq!(flow.segment(Side::Reply, &guessed, &TIMEOUTS), OUTSIDE);
    let refused = segment(RST_ACK, 0, 101, 0);
    assert_eq!(flow.segment(Side::Reply, &refused, &TIMEOUTS), TRANSITORY);
    // And may be tried again at once.
    let syn = segment(Flags::SYN, 900, 0, 0);
    assert_eq!(flow.segment(Side::Original, &syn, &TIMEOUTS), Step::Reopen);
}

#[test]
fn rfc5961_a_syn_in_the_middle_passes_and_changes_nothing() {
    let mut flow = established();
    let syn = segment(Flags::SYN, 9_999_999, 0, 0);
    assert_eq!(flow.segment(Side::Original, &syn, &TIMEOUTS), Step::Fine);
    assert!(flow.is_established());
    let data = segment(Flags::ACK, 101, 501, 100);
    assert_eq!(flow.segment(Side::Original, &data, &TIMEOUTS), Step::Fine);
}

#[test]
fn impossible_flags_are_refused_first_and_later() {
    for flags in [0x00, 0x01, 0x03, 0x06, 0x13, 0x15, 0x16, 0x29, 0x3f, 0x08, 0x20] {
        let s = segment(Flags(flags), 1, 1, 0);
        let refused = Tracker::open_tcp(&s, true, &TIMEOUTS).err();
        assert_eq!(refused, Some(DropReason::TcpInvalid), "{flags:#x}");
        let step = established().segment(Side::Original, &s, &TIMEOUTS);
        assert_eq!(step, Step::Drop(DropReason::TcpInvalid), "{flags:#x}");
    }
}

#[test]
fn what_opens_nothing_is_no_connection() {
    for (flags, pickup) in [(Flags::ACK, false), (Flags::RST, true), (SYN_ACK, true)] {
        let s = segment(flags, 1, 1, 0);
        let refused = Tracker::open_tcp(&s, pickup, &TIMEOUTS).err();
        assert_eq!(refused, Some(DropReason::TcpNoConnection));
    }
}

#[test]
fn what_lies_outside_of_the_window_is_dropped_and_changes_nothing() {
    for (seq, ack, len) in [
        (101 + 1000, 501, 1),                   // beyond what was allowed
        (101u32.wrapping_sub(70_000), 501, 10), // long gone
        (101, 502, 10),                         // acknowledges what was not sent
        (101, 501u32.wrapping_sub(70_000), 10), // acknowledges long ago
        (0x8000_0000, 501, 10),
    ] {
        let mut flow = established();
        let s = segment(Flags::ACK, seq, ack, len);
        assert_eq!(flow.segment(Side::Original, &s, &TIMEOUTS), OUTSIDE, "{seq} {ack}");
        let good = segment(Flags::ACK, 101, 501, 10);
        assert_eq!(flow.segment(Side::Original, &good, &TIMEOUTS), Step::Fine);
    }
}

#[test]
fn keep_alives_and_window_probes_are_within_the_window() {
    let mut flow = established();
    let keep_alive = segment(Flags::ACK, 100, 501, 0);
    assert_eq!(flow.segment(Side::Original, &keep_alive, &TIMEOUTS), Step::Fine);
    let closed = Segment { window: 0, ..segment(Flags::ACK, 501, 101, 0) };
    assert_eq!(flow.segment(Side::Reply, &closed, &TIMEOUTS), Step::Fine);
    let probe = segment(Flags::ACK, 101, 501, 1);
    assert_eq!(flow.segment(Side::Original, &probe, &TIMEOUTS), Step::Fine);
}

#[test]
fn windows_are_scaled_only_if_both_ends_offer_it() {
    for (theirs, passes) in [(Some(7), true), (None, false)] {
        let syn = Segment { window_scale: Some(7), ..segment(Flags::SYN, 100, 0, 0) };
        let (mut flow, _) = Tracker::open_tcp(&syn, false, &TIMEOUTS).expect("opens");
        let answer = Segment { window_scale: theirs, ..segment(SYN_ACK, 500, 101, 0) };
        flow.segment(Side::Reply, &answer, &TIMEOUTS);
        flow.segment(Side::Original, &segment(Flags::ACK, 101, 501, 0), &TIMEOUTS);
        let big = segment(Flags::ACK, 501, 101, 60_000);
        let step = flow.segment(Side::Reply, &big, &TIMEOUTS);
        assert_eq!(step == Step::Fine, passes, "{theirs:?}");
    }
}

#[test]
fn a_connection_is_taken_up_in_the_middle_and_learnt_from_both_ends() {
    let data = segment(Flags::ACK, 5000, 9000, 100);
    let (mut flow, timeout) = Tracker::open_tcp(&data, true, &TIMEOUTS).expect("picked up");
    assert_eq!(timeout, TIMEOUTS.tcp_transitory);
    assert!(!flow.is_established());
    let answer = segment(Flags::ACK, 9000, 5100, 50);
    assert_eq!(flow.segment(Side::Reply, &answer, &TIMEOUTS), ESTABLISHED);
    assert!(flow.is_established());
    let next = segment(Flags::ACK, 5100, 9050, 100);
    assert_eq!(flow.segment(Side::Original, &next, &TIMEOUTS), Step::Fine);
}

#[test]
fn an_error_can_only_be_about_what_is_on_its_way() {
    let mut flow = established();
    flow.segment(Side::Original, &segment(Flags::ACK, 101, 501, 500), &TIMEOUTS);
    for (seq, may) in [(101, true), (600, true), (602, false), (0x7000_0000, false)] {
        assert_eq!(flow.may_be_in_flight(Side::Original, seq), may, "{seq}");
    }
}

/// One end of a connection, as far as numbers go.
#[derive(Clone, Copy, Debug)]
struct Peer {
    next: u32,
    expected: u32,
    window: u16,
    scale: u8,
    /// The furthest it may send.
    limit: u32,
}

proptest! {
    /// Two ends that keep to the rules, with loss, repetition and reordering in between.
    #[test]
    fn no_segment_of_a_real_conversation_is_dropped(
        start in any::<(u32, u32)>(),
        scale in (0u8..=14, 0u8..=14),
        steps in prop::collection::vec((any::<bool>(), 0u32..70_000, 0u8..8, any::<u16>()), 1..200),
    ) {
        let syn = Segment { seq: start.0, window_scale: Some(scale.0), ..segment(Flags::SYN, 0, 0, 0) };
        let (mut flow, _) = Tracker::open_tcp(&syn, false, &TIMEOUTS).expect("opens");
        let answer = Segment {
            seq: start.1,
            ack: start.0.wrapping_add(1),
            window_scale: Some(scale.1),
            ..segment(SYN_ACK, 0, 0, 0)
        };
        prop_assert_eq!(flow.segment(Side::Reply, &answer, &TIMEOUTS), TRANSITORY);
        let (a0, b0) = (start.0.wrapping_add(1), start.1.wrapping_add(1));
        let mut ends = [
            Peer { next: a0, expected: b0, window: 1000, scale: scale.0, limit: a0.wrapping_add(1000) },
            Peer { next: b0, expected: a0, window: 1000, scale: scale.1, limit: b0.wrapping_add(1000) },
        ];
        let third = segment(Flags::ACK, a0, b0, 0);
        prop_assert_eq!(flow.segment(Side::Original, &third, &TIMEOUTS), ESTABLISHED);
        let mut sent: Vec<(Side, Segment)> = vec![(Side::Original, third)];
        for (from_a, wanted, event, window) in steps {
            let (me, side) = if from_a { (0, Side::Original) } else { (1, Side::Reply) };
            // Now and then what a side sent last arrives once more.
            if event == 0 {
                if let Some(&(_, old)) = sent.iter().rev().find(|(sender, _)| *sender == side) {
                    let step = flow.segment(side, &old, &TIMEOUTS);
                    prop_assert!(!matches!(step, Step::Drop(_)), "again {:?}: {:?}", old, step);
                }
                continue;
            }
            let peer = ends[me];
            let room = peer.limit.wrapping_sub(peer.next);
            let len = if (room as i32) <= 0 { 0 } else { wanted.min(room).min(65_000) };
            let data = Segment { window, ..segment(Flags::ACK, peer.next, peer.expected, len) };
            // An end never takes back what it has allowed (RFC 9293, 3.8.6).
            let allowed = peer.expected.wrapping_add(u32::from(window) << peer.scale);
            let other = &mut ends[1 - me];
            if after(other.limit, allowed) {
                continue;
            }
            let step = flow.segment(side, &data, &TIMEOUTS);
            prop_assert!(step == Step::Fine, "{:?} {:?}: {:?}", side, data, step);
            sent.push((side, data));
            other.limit = allowed;
            ends[me].next = peer.next.wrapping_add(len);
            ends[me].window = window;
            // Lost on the far side of the gateway: not expected there yet, and sent again.
            if event == 1 {
                ends[me].next = peer.next;
            } else {
                ends[1 - me].expected = ends[me].next;
            }
        }
    }

    #[test]
    fn a_guessed_segment_is_nearly_always_outside(seq: u32, ack: u32) {
        let mut flow = established();
        let s = segment(Flags::ACK, seq, ack, 10);
        let near = |a: u32, b: u32| a.wrapping_sub(b).wrapping_add(0x2_0000) < 0x4_0000;
        if !(near(seq, 101) && near(ack, 501)) {
            prop_assert_eq!(flow.segment(Side::Original, &s, &TIMEOUTS), OUTSIDE);
        }
    }
}
