//! Two hosts with a gateway between them, in virtual time.
//!
//! ```text
//! host A ──link── lan  gateway  wan ──link── host B
//!                        │ ▲
//!                        ▼ │
//!                  kernel stand-in
//! ```

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use portcullis_packet::{IfIndex, Instant, Mac, Packet, Verdict};

use crate::gateway::{Gateway, LAN, WAN, arrived};
use crate::host::Host;
use crate::kernel::{Kernel, Reaction};
use crate::link::{Damage, Link, Quality};

pub(crate) const A_MAC: Mac = Mac([2, 0, 0, 0, 0, 0xa]);
pub(crate) const B_MAC: Mac = Mac([2, 0, 0, 0, 0, 0xb]);

/// Whose turn it is when a frame arrives.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Place {
    Host(Side),
    Gateway(Side),
}

/// Which end, and which interface of the gateway.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Side {
    A,
    B,
}

impl Side {
    fn of(interface: IfIndex) -> Self {
        match interface {
            LAN => Self::A,
            WAN => Self::B,
            other => panic!("no host is behind interface {other:?}"),
        }
    }

    fn interface(self) -> IfIndex {
        match self {
            Self::A => LAN,
            Self::B => WAN,
        }
    }
}

/// A frame on its way; ordered by time, then by when it was sent.
type Event = Reverse<(Instant, u64, Place, Vec<u8>)>;

pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) a: Host,
    pub(crate) b: Host,
    pub(crate) gateway: Gateway,
    pub(crate) kernel: Kernel,
    /// Frames as they reached each host, for somebody else's parser.
    pub(crate) reached: Vec<(Side, Vec<u8>)>,
    /// From and to each host.
    links: [[Link; 2]; 2],
    flying: BinaryHeap<Event>,
    sent: u64,
    wake_gateway: Option<Instant>,
}

impl World {
    /// All links of this quality, whose mischief depends on the seed alone.
    pub(crate) fn new(quality: Quality, seed: u64) -> Self {
        let link = |n: u64| Link::new(quality, seed.wrapping_mul(4).wrapping_add(n));
        Self {
            now: Instant(1_000_000_000),
            a: Host::new(
                A_MAC,
                1500,
                &["10.0.0.2/24", "2001:db8:1::2/64"],
                &["10.0.0.1", "2001:db8:1::1"],
            ),
            b: Host::new(
                B_MAC,
                1500,
                &["192.0.2.2/24", "2001:db8:2::2/64"],
                &["192.0.2.1", "2001:db8:2::1"],
            ),
            gateway: Gateway::new(),
            kernel: Kernel::default(),
            reached: vec![],
            links: [[link(0), link(1)], [link(2), link(3)]],
            flying: BinaryHeap::new(),
            sent: 0,
            wake_gateway: None,
        }
    }

    /// What the links did to the frames, all together.
    pub(crate) fn damage(&self) -> Damage {
        let mut sum = Damage::default();
        for link in self.links.iter().flatten() {
            sum.lost += link.damage.lost;
            sum.doubled += link.damage.doubled;
            sum.late += link.damage.late;
            sum.damaged += link.damage.damaged;
        }
        sum
    }

    /// Lets the world go on until `done` says so.
    ///
    /// # Panics
    /// If it does not within `limit`, or nothing is left to happen.
    pub(crate) fn run_until(&mut self, limit: Duration, mut done: impl FnMut(&mut Self) -> bool) {
        let end = self.now + limit;
        loop {
            self.poll_hosts();
            if done(self) {
                return;
            }
            let next = self.next_event().expect("something left to happen");
            assert!(next <= end, "not done after {limit:?}: {:?}", self.gateway.counters);
            self.now = self.now.max(next);
            self.arrivals();
            self.tick_gateway();
        }
    }

    /// Lets this much time pass.
    pub(crate) fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            self.poll_hosts();
            match self.next_event().filter(|&next| next <= end) {
                Some(next) => self.now = self.now.max(next),
                None => break,
            }
            self.arrivals();
            self.tick_gateway();
        }
        self.now = end;
    }

    /// Puts a frame on the wire from a host, beside what the host itself sends.
    pub(crate) fn send_from(&mut self, side: Side, frame: Vec<u8>) {
        self.carry(Place::Host(side), frame);
    }

    fn next_event(&mut self) -> Option<Instant> {
        let now = self.now;
        let flying = self.flying.peek().map(|Reverse((at, ..))| *at);
        let hosts = [self.a.poll_at(now), self.b.poll_at(now)];
        [flying, self.wake_gateway, hosts[0], hosts[1]].into_iter().flatten().min()
    }

    fn poll_hosts(&mut self) {
        for side in [Side::A, Side::B] {
            let now = self.now;
            for frame in self.host(side).poll(now) {
                self.carry(Place::Host(side), frame);
            }
        }
    }

    fn host(&mut self, side: Side) -> &mut Host {
        match side {
            Side::A => &mut self.a,
            Side::B => &mut self.b,
        }
    }

    fn carry(&mut self, from: Place, frame: Vec<u8>) {
        let (link, to) = match from {
            Place::Host(side) => (&mut self.links[side as usize][0], Place::Gateway(side)),
            Place::Gateway(side) => (&mut self.links[side as usize][1], Place::Host(side)),
        };
        for (at, frame) in link.carry(self.now, frame) {
            self.sent += 1;
            self.flying.push(Reverse((at, self.sent, to, frame)));
        }
    }

    /// Everything that arrives now: at the gateway in one batch.
    fn arrivals(&mut self) {
        let mut batch = vec![];
        while let Some(Reverse((at, ..))) = self.flying.peek()
            && *at <= self.now
            && let Some(Reverse((_, _, place, frame))) = self.flying.pop()
        {
            match place {
                Place::Host(side) => {
                    self.reached.push((side, frame.clone()));
                    self.host(side).arrive(frame);
                }
                Place::Gateway(side) => batch.push(arrived(side.interface(), &frame)),
            }
        }
        if !batch.is_empty() {
            let batch = self.gateway.process(self.now, batch);
            self.departures(batch);
            self.ask_kernel();
        }
    }

    fn tick_gateway(&mut self) {
        let mut batch = vec![];
        let Gateway { worker, snapshot, outbox, .. } = &mut self.gateway;
        self.wake_gateway = worker.tick(snapshot, self.now, &mut batch, outbox);
        self.departures(batch);
        self.ask_kernel();
    }

    fn departures(&mut self, batch: Vec<Packet>) {
        for packet in batch {
            match packet.meta().verdict {
                Verdict::Transmit => {
                    let side = Side::of(packet.meta().tx_if);
                    self.carry(Place::Gateway(side), packet.data().to_vec());
                }
                Verdict::Drop(_) | Verdict::Replaced => {}
                Verdict::Pending | Verdict::Punt(_) | Verdict::Hold | Verdict::Again => {
                    panic!("left in the batch: {packet:?} {:?}", packet.meta());
                }
            }
        }
    }

    /// Punts and questions go to the kernel; what it learns and sends comes back.
    fn ask_kernel(&mut self) {
        for packet in std::mem::take(&mut self.gateway.outbox.punts) {
            let on = packet.meta().rx_if;
            let interface = self.gateway.snapshot.interface(on).expect("an interface of ours");
            let Reaction { answer, learnt } = self.kernel.take(&packet, interface);
            if let Some((address, mac)) = learnt {
                self.gateway.learn(on, address, mac);
                // A new snapshot may release packets.
                self.wake_gateway = Some(self.now);
            }
            if let Some(answer) = answer {
                self.inject(on, &answer);
            }
        }
        for awaited in std::mem::take(&mut self.gateway.outbox.resolve) {
            let interface = self.gateway.snapshot.interface(awaited.interface);
            let question = Kernel::ask(&awaited, interface.expect("an interface of ours"));
            self.inject(awaited.interface, &question);
        }
    }

    fn inject(&mut self, on: IfIndex, frame: &[u8]) {
        let mut packet = Packet::from_bytes(frame);
        packet.meta_mut().tx_if = on;
        let mut batch = vec![packet];
        let Gateway { worker, snapshot, .. } = &mut self.gateway;
        worker.inject(snapshot, &mut batch, self.now);
        self.departures(batch);
    }
}
