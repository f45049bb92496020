//! The start and the end of DPDK in this process.

use std::ffi::{CStr, CString, NulError, c_char};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use portcullis_os::cpus::CpuSet;

use crate::error::Errno;
use crate::{ffi, log};

/// How DPDK is to be started.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EalConfig {
    /// What its files are called after, if it makes any: unique on this machine.
    pub name: String,
    /// MiB of memory for packet buffers and devices.
    pub memory: u32,
    /// Whether that is to be huge pages; `None`: if there are enough.
    pub huge_pages: Option<bool>,
    /// Where the thread runs that starts it, and those that DPDK starts itself.
    pub cpus: CpuSet,
    /// Whether devices may be on PCI. They are got one by one: none is when DPDK starts.
    pub pci: bool,
    /// More arguments, as DPDK's programs take them.
    pub arguments: Vec<String>,
}

/// What the memory is made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Memory {
    /// Huge pages.
    Huge,
    /// Ordinary ones: slower by a third.
    Ordinary {
        /// MiB of huge pages that are free, and not enough.
        free: u64,
    },
}

/// Why DPDK did not start.
#[derive(Debug, thiserror::Error)]
pub enum EalError {
    /// A second time.
    #[error("DPDK can be started once in a process, and was")]
    Again,
    /// An argument that cannot be one.
    #[error("an argument for DPDK has a NUL in it: {0}")]
    Nul(#[from] NulError),
    /// Its log could not be taken.
    #[error("DPDK's log: {0}")]
    Log(Errno),
    /// There are not so many huge pages.
    #[error(
        "{wanted} MiB of huge pages are asked for and {free} are free: reserve more \
         (/sys/kernel/mm/hugepages/*/nr_hugepages), or let `hugepages` in [dpdk] be false"
    )]
    NoHugePages {
        /// MiB that are wanted.
        wanted: u32,
        /// MiB that are free.
        free: u64,
    },
    /// It did not start.
    #[error("DPDK does not start with `{arguments}`: {errno}; what it logged before says more")]
    Start {
        /// What it was started with.
        arguments: String,
        /// Why not.
        errno: Errno,
    },
}

static STARTED: AtomicBool = AtomicBool::new(false);

/// DPDK, started. It ends with the process: `rte_eal_cleanup` would unmap memory that its interrupt thread, which nobody stops, still
/// looks at for a device that has just been closed (net_memif). Of what there is then, nothing outlives the process.
#[derive(Debug)]
pub struct Eal {
    memory: Memory,
}

impl Eal {
    /// Starts it on the calling thread, which becomes its main lcore and gets pinned to the CPUs of the configuration. Threads
    /// that DPDK starts for itself inherit what this one may do.
    ///
    /// # Errors
    /// Why it cannot, in words with what to do. A process has one try.
    pub fn start(config: &EalConfig) -> Result<Self, EalError> {
        let free = free_huge_pages(Path::new("/sys/kernel/mm/hugepages"));
        let memory = choose(config, free)?;
        let arguments = arguments(config, memory);
        let owned: Vec<CString> =
            arguments.iter().map(|it| CString::new(it.as_str())).collect::<Result<_, _>>()?;
        if STARTED.swap(true, Ordering::Relaxed) {
            return Err(EalError::Again);
        }
        log::take().map_err(EalError::Log)?;
        let mut pointers: Vec<*mut c_char> =
            owned.iter().map(|it| it.as_ptr().cast_mut()).collect();
        pointers.push(std::ptr::null_mut());
        let count = i32::try_from(owned.len()).unwrap_or(i32::MAX);
        // SAFETY: `count` strings and a null, as main() gets them; they outlive the call, and DPDK copies what it
        // keeps. It may change the order of the pointers, which are nobody else's.
        let answer = unsafe { ffi::pc_start(count, pointers.as_mut_ptr()) };
        Errno::check(answer)
            .map_err(|errno| EalError::Start { arguments: arguments.join(" "), errno })?;
        Ok(Self { memory })
    }

    /// What its memory is made of.
    #[must_use]
    pub const fn memory(&self) -> Memory {
        self.memory
    }

    /// The version that this process runs with.
    #[must_use]
    pub fn version() -> &'static str {
        // SAFETY: a constant string of the library.
        unsafe { CStr::from_ptr(ffi::pc_version()) }.to_str().unwrap_or("DPDK")
    }
}

fn choose(config: &EalConfig, free: u64) -> Result<Memory, EalError> {
    let is_enough = free >= u64::from(config.memory);
    match config.huge_pages {
        Some(true) if !is_enough => Err(EalError::NoHugePages { wanted: config.memory, free }),
        Some(false) => Ok(Memory::Ordinary { free }),
        None if !is_enough => Ok(Memory::Ordinary { free }),
        Some(true) | None => Ok(Memory::Huge),
    }
}

const HOST_BRIDGE: &str = "0000:00:00.0";

fn arguments(config: &EalConfig, memory: Memory) -> Vec<String> {
    let mut arguments = vec!["portcullis".to_owned()];
    // Worker threads are registered later, each with an lcore id of its own.
    arguments.push(format!("--lcores=0@({})", config.cpus));
    arguments.push(format!("--file-prefix={}", config.name));
    // Nothing is shared with other processes, so nothing is left behind in the file system. Devices see the
    // process's own addresses, which takes no right to know physical ones.
    arguments.extend(["--no-telemetry", "--iova-mode=va"].map(String::from));
    match memory {
        Memory::Huge => arguments.push("--in-memory".to_owned()),
        Memory::Ordinary { .. } => {
            arguments.extend(["--no-huge", "--no-shconf"].map(String::from));
        }
    }
    arguments.extend(["-m".to_owned(), config.memory.to_string()]);
    // Else DPDK would take every device that vfio has, also those of other processes. The host bridge, which no driver takes,
    // makes a list of those that it may take now.
    arguments.push(if config.pci {
        format!("--allow={HOST_BRIDGE}")
    } else {
        "--no-pci".to_owned()
    });
    arguments.extend(config.arguments.iter().cloned());
    arguments
}

/// MiB of free huge pages, of all sizes.
fn free_huge_pages(folder: &Path) -> u64 {
    let sizes = fs::read_dir(folder).into_iter().flatten().flatten();
    sizes
        .filter_map(|size| {
            let name = size.file_name().into_string().ok()?;
            let kib: u64 = name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
            let free = fs::read_to_string(size.path().join("free_hugepages")).ok()?;
            Some(free.trim().parse::<u64>().ok()? * kib / 1024)
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(huge_pages: Option<bool>) -> EalConfig {
        EalConfig {
            name: "pc-gw1".to_owned(),
            memory: 256,
            huge_pages,
            cpus: [0, 1].into_iter().map(portcullis_os::cpus::CpuId).collect(),
            pci: false,
            arguments: vec!["--log-level=8".to_owned()],
        }
    }

    #[test]
    fn huge_pages_are_used_where_there_are_enough_and_missed_where_they_are_asked_for() {
        let ordinary = |free| Memory::Ordinary { free };
        let chosen = |wish, free| choose(&config(wish), free).ok();
        assert_eq!(chosen(None, 256), Some(Memory::Huge));
        assert_eq!(chosen(None, 255), Some(ordinary(255)));
        assert_eq!(chosen(Some(false), 4096), Some(ordinary(4096)));
        assert_eq!(chosen(Some(true), 256), Some(Memory::Huge));
        let refused = choose(&config(Some(true)), 255).expect_err("too few").to_string();
        assert!(refused.contains("256 MiB") && refused.contains("255 are free"), "{refused}");
    }

    #[test]
    fn the_arguments_are_those_of_a_process_that_shares_nothing() {
        let said = arguments(&config(None), Memory::Huge).join(" ");
        assert_eq!(
            said,
            "portcullis --lcores=0@(0-1) --file-prefix=pc-gw1 --no-telemetry --iova-mode=va --in-memory -m 256 \
             --no-pci --log-level=8"
        );
        let said = arguments(&EalConfig { pci: true, ..config(None) }, Memory::Huge).join(" ");
        assert!(said.ends_with("-m 256 --allow=0000:00:00.0 --log-level=8"), "{said}");
        let said = arguments(&config(None), Memory::Ordinary { free: 0 }).join(" ");
        assert!(said.contains("--no-huge --no-shconf -m 256"), "{said}");
    }

    #[test]
    fn free_huge_pages_are_counted_in_mebibytes() {
        let folder = std::env::temp_dir().join(format!("pc-huge-{}", std::process::id()));
        for (size, free) in [("hugepages-2048kB", "100\n"), ("hugepages-1048576kB", "2\n")] {
            fs::create_dir_all(folder.join(size)).expect("a folder");
            fs::write(folder.join(size).join("free_hugepages"), free).expect("a file");
        }
        assert_eq!(free_huge_pages(&folder), 200 + 2048);
        fs::remove_dir_all(&folder).expect("its own folder");
        assert_eq!(free_huge_pages(&folder), 0);
    }
}
