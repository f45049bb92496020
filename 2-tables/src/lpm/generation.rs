//! How often a table was changed, for those who remember its answers.
//!
//! A flow keeps the answer of its route lookup, and must ask again once that may have changed. So
//! each table counts its changes, and an answer is kept together with the count. The rules:
//!
//! * The writer counts a change *after* all of its stores, with release.
//! * A reader takes the count *before* it looks up, with acquire, and keeps that one.
//!
//! If the reader's count includes a change, its lookup finds the change: the stores happened before
//! the count, the count before the lookup. If it does not, the count has moved on or is about to,
//! and the reader looks up again. Between the two it may find the new answer under the old count,
//! which costs one lookup too many, or the old answer for as long as it takes the count to reach its
//! processor, which is how long the entry itself might have taken. What cannot be is an old
//! answer under the new count, the one that would stay.
//!
//! A reader that takes the count *after* it has seen an epoch
//! ([`Subscriber::refresh`](crate::Subscriber::refresh)) also knows of every change that was made
//! before that epoch was published. So a next hop that the writer took out of the table, and that is
//! used for something else when all readers have passed a later epoch, is in no answer that still counts.
//!
//! A table that is built anew begins where the one before it stopped, plus one; that one stays at its
//! count, because its answers stay what they are. So equal counts mean equal answers even if the
//! handle was exchanged in between. The count wraps around: 2^32 changes between two packets of a flow
//! would go unnoticed.
//!
//! All of this is checked by a model, `2-tables/loom`.

use crate::sync::{Arc, AtomicU32, Ordering};

/// The count, on cache lines of its own: other words near it would be slow to read while it moves.
#[derive(Debug)]
#[repr(align(128))]
struct Count(AtomicU32);

/// The writer's end.
#[derive(Debug)]
pub(crate) struct ChangeCount(Arc<Count>);

/// The readers' end.
#[derive(Clone, Debug)]
pub(crate) struct Generation(Arc<Count>);

impl ChangeCount {
    /// That of a first table.
    pub(crate) fn new() -> Self {
        Self::starting_at(0)
    }

    fn starting_at(count: u32) -> Self {
        Self(Arc::new(Count(AtomicU32::new(count))))
    }

    /// That of a table that is to take this one's place.
    pub(crate) fn successor(&self) -> Self {
        Self::starting_at(self.now().wrapping_add(1))
    }

    /// The readers' end.
    pub(crate) fn reader(&self) -> Generation {
        Generation(Arc::clone(&self.0))
    }

    /// Something was changed: all stores of the change were made.
    pub(crate) fn count(&mut self) {
        self.0.0.store(self.now().wrapping_add(1), Ordering::Release);
    }

    fn now(&self) -> u32 {
        // Only `&mut self` changes it.
        self.0.0.load(Ordering::Relaxed)
    }
}

impl Generation {
    /// The count; loads of the table that follow in program order happen after it.
    #[inline(always)]
    pub(crate) fn get(&self) -> u32 {
        self.0.0.load(Ordering::Acquire)
    }
}
