//! The threads of a process as `/proc` tells of them.

use std::fs;
use std::path::Path;

/// One thread.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Task {
    /// The thread's id.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// Capability sets, in the order inheritable, permitted, effective, bounding, ambient.
    pub capabilities: [u64; 5],
    /// Whether it can gain no privilege by executing a program.
    pub no_new_privileges: bool,
    /// 0 off, 1 strict, 2 filter.
    pub seccomp: u8,
    /// The CPUs it may run on, as the kernel writes lists.
    pub cpus: String,
    /// The inode of its network namespace.
    pub network: u64,
}

/// The threads of a process, by their ids.
///
/// # Panics
///
/// If there is no such process, or the kernel writes in a way of its own.
#[track_caller]
#[must_use]
pub fn tasks(process: u32) -> Vec<Task> {
    let folder = format!("/proc/{process}/task");
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let mut tasks: Vec<_> = entries.flatten().filter_map(|entry| task(&entry.path())).collect();
    tasks.sort_by_key(|task| task.id);
    tasks
}

/// None for a thread that ended meanwhile.
fn task(folder: &Path) -> Option<Task> {
    let status = fs::read_to_string(folder.join("status")).ok()?;
    let network = fs::read_link(folder.join("ns/net")).ok()?;
    let network = network.to_str()?.strip_prefix("net:[")?.strip_suffix(']')?.parse().ok()?;
    let field = |name: &str| {
        status
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .unwrap_or_else(|| panic!("no {name} in {status}"))
            .trim()
    };
    let capabilities = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]
        .map(|set| u64::from_str_radix(field(set), 16).expect("a set is hexadecimal"));
    Some(Task {
        id: field("Pid").parse().ok()?,
        name: field("Name").to_owned(),
        capabilities,
        no_new_privileges: field("NoNewPrivs") == "1",
        seccomp: field("Seccomp").parse().ok()?,
        cpus: field("Cpus_allowed_list").to_owned(),
        network,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_very_thread_is_found() {
        let tasks = tasks(std::process::id());
        let own = rustix::thread::gettid().as_raw_nonzero().get();
        assert!(tasks.iter().any(|task| i32::try_from(task.id) == Ok(own)), "{tasks:?}");
    }
}
