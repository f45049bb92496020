//! Full tables, and more announcements than the sockets can hold.

use std::fmt::Write;
use std::sync::{Arc, Mutex};

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

#[test]
fn a_hundred_thousand_routes_arrive_and_leave_completely() {
    const COUNT: u32 = 100_000;
    let mut world = World::start(Options::default());
    let before = settled(&mut world);
    let start = std::time::Instant::now();
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
    let doorbell = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC).unwrap();
    let ring = doorbell.try_clone().unwrap();
    let gate = Arc::new(Mutex::new(()));
    let at_gate = Arc::clone(&gate);
    let pop = move || {
        drop(at_gate.lock());
        None
    };
    let resolve = Some(Resolve { queue: Box::new(pop), doorbell });
    let receive_buffer = 256 << 10;
    let mut world = World::start(Options { receive_buffer, resolve, ..Options::default() });
    let before = settled(&mut world);
    for verb in ["add", "del"] {
        // The manager waits at the gate, and can't read what the kernel says.
        let closed = gate.lock().unwrap();
        rustix::io::write(&ring, &1_u64.to_ne_bytes()).unwrap();
        world.ground.batch(&commands(verb, COUNT));
        drop(closed);
        let count = if verb == "add" { COUNT as usize } else { 0 };
        world.eventually("the FIB is right", |world| world.status().fib4 == before.fib4 + count);
    }
    let status = world.status();
    assert!(status.listened.overruns > 0, "nothing was lost: {status:?}");
    assert!(status.resyncs > 1);
}

/// The state when the interface's own routes are in the FIB.
fn settled(world: &mut World) -> Status {
    let interface = IfIndex(0);
    world.expect("10.0.0.1", NextHop::Local);
    world.expect("10.0.0.77", NextHop::Attached { interface });
    world.expect("10.0.0.255", NextHop::Broadcast { interface });
    world.status()
}
