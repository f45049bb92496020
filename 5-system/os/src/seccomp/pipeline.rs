//! The pipeline thread: takes batches from a ring, works on them in memory, gives them back, and
//! rings doorbells. All of that is in [`super::common`]; the list adds nothing that opens, sends,
//! receives or configures anything.

use super::Allow;

/// Calls of the pipeline alone: none.
pub(super) const PIPELINE: &[Allow] = &[];
