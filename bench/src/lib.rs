//! The pipeline measured in memory.
