//! Cores and pairs of CPUs, the best first.

use std::collections::BTreeMap;

use crate::cpus::{CpuId, CpuSet};
use crate::topology::{CoreKind, Cpu, NodeId, PackageId, Topology};

/// Two CPUs for one worker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Pair {
    pub(super) pipeline: CpuId,
    pub(super) io: CpuId,
    pub(super) siblings: bool,
}

/// What makes one CPU better than another; the least is best.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    not_isolated: bool,
    kind: CoreKind,
    /// The first CPU of a machine takes interrupts and whatever else has no place.
    boot_core: bool,
    package: PackageId,
    node: NodeId,
    core: CpuId,
    id: CpuId,
}

fn rank(topology: &Topology, cpu: &Cpu) -> Rank {
    let boot = topology.cpus().next().map(|cpu| cpu.id);
    Rank {
        not_isolated: !cpu.isolated,
        kind: cpu.kind,
        boot_core: boot.is_some_and(|boot| cpu.siblings.contains(boot)),
        package: cpu.package,
        node: cpu.node,
        core: cpu.siblings.iter().next().unwrap_or(cpu.id),
        id: cpu.id,
    }
}

/// The online CPUs among `allowed`, best first.
pub(super) fn ranked<'a>(topology: &'a Topology, allowed: &CpuSet) -> Vec<&'a Cpu> {
    let mut cpus: Vec<_> = allowed.iter().filter_map(|id| topology.cpu(id)).collect();
    cpus.sort_by_key(|cpu| rank(topology, cpu));
    cpus
}

/// The online CPUs among `allowed`: first the best one of each core, then the siblings of these. And of how many cores
/// they are.
pub(super) fn spread(topology: &Topology, allowed: &CpuSet) -> (Vec<CpuId>, usize) {
    let mut taken = CpuSet::new();
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for cpu in ranked(topology, allowed) {
        let has_sibling = cpu.siblings.iter().any(|sibling| taken.contains(sibling));
        taken.insert(cpu.id);
        if has_sibling { &mut second } else { &mut first }.push(cpu.id);
    }
    let cores = first.len();
    first.append(&mut second);
    (first, cores)
}

/// As many pairs as `allowed` has, best first: siblings of a core, then cores of one node that have
/// only one CPU to give.
pub(super) fn pairs(topology: &Topology, allowed: &CpuSet) -> Vec<Pair> {
    let mut taken = CpuSet::new();
    let mut pairs = Vec::new();
    let mut lone: BTreeMap<NodeId, Vec<CpuId>> = BTreeMap::new();
    let ranked = ranked(topology, allowed);
    for cpu in &ranked {
        if taken.contains(cpu.id) {
            continue;
        }
        taken.insert(cpu.id);
        // A sibling that is not isolated still is the better place than another core.
        let partner = ranked
            .iter()
            .map(|other| other.id)
            .find(|&other| cpu.siblings.contains(other) && !taken.contains(other));
        if let Some(io) = partner {
            taken.insert(io);
            pairs.push(Pair { pipeline: cpu.id, io, siblings: true });
        } else {
            lone.entry(cpu.node).or_default().push(cpu.id);
        }
    }
    for cpus in lone.values() {
        for two in cpus.chunks_exact(2) {
            if let &[pipeline, io] = two {
                pairs.push(Pair { pipeline, io, siblings: false });
            }
        }
    }
    pairs.sort_by_key(|pair| topology.cpu(pair.pipeline).map(|cpu| rank(topology, cpu)));
    pairs
}
