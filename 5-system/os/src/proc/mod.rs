//! What `/proc` says the threads of this process are now (proc_pid_task(5)), for `show threads`:
//! read back from the kernel, not remembered from the start.
//!
//! A thread without any capability may read all of it: within one process the kernel asks for none,
//! not even for the namespace of another thread, and not if the process forbids dumps.

mod parse;

use std::io;
use std::path::Path;
use std::time::Duration;

use crate::cpus::{CpuId, CpuSet};
use crate::privileges::Privileges;
use parse::{Schedule, Stat, Status};

/// What the scheduler makes of a thread.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ThreadState {
    /// On a CPU, or waiting for one.
    Running,
    /// Waiting for something.
    Sleeping,
    /// Waiting for a device, and not to be woken by signals.
    DiskSleep,
    /// Stopped by a signal or a debugger.
    Stopped,
    /// Over.
    Dead,
    /// Something newer than this code, by the kernel's letter.
    Other(char),
}

/// Which filter a thread's system calls go through.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SeccompMode {
    /// None.
    Off,
    /// Nothing but read, write and exit.
    Strict,
    /// A program.
    Filter,
    /// Something newer than this code, by the kernel's number.
    Other(u32),
}

/// One thread.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ThreadStatus {
    /// Its kernel id.
    pub tid: u32,
    /// Its name.
    pub name: String,
    /// What it is doing.
    pub state: ThreadState,
    /// Where it may run.
    pub cpus_allowed: CpuSet,
    /// Where it ran last.
    pub last_cpu: CpuId,
    /// What it may do.
    pub effective: Privileges,
    /// What it may let itself do.
    pub permitted: Privileges,
    /// What it might hand on through `execve`.
    pub inheritable: Privileges,
    /// The limit of what `execve` might give it.
    pub bounding: Privileges,
    /// What it hands on through `execve`.
    pub ambient: Privileges,
    /// Whether `execve` can never give it anything.
    pub no_new_privs: bool,
    /// Its filter of system calls.
    pub seccomp: SeccompMode,
    /// The inode of its network namespace; `None` if the kernel does not tell.
    pub netns: Option<u64>,
    /// Time on a CPU in user mode, in the kernel's ticks (mostly of 10 ms).
    pub user_time: Duration,
    /// Time on a CPU in the kernel, in ticks.
    pub system_time: Duration,
    /// Time on a CPU, exactly; zero if the kernel keeps no such statistics.
    pub run_time: Duration,
    /// Time waiting for a CPU.
    pub wait_time: Duration,
    /// How often it gave its CPU up.
    pub voluntary_switches: u64,
    /// How often its CPU was taken from it.
    pub involuntary_switches: u64,
}

/// All threads of this process, in the order of their ids. Those that end meanwhile are left out.
///
/// # Errors
/// If `/proc` cannot be read.
pub fn threads() -> io::Result<Vec<ThreadStatus>> {
    threads_below(Path::new("/proc/self/task"))
}

/// All threads of another process. Their namespaces are shown to those who may trace it only.
///
/// # Errors
/// If there is no such process.
pub fn threads_of(pid: u32) -> io::Result<Vec<ThreadStatus>> {
    threads_below(&Path::new("/proc").join(pid.to_string()).join("task"))
}

fn threads_below(tasks: &Path) -> io::Result<Vec<ThreadStatus>> {
    let mut threads = Vec::new();
    for entry in std::fs::read_dir(tasks)? {
        let entry = entry?;
        let tid = entry.file_name().to_str().and_then(|name| name.parse().ok());
        threads.extend(tid.and_then(|tid| thread(tid, &entry.path())));
    }
    threads.sort_by_key(|thread: &ThreadStatus| thread.tid);
    Ok(threads)
}

/// `None` if the thread has ended, or the kernel writes something that this code cannot read.
fn thread(tid: u32, task: &Path) -> Option<ThreadStatus> {
    let read = |file: &str| std::fs::read_to_string(task.join(file)).ok();
    let status = Status::parse(&read("status")?)?;
    let stat = Stat::parse(&read("stat")?)?;
    let schedule = read("schedstat").as_deref().and_then(Schedule::parse).unwrap_or_default();
    let netns = std::fs::read_link(task.join("ns/net")).ok();
    Some(ThreadStatus {
        tid,
        name: status.name,
        state: stat.state,
        cpus_allowed: status.cpus_allowed,
        last_cpu: stat.last_cpu,
        effective: status.effective,
        permitted: status.permitted,
        inheritable: status.inheritable,
        bounding: status.bounding,
        ambient: status.ambient,
        no_new_privs: status.no_new_privs,
        seccomp: status.seccomp,
        netns: netns.as_deref().and_then(Path::to_str).and_then(parse::namespace),
        user_time: stat.user_time,
        system_time: stat.system_time,
        run_time: schedule.run_time,
        wait_time: schedule.wait_time,
        voluntary_switches: status.voluntary_switches,
        involuntary_switches: status.involuntary_switches,
    })
}
