//! The gateway itself: its threads, what it counts, the configuration it runs with.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

names! {
    /// The mode of seccomp(2), from /proc.
    SeccompMode {
        /// Every system call is allowed.
        Disabled = "disabled",
        /// Only read, write and exit.
        Strict = "strict",
        /// A filter decides.
        Filter = "filter",
    }
}

/// A thread, as it is read back from /proc.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ThreadRow {
    /// Its name, as `top -H` shows it.
    pub name: String,
    /// The kernel's number of it.
    pub tid: u32,
    /// What it does in the gateway: `io`, `pipeline`, `trap`, `vpc-manager`, `control`.
    pub role: String,
    /// The network namespace it is in: a name, or `private`, or `host`.
    pub namespace: String,
    /// The CPUs it may run on, as the kernel lists them: `2-3`.
    pub cpus_allowed: String,
    /// The CPU it ran on last.
    pub last_cpu: u32,
    /// Names of the capabilities in its effective set: `CAP_NET_RAW`.
    pub cap_effective: Vec<String>,
    /// Those in its permitted set.
    pub cap_permitted: Vec<String>,
    /// Those in its inheritable set.
    pub cap_inheritable: Vec<String>,
    /// Those in its bounding set.
    pub cap_bounding: Vec<String>,
    /// Those in its ambient set.
    pub cap_ambient: Vec<String>,
    /// Whether no execve(2) can give it more privileges.
    pub no_new_privs: bool,
    /// Its seccomp mode.
    pub seccomp: SeccompMode,
    /// Processor time it has used, user and system, in seconds.
    pub cpu_time_seconds: f64,
    /// Its state, the letter of proc(5): `R` runs, `S` sleeps.
    pub state: String,
}

/// Packets that were dropped for one reason.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DropRow {
    /// The reason's name: `ttl-exceeded`.
    pub reason: String,
    /// How many, since the start.
    pub packets: u64,
    /// What it means.
    pub help: String,
}

/// A counter.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CounterRow {
    /// Its name.
    pub name: String,
    /// What it counts for: `interface` = `wan`, `worker` = `0`.
    pub labels: BTreeMap<String, String>,
    /// How many, since the start.
    pub value: u64,
    /// What it means.
    pub help: String,
}

/// The configuration that the gateway runs with.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ConfigRow {
    /// The file that it was read from.
    pub file: String,
    /// It as a file, defaults written out.
    pub toml: String,
    /// It as JSON, with the names of the file.
    pub config: serde_json::Value,
}
