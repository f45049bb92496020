//! What [`publish`](crate::publish) and the generations of tables are built on. The model checker's
//! crate, `2-tables/loom`, has models of the same names in its place.

pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
pub(crate) use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
