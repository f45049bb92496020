//! The plan: a pair of CPUs for each worker, and some for the rest.

use super::cores::{Pair, pairs, ranked};
use crate::cpus::{CpuId, CpuSet};
use crate::topology::Topology;

/// How near the two threads of a worker are to each other.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Pairing {
    /// Two CPUs of one core.
    Siblings,
    /// Two cores of one NUMA node.
    Cores,
    /// One CPU for both.
    OneCpu,
}

/// Where the threads of one worker run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WorkerCpus {
    /// The pipeline thread's CPU.
    pub pipeline: CpuId,
    /// The I/O thread's CPU.
    pub io: CpuId,
    /// How near they are.
    pub pairing: Pairing,
    /// Whether a thread that polls without a pause would keep another thread of a worker from
    /// running: both are on one CPU, or another worker is there too.
    pub shared: bool,
}

/// Where all threads run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// A place for each worker.
    pub workers: Vec<WorkerCpus>,
    /// For the trap thread, the manager and control. These CPUs are not isolated, and no worker's
    /// if there are enough.
    pub housekeeping: CpuSet,
    pub(super) on_isolated: bool,
}

/// No plan can be made.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PlanError {
    /// None of the CPUs asked for can be had.
    #[error("none of CPUs {allowed} can be used: this process may run on {usable}")]
    NoCpus {
        /// What was asked for.
        allowed: CpuSet,
        /// What there is.
        usable: CpuSet,
    },
    /// A gateway without workers forwards nothing.
    #[error("a gateway needs at least one worker")]
    NoWorkers,
}

/// The CPUs for workers if nobody says which: the isolated ones and their siblings, if those carry
/// a pair, else all.
#[must_use]
pub fn default_cpus(topology: &Topology) -> CpuSet {
    let isolated = topology.isolated();
    let with_siblings: CpuSet = isolated
        .iter()
        .filter_map(|id| topology.cpu(id))
        .flat_map(|cpu| cpu.siblings.iter())
        .filter(|&id| topology.usable().contains(id))
        .collect();
    let carries = !isolated.is_empty() && !pairs(topology, &with_siblings).is_empty();
    if carries { with_siblings } else { topology.usable().clone() }
}

/// Places `workers` workers on the CPUs of `allowed`; without a number, as many as the CPUs
/// carry, with a core left over for the rest if there are several.
///
/// # Errors
/// If there is nowhere to run at all.
pub fn plan(
    topology: &Topology,
    allowed: &CpuSet,
    workers: Option<usize>,
) -> Result<Plan, PlanError> {
    let usable = topology.usable();
    let mine = allowed.intersection(usable);
    if mine.is_empty() {
        let (allowed, usable) = (allowed.clone(), usable.clone());
        return Err(PlanError::NoCpus { allowed, usable });
    }
    let pairs = pairs(topology, &mine);
    let workers = match workers {
        Some(0) => return Err(PlanError::NoWorkers),
        Some(workers) => workers,
        None => carried(topology, &pairs),
    };
    let workers = place(topology, &mine, &pairs, workers);
    let used = workers.iter().flat_map(|worker| [worker.pipeline, worker.io]).collect();
    let isolated = topology.isolated();
    let on_isolated = workers.iter().all(|worker| isolated.contains(worker.pipeline));
    Ok(Plan { housekeeping: housekeeping(topology, &used), workers, on_isolated })
}

/// How many workers the CPUs carry: one per pair, but where that would leave no CPU to the rest
/// of the gateway, one less.
fn carried(topology: &Topology, pairs: &[Pair]) -> usize {
    let used: CpuSet = pairs.iter().flat_map(|pair| [pair.pipeline, pair.io]).collect();
    let free = topology.usable().difference(&topology.isolated()).difference(&used);
    if free.is_empty() { pairs.len().saturating_sub(1).max(1) } else { pairs.len().max(1) }
}

fn place(topology: &Topology, mine: &CpuSet, pairs: &[Pair], workers: usize) -> Vec<WorkerCpus> {
    // Each worker has a CPU at least, as long as there are enough; what is left over makes pairs.
    let spare = mine.len().saturating_sub(workers);
    let mut places: Vec<_> =
        pairs.iter().take(spare.min(workers)).map(|&pair| WorkerCpus::pair(pair)).collect();
    let used: CpuSet = places.iter().flat_map(|worker| [worker.pipeline, worker.io]).collect();
    let single = ranked(topology, &mine.difference(&used));
    let missing = workers.saturating_sub(places.len());
    places.extend(single.iter().cycle().take(missing).map(|cpu| WorkerCpus::one(cpu.id)));
    places
}

impl WorkerCpus {
    fn pair(pair: Pair) -> Self {
        let pairing = if pair.siblings { Pairing::Siblings } else { Pairing::Cores };
        Self { pipeline: pair.pipeline, io: pair.io, pairing, shared: false }
    }

    fn one(cpu: CpuId) -> Self {
        Self { pipeline: cpu, io: cpu, pairing: Pairing::OneCpu, shared: true }
    }
}

fn housekeeping(topology: &Topology, used: &CpuSet) -> CpuSet {
    let usable = topology.usable();
    let common = usable.difference(&topology.isolated());
    [common.difference(used), common, usable.difference(used)]
        .into_iter()
        .find(|cpus| !cpus.is_empty())
        .unwrap_or_else(|| usable.clone())
}
