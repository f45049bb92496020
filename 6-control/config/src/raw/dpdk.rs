//! `[dpdk]`.

use schemars::JsonSchema;
use serde::Serialize;

use super::{List, Optional};
use crate::decode::{DecodeTable, Table};

/// How DPDK is started, if any interface has `driver = "dpdk"`.
#[derive(Default, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(rename = "Dpdk")]
pub(crate) struct RawDpdk {
    /// Whether its memory is to be huge pages. Default: if enough of them are free, and otherwise
    /// ordinary ones, which is slower by a third; the log says which.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hugepages: Optional<bool>,
    /// MiB of memory for packet buffers and devices.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 64, max = 1_048_576), extend("default" = 256))]
    pub(crate) memory: Optional<i64>,
    /// More arguments of the environment abstraction layer, as DPDK's programs take them:
    /// `["--log-level=pmd.*:debug"]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) eal_arguments: Optional<List<String>>,
}

impl DecodeTable for RawDpdk {
    const TITLE: &'static str = "[dpdk]";

    fn fields(table: &mut Table<'_, '_>) -> Self {
        Self {
            hugepages: table.optional("hugepages"),
            memory: table.optional("memory"),
            eal_arguments: table.optional("eal-arguments"),
        }
    }
}
