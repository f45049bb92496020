//! What a packet costs in allocations: nothing.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

use portcullis_firewall::Action;
use portcullis_nat::NatSpec;
use portcullis_packet::{BATCH, DropReason, IfIndex, Instant, Packet, Verdict};
use portcullis_routing::NextHop;
use portcullis_wire::IpProtocol;
use portcullis_wire::build::{self, Frame, Tcp};

use crate::flows::setup::{
    B, EXTERNAL, INSIDE, OUTSIDE, Setup, forward, from_a as to, from_b, masquerade, rule, rules,
    seen,
};
use crate::gateway::{Gateway, LAN, WAN, arrived};
use crate::reasons::{A4, A6, NOW, a_to_b4, a_to_b6, acquainted, from_a};
use crate::world::{A_MAC, B_MAC};

/// The system's allocator, counting the calls of each thread for itself: tests run side by side.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // A thread that is ending has no counter any more, and nobody asks for it.
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: every call goes to the system's allocator unchanged; counting neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations() -> u64 {
    ALLOCATIONS.with(Cell::get)
}

/// The same frames again and again, in the same buffers: what an I/O thread does, without one.
struct Loop {
    gateway: Gateway,
    frames: Vec<(IfIndex, Vec<u8>)>,
    free: Vec<Packet>,
    batch: Vec<Packet>,
    now: Instant,
    /// Time between rounds.
    pause: Duration,
    /// The next frame's number.
    next: usize,
}

impl Loop {
    fn new(gateway: Gateway, frames: Vec<(IfIndex, Vec<u8>)>) -> Self {
        let free = (0..4 * BATCH).map(|_| arrived(LAN, &[0; 1514])).collect();
        let batch = Vec::with_capacity(4 * BATCH);
        Self { gateway, frames, free, batch, now: NOW, pause: Duration::from_millis(100), next: 0 }
    }

    /// Takes buffers, fills them, has them processed, and takes those home that come back.
    fn round(&mut self) {
        let from = self.next % self.frames.len();
        self.next += BATCH;
        for (on, frame) in self.frames.iter().cycle().skip(from).take(BATCH) {
            let mut packet = self.free.pop().expect("buffers come home");
            packet.reset();
            assert!(packet.set_len(frame.len()));
            packet.data_mut().copy_from_slice(frame);
            packet.meta_mut().rx_if = *on;
            self.batch.push(packet);
        }
        let Gateway { worker, snapshot, outbox, .. } = &mut self.gateway;
        worker.process(snapshot, &mut self.batch, self.now, outbox);
        worker.tick(snapshot, self.now, &mut self.batch, outbox);
        self.free.append(&mut self.batch);
        self.free.append(&mut outbox.punts);
        outbox.resolve.clear();
        self.now = self.now + self.pause;
    }

    /// Allocations in many rounds, once everything has grown to its size.
    fn allocations(&mut self) -> u64 {
        for _ in 0..50 {
            self.round();
        }
        let before = allocations();
        for _ in 0..200 {
            self.round();
        }
        allocations() - before
    }
}

#[test]
fn forwarding_a_packet_allocates_nothing() {
    let mut gateway = acquainted();
    let near = gateway.learn(WAN, [192, 0, 2, 3].into(), B_MAC);
    let other = gateway.learn(WAN, [192, 0, 2, 4].into(), B_MAC);
    let group = gateway.group(&[near, other]);
    gateway.route("203.0.113.0/24", group);
    let frames = vec![
        (LAN, a_to_b4().udp(1, 2, &[0; 18])),
        (LAN, a_to_b6().tcp(Tcp::data(1, 2, 3), &[0; 1000])),
        (LAN, from_a(Frame::v4(A4, [203, 0, 113, 9])).udp(1, 2, b"one of two ways")),
    ];
    let mut forwarding = Loop::new(gateway, frames);
    assert_eq!(forwarding.allocations(), 0);
    let counters = &forwarding.gateway.counters;
    assert_eq!(counters.ip4.packets.get() + counters.ip6.packets.get(), 250 * BATCH as u64);
}

#[test]
fn punting_answering_and_dropping_allocate_nothing() {
    let mut gateway = acquainted();
    gateway.route("198.51.100.0/24", NextHop::Blackhole);
    let frames = vec![
        (LAN, a_to_b4().hops(1).udp(1, 2, b"time exceeded")),
        (LAN, a_to_b6().hops(1).udp(1, 2, b"time exceeded")),
        (LAN, from_a(Frame::v4(A4, [203, 0, 113, 1])).udp(1, 2, b"no route")),
        (LAN, from_a(Frame::v4(A4, [198, 51, 100, 1])).udp(1, 2, b"a blackhole")),
        (LAN, from_a(Frame::v4(A4, [10, 0, 0, 1])).tcp(Tcp::syn(5000, 179), b"")),
        (LAN, build::arp_request(A_MAC, A4.into(), [10, 0, 0, 1].into())),
    ];
    let mut slow = Loop::new(gateway, frames);
    assert_eq!(slow.allocations(), 0);
    let counters = &slow.gateway.counters;
    assert!(
        counters.icmp_errors.get() > 100 && counters.drops.get(DropReason::RouteBlackhole) > 100
    );
    assert!(counters.punted.iter().map(|c| c.get()).sum::<u64>() > 100, "{counters:?}");
}

#[test]
fn holding_packets_and_giving_them_up_allocates_nothing() {
    let mut gateway = Gateway::new();
    gateway.learn(LAN, A4.into(), A_MAC);
    gateway.learn(LAN, A6.into(), A_MAC);
    let frames = (10..20)
        .map(|host| (LAN, from_a(Frame::v4(A4, [192, 0, 2, host])).udp(1, 2, b"who is there")))
        .collect();
    let mut holding = Loop::new(gateway, frames);
    // Packets that wait are not at hand: there must be enough for three seconds of them.
    holding.free.extend((0..2048).map(|_| arrived(LAN, &[0; 1514])));
    holding.free.reserve(4096);
    holding.batch.reserve(4096);
    assert_eq!(holding.allocations(), 0);
    let counters = &holding.gateway.counters;
    assert!(counters.held.get() > 1000 && counters.released.get() > 1000, "{counters:?}");
}

/// A stateful gateway, and how it counts.
fn stateful() -> Gateway {
    let nat = NatSpec {
        masquerades: vec![masquerade()],
        forwards: vec![forward()],
        ..NatSpec::default()
    };
    let mut web = rule("web", OUTSIDE, INSIDE);
    web.log = true;
    let accepted = rules(vec![rule("out", INSIDE, OUTSIDE), web, rule("within", INSIDE, INSIDE)]);
    Setup { nat, rules: Some(accepted), mss_clamp: true, ..Setup::default() }.gateway()
}

#[test]
fn packets_of_known_flows_translated_or_not_allocate_nothing() {
    let mut gateway = stateful();
    let query = to(B).udp(4000, 53, b"query");
    let port = seen(&gateway.pass(NOW, LAN, &query).sent(WAN)).src_port;
    let frames = vec![
        (LAN, query),
        (WAN, from_b(EXTERNAL).udp(53, port, b"answer")),
        (WAN, from_b(EXTERNAL).tcp(Tcp::data(7000, 8443, 1), b"forwarded")),
        (LAN, a_to_b6().udp(1, 2, b"not translated")),
        (LAN, to(EXTERNAL).udp(4000, port, b"to itself")),
    ];
    let mut hits = Loop::new(gateway, frames);
    assert_eq!(hits.allocations(), 0);
    let counters = &hits.gateway.counters;
    assert_eq!(counters.drops.total(), 0, "{counters:?}");
    assert!(counters.flows_opened.get() < 10, "{counters:?}");
}

#[test]
fn beginning_and_ending_flows_and_mappings_allocates_nothing() {
    // Each with a mapping; all of them have ended when their turn comes again.
    let frames = (1..=500).map(|port| (LAN, to(B).udp(port, 53, b"query"))).collect();
    let mut misses = Loop::new(stateful(), frames);
    misses.pause = Duration::from_secs(200);
    assert_eq!(misses.allocations(), 0);
    let counters = &misses.gateway.counters;
    assert!(counters.flows_opened.get() > 1000, "{counters:?}");
}

#[test]
fn rejections_fragments_and_errors_allocate_nothing() {
    let mut gateway = stateful();
    let query = to(B).udp(4000, 53, b"query");
    let out = gateway.pass(NOW, LAN, &query).sent(WAN);
    let mut refusing = rules(vec![rule("out", INSIDE, OUTSIDE)]);
    refusing.default = Action::Reject;
    refusing.log_default = true;
    let nat = NatSpec { masquerades: vec![masquerade()], ..NatSpec::default() };
    gateway.apply(Setup { nat, rules: Some(refusing), ..Setup::default() });
    let piece = |offset, more| to(B).identification(9).fragment(offset, more);
    let frames = vec![
        (LAN, query),
        (WAN, from_b(EXTERNAL).icmp(3, 1, [0; 4], &out[14..])),
        (WAN, from_b([10, 0, 0, 2]).udp(1, 2, b"refused")),
        (WAN, from_b([10, 0, 0, 2]).tcp(Tcp::syn(1, 2), b"")),
        (WAN, from_b(EXTERNAL).udp(1, 5000, b"to nobody")),
        (LAN, piece(56, false).raw(IpProtocol::UDP, &[0; 64])),
        (LAN, piece(0, true).udp(4000, 53, &[0; 48])),
        (LAN, to(B).identification(10).fragment(64, true).raw(IpProtocol::UDP, &[0; 64])),
        (WAN, build::arp_request(B_MAC, B.into(), EXTERNAL.into())),
    ];
    let mut slow = Loop::new(gateway, frames);
    slow.free.extend((0..2048).map(|_| arrived(LAN, &[0; 1514])));
    slow.free.reserve(4096);
    slow.batch.reserve(4096);
    assert_eq!(slow.allocations(), 0);
    let counters = &slow.gateway.counters;
    assert!(counters.resets.get() > 10 && counters.icmp_related.get() > 1000, "{counters:?}");
    assert!(counters.drops.get(DropReason::FirewallReject) > 1000, "{counters:?}");
    assert!(counters.drops.get(DropReason::FragmentTimeout) > 0, "{counters:?}");
}

#[test]
fn the_counter_counts() {
    let before = allocations();
    let packet = arrived(LAN, &[0; 60]);
    assert!(allocations() > before);
    assert_eq!(packet.meta().verdict, Verdict::Pending);
}
