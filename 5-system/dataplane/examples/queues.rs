//! What it costs to hand a batch from one thread to another and get it back, by different queues:
//! `cargo run --release -p portcullis-dataplane --example queues`.
//!
//! Two threads, on CPU 0 and 1 where there are two. One sends `Vec`s of 32 handles (8 bytes each,
//! as packets are), the other takes each, adds to every handle and sends the `Vec` back, so that the same `Vec`s go
//! round as between an I/O thread and its pipeline. In the last row each batch is a new `Vec`. Printed are
//! nanoseconds per batch there and back: median and tenth percentile of many short runs, the queues taking turns.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Instant;

use crossbeam_queue::ArrayQueue;
use portcullis_dataplane::{Doorbell, ring};
use portcullis_os::cpus::{CpuId, CpuSet};

const BATCH: usize = 32;
const IN_FLIGHT: usize = 16;
const ROUNDS: usize = 20_000;
const RUNS: usize = 51;

type Batch = Vec<u64>;

/// Sends a batch if there is room, gives it back if not.
trait Out: Send {
    fn send(&mut self, batch: Batch) -> Result<(), Batch>;
}

/// Takes a batch if there is one.
trait In: Send {
    fn take(&mut self) -> Option<Batch>;
}

impl Out for portcullis_dataplane::Sender<Batch> {
    fn send(&mut self, batch: Batch) -> Result<(), Batch> {
        Self::send(self, batch)
    }
}

impl In for portcullis_dataplane::Receiver<Batch> {
    fn take(&mut self) -> Option<Batch> {
        Self::take(self)
    }
}

impl Out for SyncSender<Batch> {
    fn send(&mut self, batch: Batch) -> Result<(), Batch> {
        self.try_send(batch).map_err(|error| match error {
            std::sync::mpsc::TrySendError::Full(batch)
            | std::sync::mpsc::TrySendError::Disconnected(batch) => batch,
        })
    }
}

impl In for Receiver<Batch> {
    fn take(&mut self) -> Option<Batch> {
        self.try_recv().ok()
    }
}

impl Out for Arc<ArrayQueue<Batch>> {
    fn send(&mut self, batch: Batch) -> Result<(), Batch> {
        self.push(batch)
    }
}

impl In for Arc<ArrayQueue<Batch>> {
    fn take(&mut self) -> Option<Batch> {
        self.pop()
    }
}

impl Out for kanal::Sender<Batch> {
    fn send(&mut self, batch: Batch) -> Result<(), Batch> {
        let mut batch = Some(batch);
        match self.try_send_option(&mut batch) {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(batch.unwrap_or_default()),
        }
    }
}

impl In for kanal::Receiver<Batch> {
    fn take(&mut self) -> Option<Batch> {
        self.try_recv().ok().flatten()
    }
}

type Ends = (Box<dyn Out>, Box<dyn In>);

fn ends(name: &str) -> Ends {
    match name {
        "std sync_channel" => {
            let (out, into) = sync_channel(IN_FLIGHT);
            (Box::new(out), Box::new(into))
        }
        "crossbeam ArrayQueue" => {
            let queue = Arc::new(ArrayQueue::new(IN_FLIGHT));
            (Box::new(Arc::clone(&queue)), Box::new(queue))
        }
        "kanal" => {
            let (out, into) = kanal::bounded(IN_FLIGHT);
            (Box::new(out), Box::new(into))
        }
        _ => {
            let doorbell = Doorbell::new().expect("a doorbell");
            let (out, into) = ring(IN_FLIGHT, &doorbell);
            (Box::new(out), Box::new(into))
        }
    }
}

const NAMES: [&str; 5] = [
    "rtrb with a doorbell (ours)",
    "crossbeam ArrayQueue",
    "std sync_channel",
    "kanal",
    "rtrb, a new Vec per batch",
];

fn pin(cpu: u16) {
    // On a machine with one CPU both share it, and the figures say so.
    let _ = CpuSet::single(CpuId(cpu)).pin_this_thread();
}

/// Nanoseconds per batch, there and back.
fn run(name: &str) -> f64 {
    let anew = name.contains("new Vec");
    let (mut out, mut work) = ends(name);
    let (mut done, mut back) = ends(name);
    let worker = std::thread::spawn(move || {
        pin(1);
        for _ in 0..ROUNDS {
            let mut batch = loop {
                match work.take() {
                    Some(batch) => break batch,
                    None => std::hint::spin_loop(),
                }
            };
            batch.iter_mut().for_each(|handle| *handle += 1);
            while let Err(refused) = done.send(batch) {
                batch = refused;
            }
        }
    });
    let mut spares: Vec<Batch> = (0..IN_FLIGHT).map(|_| vec![0; BATCH]).collect();
    let (mut sent, mut returned) = (0, 0);
    let start = Instant::now();
    while returned < ROUNDS {
        if sent < ROUNDS
            && let Some(batch) = spares.pop()
        {
            let batch = if anew { vec![0; BATCH] } else { batch };
            match out.send(batch) {
                Ok(()) => sent += 1,
                Err(refused) => spares.push(refused),
            }
        }
        if let Some(batch) = back.take() {
            returned += 1;
            spares.push(batch);
        }
    }
    let nanos = start.elapsed().as_nanos() as f64 / ROUNDS as f64;
    worker.join().expect("no panic");
    nanos
}

fn main() {
    pin(0);
    let mut figures: [Vec<f64>; NAMES.len()] = Default::default();
    for _ in 0..RUNS {
        for (name, figures) in NAMES.iter().zip(&mut figures) {
            figures.push(run(name));
        }
    }
    println!("{:<28} {:>8} {:>8}   ns per batch of {BATCH}, there and back", "", "median", "p10");
    for (name, figures) in NAMES.iter().zip(&mut figures) {
        figures.sort_by(f64::total_cmp);
        println!("{name:<28} {:>8.0} {:>8.0}", figures[RUNS / 2], figures[RUNS / 10]);
    }
}
