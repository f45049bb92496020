//! Full tables, and more announcements than the sockets can hold.

use std::fmt::Write;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use portcullis_manager::{Resolve, Status};
use portcullis_packet::IfIndex;
use portcullis_routing::NextHop;
use rustix::event::{EventfdFlags, eventfd};

use super::support::{Options, World, unresolved};

/// Commands for `count` routes over 16 routers.
fn commands(verb: &str, count: u32) -> String {
    (0..count).fold(String::new(), |mut commands, number| {
        let [_, a, b, c] = number.to_be_bytes();
        let router = number % 16 + 2;
        let _ = writeln!(commands, "route {verb} 20.{a}.{b}.{c}/32 via 10.0.0.{router}");
        commands
    })
}

/// The same for IPv6.
fn commands6(verb: &str, count: u32) -> String {
    (0..count).fold(String::new(), |mut commands, number| {
        let (high, low) = (number >> 16, number & 0xffff);
        let router = number % 16 + 2;
        let _ =
            writeln!(commands, "route {verb} 2001:{high:x}:{low:x}::/48 via 2001:db8::{router:x}");
        commands
    })
}

#[test]
fn a_hundred_thousand_routes_arrive_and_leave_completely() {
    const COUNT: u32 = 100_000;
    let mut world = World::start(Options::default());
    let before = settled(&mut world);
    let start = Instant::now();
    world.ground.batch(&commands("add", COUNT));
    let sent = start.elapsed();
    world.eventually("all are in the FIB", |world| {
        world.status().fib4 == before.fib4 + COUNT as usize
    });
    let added = start.elapsed();
    world.expect("20.1.134.159", unresolved(0, "10.0.0.17"));
    world.ground.batch(&commands("del", COUNT));
    world.eventually("none is left", |world| {
        let status = world.status();
        status.fib4 == before.fib4 && status.routes4 == before.routes4
    });
    world.expect("20.1.134.159", NextHop::NoRoute);
    println!(
        "ip sent {COUNT} routes in {sent:?}; they were in the FIB after {added:?}; {:?}",
        world.status()
    );
}

#[test]
fn lost_announcements_are_made_good_by_reading_everything_again() {
    const COUNT: u32 = 20_000;
    let (gate, resolve) = Gate::new();
    let receive_buffer = 256 << 10;
    let resolve = Some(resolve);
    let mut world = World::start(Options { receive_buffer, resolve, ..Options::default() });
    let before = settled(&mut world);
    for (verb, count) in [("add", COUNT as usize), ("del", 0)] {
        gate.while_closed(|| world.ground.batch(&commands(verb, COUNT)));
        world.eventually("the FIB is right", |world| world.status().fib4 == before.fib4 + count);
    }
    let status = world.status();
    assert!(status.listened.overruns > 0, "nothing was lost: {status:?}");
    assert!(status.resyncs > 1);
}

/// Prints rates; they mean something in a release build on a machine that does nothing else.
#[test]
#[ignore = "a measurement"]
fn rates() {
    const COUNT: u32 = 200_000;
    let (gate, resolve) = Gate::new();
    let receive_buffer = 1 << 30;
    let resolve = Some(resolve);
    let mut world = World::start(Options { receive_buffer, resolve, ..Options::default() });
    let before = settled(&mut world);
    let v4: fn(&str, u32) -> String = commands;
    for (family, commands) in [("IPv4", v4), ("IPv6", commands6)] {
        for verb in ["add", "del"] {
            gate.while_closed(|| world.ground.batch(&commands(verb, COUNT)));
            let start = Instant::now();
            let wanted = before.fib4 + before.fib6 + if verb == "add" { COUNT as usize } else { 0 };
            world.eventually("the FIBs are right", |world| {
                let status = world.status();
                status.fib4 + status.fib6 == wanted
            });
            let took = start.elapsed();
            let rate = f64::from(COUNT) / took.as_secs_f64();
            println!("{family} {verb}: {COUNT} announced routes in {took:?}, {rate:.0}/s");
        }
    }
    let mut latencies: Vec<_> = (0..100)
        .map(|number| {
            world.ground.in_vpc(&["route", "add", &format!("21.0.0.{number}"), "via", "10.0.0.2"]);
            world.expect(&format!("21.0.0.{number}"), unresolved(0, "10.0.0.2"))
        })
        .collect();
    latencies.sort_unstable();
    println!(
        "a single route, from the return of `ip`, looked for every 0.5 ms: median {:?}, worst {:?}",
        latencies[50], latencies[99]
    );
    world.ground.batch(&commands("add", 1_000_000));
    let ground = world.stop();
    let start = Instant::now();
    let world = World::start_on(ground, Options::default());
    println!("a start with {:?} took {:?}", world.status(), start.elapsed());
}

/// Stops the manager where it takes requests of workers.
struct Gate {
    ring: OwnedFd,
    gate: Arc<Mutex<()>>,
}

impl Gate {
    fn new() -> (Self, Resolve) {
        let doorbell = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC).unwrap();
        let ring = doorbell.try_clone().unwrap();
        let gate = Arc::new(Mutex::new(()));
        let at_gate = Arc::clone(&gate);
        let pop = move || {
            drop(at_gate.lock());
            None
        };
        (Self { ring, gate }, Resolve { queue: Box::new(pop), doorbell })
    }

    /// The manager can't read what the kernel says meanwhile.
    fn while_closed(&self, work: impl FnOnce()) {
        let closed = self.gate.lock().unwrap();
        rustix::io::write(&self.ring, &1_u64.to_ne_bytes()).unwrap();
        work();
        drop(closed);
    }
}

/// The state when the interface's own routes are in the FIB.
fn settled(world: &mut World) -> Status {
    let interface = IfIndex(0);
    world.expect("10.0.0.1", NextHop::Local);
    world.expect("10.0.0.77", NextHop::Attached { interface });
    world.expect("10.0.0.255", NextHop::Broadcast { interface });
    world.expect("2001:db8::1", NextHop::Local);
    world.expect("2001:db8::77", NextHop::Attached { interface });
    world.status()
}
