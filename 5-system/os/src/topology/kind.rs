//! Faster and slower cores.

use std::collections::BTreeMap;
use std::path::Path;

use super::read::{number, optional_cpu_list};
use super::{CoreKind, TopologyError};
use crate::cpus::{CpuId, CpuSet};

/// A core with less than this share of the fastest one's capacity is an efficiency core. Between
/// cores of one kind the figures differ by a few percent only (favoured cores); between kinds by a
/// third and more.
const SHARE_PERCENT: u32 = 80;

pub(super) struct Kinds {
    efficiency: CpuSet,
}

impl Kinds {
    /// Intel's hybrid machines have a performance monitor per kind, each with its CPUs; others,
    /// Arm's among them, give each CPU a capacity, of 1024 for the fastest.
    pub(super) fn read(root: &Path, online: &CpuSet) -> Result<Self, TopologyError> {
        let devices = root.join("sys/devices");
        if let Some(atoms) = optional_cpu_list(&devices.join("cpu_atom/cpus"))? {
            let low_power = optional_cpu_list(&devices.join("cpu_lowpower/cpus"))?;
            return Ok(Self { efficiency: atoms.union(&low_power.unwrap_or_default()) });
        }
        let capacities: BTreeMap<CpuId, u32> = online
            .iter()
            .filter_map(|id| {
                let path = devices.join(format!("system/cpu/cpu{id}/cpu_capacity"));
                Some((id, number(&path)?))
            })
            .collect();
        let fastest = capacities.values().copied().max().unwrap_or(0);
        let is_slow = |capacity: u32| {
            u64::from(capacity) * 100 < u64::from(fastest) * u64::from(SHARE_PERCENT)
        };
        let slow = capacities.into_iter().filter(|&(_, capacity)| is_slow(capacity));
        Ok(Self { efficiency: slow.map(|(id, _)| id).collect() })
    }

    pub(super) fn of(&self, id: CpuId) -> CoreKind {
        if self.efficiency.contains(id) { CoreKind::Efficiency } else { CoreKind::Performance }
    }
}
