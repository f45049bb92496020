//! Reading the files.

use std::io;
use std::path::Path;

use super::{Cpu, NodeId, PackageId, Topology, TopologyError};
use crate::cpus::{CpuId, CpuSet};
use crate::topology::kind::Kinds;
use crate::topology::usable::{cgroup_cpuset, usable};

impl Topology {
    /// Of this machine, for this process.
    ///
    /// # Errors
    /// If the kernel's description cannot be read.
    pub fn of_this_machine() -> Result<Self, TopologyError> {
        let affinity = CpuSet::of_this_thread().map_err(TopologyError::Affinity)?;
        Self::read(Path::new("/"), &affinity)
    }

    /// From `sys` and `proc` below `root`, for a process with this affinity.
    ///
    /// # Errors
    /// If the kernel's description cannot be read.
    pub fn read(root: &Path, affinity: &CpuSet) -> Result<Self, TopologyError> {
        let system = root.join("sys/devices/system");
        let cpu_directory = system.join("cpu");
        let online = cpu_list(&cpu_directory.join("online"))?;
        let isolated = optional_cpu_list(&cpu_directory.join("isolated"))?.unwrap_or_default();
        let kinds = Kinds::read(root, &online)?;
        let nodes = nodes(&system.join("node"))?;
        let mut cpus = std::collections::BTreeMap::new();
        for id in online.iter() {
            let own = cpu_directory.join(format!("cpu{id}/topology"));
            let siblings = optional_cpu_list(&own.join("thread_siblings_list"))?
                .map(|siblings| siblings.intersection(&online))
                .filter(|siblings| siblings.contains(id))
                .unwrap_or_else(|| CpuSet::single(id));
            let cpu = Cpu {
                id,
                siblings,
                package: PackageId(number(&own.join("physical_package_id")).unwrap_or(0)),
                node: node_of(&nodes, id),
                kind: kinds.of(id),
                isolated: isolated.contains(id),
            };
            cpus.insert(id, cpu);
        }
        let cpuset = cgroup_cpuset(root)?;
        let usable = usable(&online, &isolated, affinity, cpuset.as_ref());
        Ok(Self { cpus, usable })
    }
}

/// Nodes and their CPUs; none on a kernel without NUMA.
fn nodes(directory: &Path) -> Result<Vec<(NodeId, CpuSet)>, TopologyError> {
    let Some(online) = optional_cpu_list(&directory.join("online"))? else {
        return Ok(Vec::new());
    };
    let mut nodes = Vec::new();
    for node in online.iter() {
        let cpus = optional_cpu_list(&directory.join(format!("node{node}/cpulist")))?;
        nodes.push((NodeId(node.0.into()), cpus.unwrap_or_default()));
    }
    Ok(nodes)
}

fn node_of(nodes: &[(NodeId, CpuSet)], id: CpuId) -> NodeId {
    nodes.iter().find(|(_, cpus)| cpus.contains(id)).map_or(NodeId(0), |&(node, _)| node)
}

/// A file with one number in it. The kernel writes -1 for what it does not know.
pub(super) fn number(path: &Path) -> Option<u32> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

pub(super) fn optional_cpu_list(path: &Path) -> Result<Option<CpuSet>, TopologyError> {
    match cpu_list(path) {
        Ok(cpus) => Ok(Some(cpus)),
        Err(TopologyError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn cpu_list(path: &Path) -> Result<CpuSet, TopologyError> {
    let found = std::fs::read_to_string(path)
        .map_err(|source| TopologyError::Read { path: path.to_owned(), source })?;
    found.parse().map_err(|source| TopologyError::NotCpus {
        path: path.to_owned(),
        found: found.trim().to_owned(),
        source,
    })
}
