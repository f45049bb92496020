//! Bursts and single frames, timed.

use std::time::{Duration, Instant};

use portcullis_packet::{Offload, Packet, Pool};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::time::{ClockId, clock_gettime};

use crate::{Receive, Send};

const ROUNDS: usize = 401;

/// Medians, in nanoseconds per frame.
pub(crate) struct Figures {
    pub(crate) send: u64,
    pub(crate) receive: u64,
}

fn cpu_time() -> u64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec.cast_unsigned() * 1_000_000_000 + now.tv_nsec.cast_unsigned()
}

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values[values.len() / 2]
}

fn fill(batch: &mut Vec<Packet>, pool: &mut Pool, bytes: &[u8], offload: Offload) {
    let mut packet = pool.take(bytes.len()).expect("enough buffers");
    assert!(packet.set_len(bytes.len()));
    packet.data_mut().copy_from_slice(bytes);
    packet.meta_mut().offload = offload;
    batch.push(packet);
}

/// Sends bursts and receives them.
pub(crate) fn bursts(
    bytes: &[u8],
    offload: Offload,
    burst: usize,
    sender: &mut dyn Send,
    receiver: &mut dyn Receive,
    pool: &mut Pool,
) -> Figures {
    let (mut out, mut into) = (Vec::with_capacity(burst), Vec::with_capacity(2 * burst));
    let (mut send, mut receive) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        (0..burst).for_each(|_| fill(&mut out, pool, bytes, offload));
        let start = cpu_time();
        sender.send(&mut out, pool);
        let sent = cpu_time();
        let mut spent = 0;
        let end = Instant::now() + Duration::from_secs(2);
        while into.len() < burst {
            let before = cpu_time();
            let had = into.len();
            receiver.receive(pool, &mut into);
            if into.len() > had {
                spent += cpu_time() - before;
            } else {
                assert!(Instant::now() < end, "{} of {burst} frames arrived", into.len());
                std::thread::yield_now();
            }
        }
        for packet in into.drain(..) {
            assert_eq!(packet.len(), bytes.len());
            pool.put(packet);
        }
        send.push((sent - start) / burst as u64);
        receive.push(spent / burst as u64);
    }
    Figures { send: median(send), receive: median(receive) }
}

/// Sends single frames to a receiver that sleeps: median and worst delay in microseconds.
pub(crate) fn first_after_idle(
    bytes: &[u8],
    offload: Offload,
    sender: &mut dyn Send,
    receiver: &mut dyn Receive,
    pool: &mut Pool,
) -> (u64, u64) {
    let (mut out, mut into) = (Vec::new(), Vec::new());
    let mut delays: Vec<_> = (0..101)
        .map(|_| {
            std::thread::sleep(Duration::from_millis(20));
            fill(&mut out, pool, bytes, offload);
            let start = Instant::now();
            sender.send(&mut out, pool);
            while into.is_empty() {
                let limit = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
                poll(&mut [PollFd::from_borrowed_fd(receiver.fd(), PollFlags::IN)], Some(&limit))
                    .expect("poll");
                receiver.receive(pool, &mut into);
            }
            let delay = start.elapsed();
            into.drain(..).for_each(|packet| pool.put(packet));
            delay.as_micros() as u64
        })
        .collect();
    delays.sort_unstable();
    (delays[delays.len() / 2], delays[delays.len() - 1])
}
