//! The plan: a pair of CPUs for each worker, and some for the rest.

use super::cores::{Pair, pairs, ranked, spread};
use crate::cpus::{CpuId, CpuSet};
use crate::topology::Topology;

/// How many threads a worker has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum WorkerThreads {
    /// One, for pipeline and I/O.
    One,
    /// One for the pipeline and one for I/O.
    #[default]
    Two,
}

/// How near the two threads of a worker are to each other.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Pairing {
    /// Two CPUs of one core.
    Siblings,
    /// Two cores of one NUMA node.
    Cores,
    /// One CPU for both.
    OneCpu,
    /// They are one thread.
    OneThread,
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
    /// running: two are on one CPU.
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

/// The CPUs for workers if nobody says which: the isolated ones, with their siblings where a worker has two threads, if
/// those carry a worker, else all.
#[must_use]
pub fn default_cpus(topology: &Topology, threads: WorkerThreads) -> CpuSet {
    let isolated = topology.isolated();
    if threads == WorkerThreads::One {
        return if isolated.is_empty() { topology.usable().clone() } else { isolated };
    }
    let cores = with_siblings(topology, isolated.iter());
    let carries = !isolated.is_empty() && !pairs(topology, &cores).is_empty();
    if carries { cores } else { topology.usable().clone() }
}

/// The usable CPUs of the cores of these.
fn with_siblings(topology: &Topology, cpus: impl Iterator<Item = CpuId>) -> CpuSet {
    cpus.filter_map(|id| topology.cpu(id))
        .flat_map(|cpu| cpu.siblings.iter())
        .filter(|&id| topology.usable().contains(id))
        .collect()
}

/// Places `workers` workers of so many threads on the CPUs of `allowed`; without a number, as many as the
/// CPUs carry, with a core left over for the rest if there are several.
///
/// # Errors
/// If there is nowhere to run at all.
pub fn plan(
    topology: &Topology,
    allowed: &CpuSet,
    workers: Option<usize>,
    threads: WorkerThreads,
) -> Result<Plan, PlanError> {
    let usable = topology.usable();
    let mine = allowed.intersection(usable);
    if mine.is_empty() {
        let (allowed, usable) = (allowed.clone(), usable.clone());
        return Err(PlanError::NoCpus { allowed, usable });
    }
    if workers == Some(0) {
        return Err(PlanError::NoWorkers);
    }
    let workers = match threads {
        WorkerThreads::Two => {
            let pairs = pairs(topology, &mine);
            let used = pairs.iter().flat_map(|pair| [pair.pipeline, pair.io]).collect();
            let carried = || carried(topology, pairs.len(), &used);
            place(topology, &mine, &pairs, workers.unwrap_or_else(carried))
        }
        WorkerThreads::One => {
            let (cpus, cores) = spread(topology, &mine);
            let used = with_siblings(topology, cpus.iter().copied());
            place_alone(&cpus, workers.unwrap_or_else(|| carried(topology, cores, &used)))
        }
    };
    let used = workers.iter().flat_map(|worker| [worker.pipeline, worker.io]).collect();
    let isolated = topology.isolated();
    let on_isolated = workers.iter().all(|worker| isolated.contains(worker.pipeline));
    Ok(Plan { housekeeping: housekeeping(topology, &used), workers, on_isolated })
}

/// How many workers the CPUs carry: one for each place, but where that would leave no CPU to the rest
/// of the gateway, one less.
fn carried(topology: &Topology, places: usize, used: &CpuSet) -> usize {
    let free = topology.usable().difference(&topology.isolated()).difference(used);
    if free.is_empty() { places.saturating_sub(1).max(1) } else { places.max(1) }
}

/// Workers of one thread, on these CPUs in their order.
fn place_alone(cpus: &[CpuId], workers: usize) -> Vec<WorkerCpus> {
    let crowded = |at: usize| at + cpus.len() < workers || at >= cpus.len();
    let places = cpus.iter().cycle().take(workers).enumerate();
    places.map(|(at, &cpu)| WorkerCpus::alone(cpu, crowded(at))).collect()
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

    fn alone(cpu: CpuId, shared: bool) -> Self {
        Self { pipeline: cpu, io: cpu, pairing: Pairing::OneThread, shared }
    }
}

fn housekeeping(topology: &Topology, used: &CpuSet) -> CpuSet {
    let usable = topology.usable();
    let common = usable.difference(&topology.isolated());
    let cores = with_siblings(topology, used.iter());
    [common.difference(&cores), common.difference(used), common, usable.difference(used)]
        .into_iter()
        .find(|cpus| !cpus.is_empty())
        .unwrap_or_else(|| usable.clone())
}
