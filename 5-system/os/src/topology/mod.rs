//! The machine's CPUs, as the kernel describes them below `/sys/devices/system`
//! (`Documentation/admin-guide/cputopology.rst` of the kernel): cores and their SMT siblings,
//! packages, NUMA nodes, isolation, faster and slower cores; and which of them this process may
//! use.

mod kind;
mod read;
mod usable;

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::cpus::{CpuId, CpuSet, ParseCpuSetError};

/// A NUMA node: CPUs with memory near to them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct NodeId(pub u32);

/// A package: what one buys and puts into a socket.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct PackageId(pub u32);

/// What kind of core a hybrid machine has made a CPU of. Where all are alike, all are
/// performance cores.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum CoreKind {
    /// As fast as this machine gets.
    Performance,
    /// Slower, for less power.
    Efficiency,
}

/// One logical CPU.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cpu {
    /// Its number.
    pub id: CpuId,
    /// The CPUs of its core, itself among them, that are online.
    pub siblings: CpuSet,
    /// Its package.
    pub package: PackageId,
    /// Its NUMA node.
    pub node: NodeId,
    /// Its kind.
    pub kind: CoreKind,
    /// Whether the kernel keeps other work away from it (`isolcpus=`, or an isolated cpuset
    /// partition).
    pub isolated: bool,
}

/// The CPUs of a machine that are online.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Topology {
    cpus: BTreeMap<CpuId, Cpu>,
    usable: CpuSet,
}

/// The kernel's description cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TopologyError {
    /// A file that every kernel has is not there.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file has something else in it than it should.
    #[error("{path} has `{found}` in it, which is no list of CPUs: {source}")]
    NotCpus {
        /// Which file.
        path: PathBuf,
        /// What is in it.
        found: String,
        /// What is wrong with that.
        source: ParseCpuSetError,
    },
    /// The kernel does not say where this thread may run.
    #[error("cannot read this thread's CPU affinity: {0}")]
    Affinity(rustix::io::Errno),
}

impl Topology {
    /// All CPUs that are online, in order.
    pub fn cpus(&self) -> impl Iterator<Item = &Cpu> {
        self.cpus.values()
    }

    /// The CPU of this number, if it is online.
    #[must_use]
    pub fn cpu(&self, id: CpuId) -> Option<&Cpu> {
        self.cpus.get(&id)
    }

    /// The CPUs that this process may use: isolated ones too, which the kernel leaves out of a
    /// process's affinity until it is asked for them, unless a cpuset or `taskset` forbids it.
    #[must_use]
    pub fn usable(&self) -> &CpuSet {
        &self.usable
    }

    /// The usable CPUs that are isolated.
    #[must_use]
    pub fn isolated(&self) -> CpuSet {
        let isolated = |&id: &CpuId| self.cpu(id).is_some_and(|cpu| cpu.isolated);
        self.usable.iter().filter(isolated).collect()
    }
}
