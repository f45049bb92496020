//! A worker on real devices: what it costs when idle, how soon it wakes, and that it allocates
//! nothing.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use portcullis_drivers::af_packet::{AfPacket, AfPacketConfig, Member};
use portcullis_drivers::{Port, PortState, PortStatus};
use portcullis_packet::{BATCH, IfIndex, Packet, Pool, PoolLimits};

use crate::gateway::{Gateway, LAN, Threads, WAN, WAN_HOST, datagram};
use crate::namespace::Namespace;
use crate::wait_until;

/// A gateway in `middle`, and a port at the far end of each of its devices.
struct World {
    gateway: Gateway,
    lan: AfPacket,
    wan: AfPacket,
    pool: Pool,
    lan_status: Arc<PortStatus>,
    middle: Namespace,
    hosts: Namespace,
}

impl World {
    fn new(threads: Threads) -> Self {
        let (middle, hosts) = (Namespace::new("gw"), Namespace::new("hosts"));
        middle.veth("lan", &hosts, "lan-host");
        middle.veth("wan", &hosts, "wan-host");
        let ports = [(LAN, "lan"), (WAN, "wan")]
            .map(|(interface, device)| Box::new(port(&middle, interface, device)));
        let lan_status = Arc::clone(ports[0].status());
        let ports = ports.into_iter().map(|port| port as Box<dyn Port>).collect();
        // Its threads are in the namespace of its devices, as those of a real one.
        let gateway = middle.run(|| Gateway::start(threads, ports, true));
        let (lan, wan) = (port(&hosts, LAN, "lan-host"), port(&hosts, WAN, "wan-host"));
        let pool = Pool::new(PoolLimits { small: 256, large: 80 });
        Self { gateway, lan, wan, pool, lan_status, middle, hosts }
    }

    fn send(&mut self) {
        let mut batch = vec![Packet::from_bytes(&datagram(WAN_HOST, b"wake up"))];
        assert_eq!(self.lan.transmit(&mut batch, &mut self.pool), 1);
    }

    /// Sends so many batches, each when the one before it has arrived.
    fn exchange(&mut self, batches: usize) {
        let frame = datagram(WAN_HOST, b"steady");
        for _ in 0..batches {
            let mut batch: Vec<_> = (0..BATCH).map(|_| Packet::from_bytes(&frame)).collect();
            assert_eq!(self.lan.transmit(&mut batch, &mut self.pool), BATCH);
            let mut arrived = 0;
            wait_until("the batch arrives", || {
                arrived += self.receive();
                arrived == BATCH
            });
        }
    }

    fn receive(&mut self) -> usize {
        let mut into = Vec::new();
        self.wan.receive(&mut self.pool, &mut into, BATCH);
        let count = into.len();
        into.into_iter().for_each(|packet| self.pool.put(packet));
        count
    }
}

fn port(namespace: &Namespace, interface: IfIndex, device: &str) -> AfPacket {
    let config = AfPacketConfig::new(interface, device);
    let member = Member::group_of(NonZeroU16::MIN).next().expect("one");
    namespace.run(|| AfPacket::open(config, member, Arc::default())).expect("a port")
}

fn an_idle_worker_leaves_the_cpu_alone_and_wakes_at_once(threads: Threads) {
    let mut world = World::new(threads);
    world.send();
    wait_until("the first frame crosses", || world.receive() == 1);

    let sleeps = |gateway: &Gateway| gateway.io.sleeps.get() + gateway.pipeline.sleeps.get();
    let before = sleeps(&world.gateway);
    std::thread::sleep(Duration::from_secs(1));
    let slept = sleeps(&world.gateway) - before;
    // Each sleep ends with some 20 us of work at most: this is under 0.2 % of a core.
    assert!(slept < 100, "woke {slept} times in a second without traffic");
    assert!(slept > 5, "{slept}: is it asleep at all?");

    let mut delays: Vec<_> = (0..21)
        .map(|_| {
            // Long enough for both threads to fall asleep.
            std::thread::sleep(Duration::from_millis(5));
            let sent = Instant::now();
            world.send();
            while world.receive() == 0 {
                assert!(sent.elapsed() < Duration::from_secs(5), "the frame never came");
                std::thread::yield_now();
            }
            sent.elapsed()
        })
        .collect();
    delays.sort_unstable();
    // The median: on a machine shared with others some single wake-ups are late.
    let median = delays[delays.len() / 2];
    assert!(median < Duration::from_millis(1), "{delays:?}");
}

fn forwarding_and_sleeping_allocate_nothing(threads: Threads) {
    let mut world = World::new(threads);
    world.exchange(20);
    let counter = world.gateway.allocations;
    let (before, slept) = (counter.load(Ordering::Relaxed), world.gateway.io.sleeps.get());
    world.exchange(300);
    let made = counter.load(Ordering::Relaxed) - before;
    assert_eq!(made, 0, "for {} packets", 300 * BATCH);
    assert!(world.gateway.io.sleeps.get() > slept, "sleeping was not tried");
    let least = if threads == Threads::One { 1 } else { 2 };
    assert!(before >= least, "not every thread's allocations are counted");
}

fn a_device_that_disappears_and_comes_back_disturbs_nobody(threads: Threads) {
    let mut world = World::new(threads);
    world.exchange(1);
    let sleeps = world.gateway.io.sleeps.get();
    world.middle.ip(&format!("link set dev lan netns {}", world.hosts.name()));
    wait_until("the port is gone", || world.lan_status.state() == PortState::Gone);
    std::thread::sleep(Duration::from_millis(500));
    let slept = world.gateway.io.sleeps.get() - sleeps;
    assert!(slept < 100, "woke {slept} times for a device that is not there");
    world.hosts.ip(&format!("link set dev lan netns {}", world.middle.name()));
    world.middle.ip("link set dev lan up");
    wait_until("the port is up again", || world.lan_status.state() == PortState::Up);
    wait_until("the other end notices", || {
        world.lan.maintain();
        world.lan.status().state() == PortState::Up
    });
    world.exchange(1);
}

on_one_thread_and_on_two! {
    an_idle_worker_leaves_the_cpu_alone_and_wakes_at_once
    forwarding_and_sleeping_allocate_nothing
    a_device_that_disappears_and_comes_back_disturbs_nobody
}
