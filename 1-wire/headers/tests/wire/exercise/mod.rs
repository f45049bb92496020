//! What the fuzz targets do with one input. The targets in the `fuzz` folder include these files too,
//! so that the tests replay exactly what was fuzzed.

pub(crate) mod fragment;
pub(crate) mod icmp_error;
pub(crate) mod offload;
pub(crate) mod parse;
pub(crate) mod translate;
