//! What an idle gateway costs, and how it wakes up.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use portcullis_blackbox::{Forwarder, Lab, Pair, PairOptions, alone};

fn fast(lab: &Lab) -> Pair {
    let options = PairOptions { release: true, ..PairOptions::default() };
    Pair::with(lab, Forwarder::Portcullis, &options)
}

/// The CPU time that a process's threads have used.
fn cpu_time(process: u32) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).expect("the process runs");
    let used = tasks.flatten().filter_map(|task| {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(used.sum())
}

#[test]
fn an_idle_gateway_uses_less_than_a_twentieth_of_a_core() {
    let _alone = alone();
    let lab = Lab::quiet("an_idle_gateway_uses_less_than_a_twentieth_of_a_core");
    let mut pair = fast(&lab);
    let portcullis = pair.gateway.portcullis();
    let processes = [portcullis.pid(), portcullis.gateway_pid()];
    let used = || processes.iter().map(|&process| cpu_time(process)).sum::<Duration>();
    sleep(Duration::from_secs(1));
    let (before, start) = (used(), Instant::now());
    sleep(Duration::from_secs(4));
    let share = (used() - before).as_secs_f64() / start.elapsed().as_secs_f64();
    println!("idle: {:.2} % of a core", share * 100.0);
    assert!(share < 0.05, "{:.2} % of a core", share * 100.0);
}

#[test]
fn the_first_packet_after_a_pause_takes_less_than_a_millisecond() {
    let _alone = alone();
    let lab = Lab::quiet("the_first_packet_after_a_pause_takes_less_than_a_millisecond");
    let pair = fast(&lab);
    // A round trip crosses the gateway twice. A busy machine delays some; half must be in time.
    let ping = pair.near.ping("-c 7 -i 3 -W 1", "10.2.0.2");
    println!("after a pause: {:?}", ping.round_trips);
    assert_eq!(ping.received, 7, "{}", ping.said);
    assert!(ping.median() < Duration::from_millis(1), "{}", ping.said);
}
