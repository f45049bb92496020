//! The formats of `/proc/PID/task/TID/`: `status`, `stat`, `schedstat`, `ns/net`.

use std::time::Duration;

use super::{SeccompMode, ThreadState};
use crate::cpus::{CpuId, CpuSet};
use crate::privileges::Privileges;

/// Of `status`: lines of a name, a colon, blanks and a value.
pub(super) struct Status {
    pub(super) name: String,
    pub(super) cpus_allowed: CpuSet,
    pub(super) effective: Privileges,
    pub(super) permitted: Privileges,
    pub(super) inheritable: Privileges,
    pub(super) bounding: Privileges,
    pub(super) ambient: Privileges,
    pub(super) no_new_privs: bool,
    pub(super) seccomp: SeccompMode,
    pub(super) voluntary_switches: u64,
    pub(super) involuntary_switches: u64,
}

impl Status {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let field = |name: &str| {
            let mut lines = text.lines().filter_map(|line| line.split_once(':'));
            lines.find(|&(found, _)| found == name).map(|(_, value)| value.trim())
        };
        let privileges =
            |name| u64::from_str_radix(field(name)?, 16).ok().map(Privileges::from_bits);
        let number = |name| field(name)?.parse::<u64>().ok();
        Some(Self {
            name: field("Name")?.to_owned(),
            cpus_allowed: field("Cpus_allowed_list")?.parse().ok()?,
            effective: privileges("CapEff")?,
            permitted: privileges("CapPrm")?,
            inheritable: privileges("CapInh")?,
            bounding: privileges("CapBnd")?,
            ambient: privileges("CapAmb")?,
            no_new_privs: number("NoNewPrivs")? != 0,
            seccomp: match field("Seccomp")?.parse().ok()? {
                0 => SeccompMode::Off,
                1 => SeccompMode::Strict,
                2 => SeccompMode::Filter,
                other => SeccompMode::Other(other),
            },
            voluntary_switches: number("voluntary_ctxt_switches")?,
            involuntary_switches: number("nonvoluntary_ctxt_switches")?,
        })
    }
}

/// Of `stat`: one line of many fields, of which the second is a name in parentheses that may have
/// blanks and parentheses in it.
pub(super) struct Stat {
    pub(super) state: ThreadState,
    pub(super) user_time: Duration,
    pub(super) system_time: Duration,
    pub(super) last_cpu: CpuId,
}

impl Stat {
    /// Places of fields behind the name, of which the first is the state (proc_pid_stat(5) counts
    /// it as number 3).
    const STATE: usize = 0;
    const UTIME: usize = 14 - 3;
    const STIME: usize = 15 - 3;
    const PROCESSOR: usize = 39 - 3;

    pub(super) fn parse(text: &str) -> Option<Self> {
        let (_, behind_name) = text.rsplit_once(')')?;
        let fields: Vec<&str> = behind_name.split_whitespace().collect();
        let ticks = |place: usize| fields.get(place)?.parse().ok().map(from_ticks);
        Some(Self {
            state: match fields.get(Self::STATE)?.chars().next()? {
                'R' => ThreadState::Running,
                'S' | 'I' => ThreadState::Sleeping,
                'D' => ThreadState::DiskSleep,
                'T' | 't' => ThreadState::Stopped,
                'X' | 'Z' => ThreadState::Dead,
                other => ThreadState::Other(other),
            },
            user_time: ticks(Self::UTIME)?,
            system_time: ticks(Self::STIME)?,
            last_cpu: CpuId(fields.get(Self::PROCESSOR)?.parse().ok()?),
        })
    }
}

fn from_ticks(ticks: u64) -> Duration {
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    let (seconds, rest) = (ticks / per_second, ticks % per_second);
    Duration::from_secs(seconds) + Duration::from_nanos(rest * (1_000_000_000 / per_second))
}

/// Of `schedstat`: nanoseconds on a CPU, nanoseconds waiting for one, and how often.
#[derive(Default)]
pub(super) struct Schedule {
    pub(super) run_time: Duration,
    pub(super) wait_time: Duration,
}

impl Schedule {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut fields = text.split_whitespace();
        let mut time = || Some(Duration::from_nanos(fields.next()?.parse().ok()?));
        Some(Self { run_time: time()?, wait_time: time()? })
    }
}

/// The inode in `net:[4026531840]`.
pub(super) fn namespace(link: &str) -> Option<u64> {
    link.strip_prefix("net:[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Name:\tpc-pipe-0\nUmask:\t0022\nState:\tR (running)\nTgid:\t41\n\
        CapInh:\t0000000000000000\nCapPrm:\t0000000000002000\nCapEff:\t0000000000002000\n\
        CapBnd:\t000001ffffffffff\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n\
        Seccomp_filters:\t2\nCpus_allowed:\t3c\nCpus_allowed_list:\t2-5\n\
        voluntary_ctxt_switches:\t7\nnonvoluntary_ctxt_switches:\t3\n";
    const STAT: &str = "42 (a ) b (c) R 1 41 41 0 -1 64 9 0 0 0 250 31 0 0 20 0 5 0 123 1000 10 \
        18446744073709551615 0 0 0 0 0 0 0 0 0 0 0 0 17 5 0 0 0 0 0 0 0 0 0 0 0 0 0\n";

    #[test]
    fn the_lines_of_status_are_found_by_their_whole_name() {
        let status = Status::parse(STATUS).unwrap();
        assert_eq!(status.name, "pc-pipe-0");
        assert_eq!(status.effective, Privileges::NET_RAW);
        assert_eq!(status.inheritable, Privileges::NONE);
        assert!(status.bounding.contains(Privileges::SYS_ADMIN));
        assert_eq!((status.no_new_privs, status.seccomp), (true, SeccompMode::Filter));
        assert_eq!(status.cpus_allowed.to_string(), "2-5");
        assert_eq!((status.voluntary_switches, status.involuntary_switches), (7, 3));
    }

    #[test]
    fn a_name_with_blanks_and_parentheses_does_not_shift_the_fields_of_stat() {
        let stat = Stat::parse(STAT).unwrap();
        assert_eq!(stat.state, ThreadState::Running);
        assert_eq!(stat.user_time, from_ticks(250));
        assert_eq!(stat.system_time, from_ticks(31));
        assert_eq!(stat.last_cpu, CpuId(5));
        let tick = rustix::param::clock_ticks_per_second();
        assert_eq!(from_ticks(tick * 3), Duration::from_secs(3));
    }

    #[test]
    fn what_is_cut_short_is_nothing_and_never_a_panic() {
        for end in 0..STATUS.len() - 2 {
            assert!(Status::parse(&STATUS[..end]).is_none_or(|found| found.name == "pc-pipe-0"));
        }
        for end in 0..STAT.len() {
            let _parsed = Stat::parse(&STAT[..end]);
        }
        assert!(Stat::parse("42 (x) R 1 2 3").is_none());
        assert!(Schedule::parse("12").is_none());
        for link in ["", "net:", "net:[", "net:[x]", "uts:[1]"] {
            assert_eq!(namespace(link), None);
        }
        assert_eq!(namespace("net:[4026531840]"), Some(4_026_531_840));
    }
}
