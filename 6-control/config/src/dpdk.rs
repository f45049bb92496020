//! `[dpdk]`.

use crate::check::{Checker, Expected, Unit};
use crate::decode::Place;
use crate::raw::RawDpdk;
use crate::source::Located;

/// Most memory that DPDK can be given, in MiB.
pub const MAX_DPDK_MEMORY: u32 = 1 << 20;

/// How DPDK is started, if any interface is on it.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Dpdk {
    /// Whether its memory is to be huge pages; `None`: if enough of them are free.
    pub hugepages: Option<bool>,
    /// MiB of memory for packet buffers and devices, 64 to [`MAX_DPDK_MEMORY`].
    pub memory: u32,
    /// More arguments, as DPDK's programs take them.
    pub eal_arguments: Vec<String>,
}

impl Default for Dpdk {
    fn default() -> Self {
        Self { hugepages: None, memory: 256, eal_arguments: Vec::new() }
    }
}

/// Arguments that are the gateway's to give, and one that ends the process. Values may follow at once.
const OWN_LETTERS: [&str; 6] = ["-c", "-h", "-l", "-m", "-s", "-S"];

/// The same, written out, which getopt_long(3) lets one do in part.
const OWN_WORDS: [&str; 19] = [
    "--file-prefix",
    "--help",
    "--huge-dir",
    "--huge-unlink",
    "--in-memory",
    "--iova-mode",
    "--lcores",
    "--legacy-mem",
    "--main-lcore",
    "--match-allocations",
    "--no-huge",
    "--no-pci",
    "--no-shconf",
    "--no-telemetry",
    "--proc-type",
    "--single-file-segments",
    "--socket-limit",
    "--socket-mem",
    "--telemetry",
];

fn argument(text: &str) -> Result<String, Expected> {
    let name = text.split('=').next().unwrap_or_default();
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(Expected::new("printable ASCII characters without spaces, an argument each"));
    }
    if !text.starts_with('-') {
        return Err(Expected::new("an argument that begins with `-`, its value behind it at once"));
    }
    if OWN_LETTERS.iter().any(|own| text.starts_with(own))
        || OWN_WORDS.iter().any(|own| own.starts_with(name) && name.starts_with("--"))
    {
        return Err(Expected::new(
            "another one: CPUs, memory and files of DPDK are the gateway's to choose",
        ));
    }
    Ok(text.to_owned())
}

impl Dpdk {
    pub(crate) fn check(raw: Option<&Located<RawDpdk>>, checker: &mut Checker<'_>) -> Option<Self> {
        let default = Self::default();
        let Some(Located { value: raw, .. }) = raw else { return Some(default) };
        let memory = match &raw.memory {
            Some(given) => checker.number("memory", given, 64..=MAX_DPDK_MEMORY, Unit::None),
            None => Some(default.memory),
        };
        let given = raw.eal_arguments.as_ref().map_or(&[][..], |list| &list.value);
        let arguments: Vec<_> = given
            .iter()
            .filter_map(|given| {
                checker.parse_with(Place::Element("eal-arguments"), given, argument)
            })
            .collect();
        let is_whole = arguments.len() == given.len();
        Some(Self {
            hugepages: raw.hugepages.as_ref().map(|given| given.value),
            memory: memory?,
            eal_arguments: is_whole.then_some(arguments)?,
        })
    }

    pub(crate) fn to_raw(&self) -> RawDpdk {
        let arguments = self.eal_arguments.iter().map(|text| Located::nowhere(text.clone()));
        RawDpdk {
            hugepages: self.hugepages.map(Located::nowhere),
            memory: Some(Located::nowhere(self.memory.into())),
            eal_arguments: Some(Located::nowhere(arguments.collect()))
                .filter(|_| !self.eal_arguments.is_empty()),
        }
    }
}
