//! What goes round between the I/O thread and the pipeline thread of one worker.
//!
//! ```text
//!            work                    done
//!   I/O ─────────────► pipeline ─────────────► I/O        batches of frames from the ports
//!
//!           empties                  extra
//!   I/O ─────────────► pipeline ─────────────► I/O        frames of taps, frames that waited
//! ```
//!
//! There are as many `Vec`s in the first circle as are asked for, [`EXTRAS`] in the second, and each ring
//! holds all of its circle: so no send can fail, nobody waits for room, and with no `Vec` at hand
//! the I/O thread receives nothing more until the pipeline is through with one.

use std::io;

use portcullis_packet::{BATCH, Packet};

use crate::{Doorbell, Receiver, Sender, ring};

/// `Vec`s between ports and pipeline: what a burst may fill before frames wait in the devices, and what is worked on between two
/// awakenings.
pub const BATCHES: usize = 16;

/// So many are enough between threads that both poll on CPUs of their own. More would only be more packets on their way, whose
/// lines take more of the caches.
pub const FEW_BATCHES: usize = 4;

/// `Vec`s for what does not come from a port.
pub const EXTRAS: usize = 4;

/// The I/O thread's end.
#[derive(Debug)]
pub struct IoEnd {
    pub(crate) doorbell: Doorbell,
    pub(crate) work: Sender<Vec<Packet>>,
    pub(crate) done: Receiver<Vec<Packet>>,
    pub(crate) extra: Receiver<Vec<Packet>>,
    pub(crate) empties: Sender<Vec<Packet>>,
    /// Empty `Vec`s of the first circle.
    pub(crate) spares: Vec<Vec<Packet>>,
    /// How many there are in it.
    batches: usize,
}

/// The pipeline thread's end.
#[derive(Debug)]
pub struct PipelineEnd {
    pub(crate) doorbell: Doorbell,
    pub(crate) work: Receiver<Vec<Packet>>,
    pub(crate) done: Sender<Vec<Packet>>,
    pub(crate) extra: Sender<Vec<Packet>>,
    pub(crate) empties: Receiver<Vec<Packet>>,
    /// Empty `Vec`s of the second circle.
    pub(crate) spares: Vec<Vec<Packet>>,
}

/// The two ends of a worker of two threads, with so many batches going round: [`BATCHES`] or [`FEW_BATCHES`].
///
/// # Errors
/// If the process has no file descriptor left for a doorbell.
pub fn exchange(batches: usize) -> io::Result<(IoEnd, PipelineEnd)> {
    Ok(between(Doorbell::new()?, Doorbell::new()?, batches))
}

/// The two ends of a worker of one thread ([`IoLoop::run_to_completion`](crate::IoLoop::run_to_completion)), which sleeps on one
/// doorbell.
///
/// # Errors
/// If the process has no file descriptor left for a doorbell.
pub fn exchange_on_one_thread() -> io::Result<(IoEnd, PipelineEnd)> {
    let doorbell = Doorbell::new()?;
    Ok(between(doorbell.same(), doorbell, BATCHES))
}

fn between(io: Doorbell, pipeline: Doorbell, batches: usize) -> (IoEnd, PipelineEnd) {
    let (work_in, work_out) = ring(batches, &pipeline);
    let (done_in, done_out) = ring(batches, &io);
    let (extra_in, extra_out) = ring(EXTRAS, &io);
    let (empties_in, empties_out) = ring(EXTRAS, &pipeline);
    let vecs = |count| (0..count).map(|_| Vec::with_capacity(BATCH)).collect();
    let io = IoEnd {
        doorbell: io,
        work: work_in,
        done: done_out,
        extra: extra_out,
        empties: empties_in,
        spares: vecs(batches),
        batches,
    };
    let pipeline = PipelineEnd {
        doorbell: pipeline,
        work: work_out,
        done: done_in,
        extra: extra_in,
        empties: empties_out,
        spares: vecs(EXTRAS),
    };
    (io, pipeline)
}

impl IoEnd {
    /// What wakes the I/O thread, for whoever asks it to stop.
    #[must_use]
    pub const fn doorbell(&self) -> &Doorbell {
        &self.doorbell
    }

    /// Whether the pipeline has given back all it was sent.
    pub(crate) const fn is_all_home(&self) -> bool {
        self.spares.len() == self.batches
    }
}

impl PipelineEnd {
    /// What wakes the pipeline, for those that have something for it beside batches: the trap
    /// thread's frames, a new snapshot.
    #[must_use]
    pub const fn doorbell(&self) -> &Doorbell {
        &self.doorbell
    }
}
