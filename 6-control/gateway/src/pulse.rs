//! Whether the workers get on.
//!
//! A thread that hangs ends nothing by itself. But each of these threads counts: what it does, or that
//! it slept. Even without any traffic I/O threads wake ten times a second, to look after their
//! ports, and pipeline threads twenty times. So one whose counters stand still for some seconds hangs.

use std::fmt;

use portcullis_os::placement::WorkerThreads;

use crate::counters::WorkerSet;

/// Looks without progress until a thread counts as hung. It may have to wait that long for a CPU.
const PATIENCE: u32 = 3;

/// The counters of all workers, as they were.
#[derive(Debug)]
pub(crate) struct Pulse {
    workers: Vec<WorkerSet>,
    threads: WorkerThreads,
    seen: Vec<Seen>,
}

#[derive(Clone, Copy, Default, Debug)]
struct Seen {
    count: u64,
    looks_without_progress: u32,
}

/// A thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Worker {
    Pipeline(usize),
    Io(usize),
    Both(usize),
}

impl fmt::Display for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pipeline(number) => write!(f, "pc-pipe-{number}"),
            Self::Io(number) => write!(f, "pc-io-{number}"),
            Self::Both(number) => write!(f, "pc-worker-{number}"),
        }
    }
}

impl Pulse {
    pub(crate) fn new(workers: Vec<WorkerSet>, threads: WorkerThreads) -> Self {
        let seen = vec![Seen::default(); workers.len() * 2];
        Self { workers, threads, seen }
    }

    /// Looks at all counters. Answers which threads hang. To be called every second or so.
    pub(crate) fn look(&mut self) -> Vec<Worker> {
        let threads = self.threads;
        let counts = self.workers.iter().enumerate().flat_map(|(number, worker)| {
            let (one, two) = match threads {
                WorkerThreads::One => ((Worker::Both(number), io(worker)), None),
                WorkerThreads::Two => (
                    (Worker::Pipeline(number), pipeline(worker)),
                    Some((Worker::Io(number), io(worker))),
                ),
            };
            std::iter::once(one).chain(two)
        });
        let looked = counts.zip(&mut self.seen).filter_map(|((worker, count), seen)| {
            let gets_on = std::mem::replace(&mut seen.count, count) != count;
            seen.looks_without_progress =
                if gets_on { 0 } else { seen.looks_without_progress.saturating_add(1) };
            (seen.looks_without_progress >= PATIENCE).then_some(worker)
        });
        looked.collect()
    }
}

fn pipeline(worker: &WorkerSet) -> u64 {
    let counters = &worker.pipeline;
    let work = [&counters.batches, &counters.injected, &counters.released];
    work.into_iter()
        .chain([&worker.pipeline_loop.sleeps])
        .map(|c| c.get())
        .fold(0, u64::wrapping_add)
}

fn io(worker: &WorkerSet) -> u64 {
    let counters = &worker.io_loop;
    let sent = worker.ports.iter().map(|port| port.counters.tx_packets.get());
    let own = [&counters.batches, &counters.waits, &counters.sleeps];
    own.into_iter().map(|c| c.get()).chain(sent).fold(0, u64::wrapping_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_whose_counters_stand_still_hangs_and_recovers_when_they_move() {
        let workers = vec![WorkerSet::default(), WorkerSet::default()];
        let mut pulse = Pulse::new(workers.clone(), WorkerThreads::Two);
        let look = |pulse: &mut Pulse, moves: &dyn Fn()| {
            workers.iter().for_each(|worker| worker.io_loop.sleeps.add(1));
            workers[0].pipeline.batches.add(1);
            moves();
            pulse.look()
        };
        for _ in 0..PATIENCE - 1 {
            assert_eq!(look(&mut pulse, &|| {}), []);
        }
        assert_eq!(look(&mut pulse, &|| {}), [Worker::Pipeline(1)]);
        assert_eq!(look(&mut pulse, &|| {}), [Worker::Pipeline(1)], "it still does");
        assert_eq!(look(&mut pulse, &|| workers[1].pipeline_loop.sleeps.add(1)), []);
    }

    #[test]
    fn an_io_thread_that_waits_for_its_pipeline_does_not_hang() {
        let worker = WorkerSet::default();
        let mut pulse = Pulse::new(vec![worker.clone()], WorkerThreads::Two);
        let mut hung = vec![];
        for _ in 0..PATIENCE {
            worker.io_loop.waits.add(1);
            hung = pulse.look();
        }
        assert_eq!(hung, [Worker::Pipeline(0)]);
    }

    #[test]
    fn a_worker_of_one_thread_hangs_as_a_whole() {
        let worker = WorkerSet::default();
        let mut pulse = Pulse::new(vec![worker.clone()], WorkerThreads::One);
        let hung = (0..PATIENCE).map(|_| pulse.look()).last();
        assert_eq!(hung, Some(vec![Worker::Both(0)]));
        worker.io_loop.batches.add(1);
        assert_eq!(pulse.look(), []);
    }
}
