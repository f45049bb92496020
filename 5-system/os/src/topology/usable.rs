//! Which of the CPUs are this process's to use.

use std::path::Path;

use super::TopologyError;
use super::read::optional_cpu_list;
use crate::cpus::CpuSet;

/// A cpuset is a wall; affinity is a habit that a process may change. The kernel starts all
/// processes with every CPU but the isolated ones; if that is what this one still has, the isolated
/// ones are there to be asked for. Anything else has been set on purpose, by `taskset` or systemd's
/// `CPUAffinity=`, and is kept to.
pub(super) fn usable(
    online: &CpuSet,
    isolated: &CpuSet,
    affinity: &CpuSet,
    cpuset: Option<&CpuSet>,
) -> CpuSet {
    let granted = cpuset.map_or_else(|| online.clone(), |cpuset| cpuset.intersection(online));
    let untouched = granted.difference(isolated);
    let restricted = !untouched.difference(affinity).is_empty();
    if restricted { granted.intersection(affinity) } else { granted }
}

/// What the process's cpuset (cgroup v2, or v1) leaves to it; `None` if it is in none. A group
/// without the controller has the CPUs of the nearest one above that has it.
pub(super) fn cgroup_cpuset(root: &Path) -> Result<Option<CpuSet>, TopologyError> {
    let groups = std::fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(group)) = (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let (mount, file) = if controllers.is_empty() {
            ("sys/fs/cgroup", "cpuset.cpus.effective")
        } else if controllers.split(',').any(|controller| controller == "cpuset") {
            ("sys/fs/cgroup/cpuset", "cpuset.effective_cpus")
        } else {
            continue;
        };
        let mount = root.join(mount);
        for group in Path::new(group.trim_start_matches('/')).ancestors() {
            if let Some(cpus) = optional_cpu_list(&mount.join(group).join(file))? {
                return Ok(Some(cpus));
            }
        }
    }
    Ok(None)
}
