//! What each rule counted. Packets and bytes are counted per flow, elsewhere.

use std::borrow::Borrow;
use std::collections::HashMap;

use portcullis_packet::Counter;

use crate::rules::Rules;
use crate::spec::{RuleId, RuleSpec};

/// Counters of each slot of [`Rules`], of one worker: it writes, anyone reads. They share no cache line
/// with another worker's.
#[derive(Debug)]
pub struct RuleCounters {
    slots: usize,
    lines: Box<[Line]>,
}

#[derive(Default, Debug)]
#[repr(align(64))]
struct Line([Slot; Line::SLOTS]);

#[derive(Default, Debug)]
struct Slot {
    hits: Counter,
    suppressed: Counter,
}

impl Line {
    const SLOTS: usize = 4;
}

impl RuleCounters {
    /// All zero, for as many slots as [`Rules::slots`] says.
    #[must_use]
    pub fn new(slots: usize) -> Self {
        let lines = (0..slots.div_ceil(Line::SLOTS)).map(|_| Line::default()).collect();
        Self { slots, lines }
    }

    /// How many slots there are.
    #[must_use]
    pub const fn slots(&self) -> usize {
        self.slots
    }

    #[inline(always)]
    fn slot(&self, slot: usize) -> Option<&Slot> {
        if slot >= self.slots {
            return None;
        }
        self.lines.get(slot / Line::SLOTS)?.0.get(slot % Line::SLOTS)
    }

    /// Counts a flow that the rule decided on. For the one thread that writes; a slot that does not exist
    /// is ignored.
    #[inline]
    pub fn hit(&self, slot: usize) {
        if let Some(slot) = self.slot(slot) {
            slot.hits.add(1);
        }
    }

    /// Counts a line that was not logged because the [`crate::LogLimiter`] did not allow it. For the one
    /// thread that writes.
    #[inline]
    pub fn suppress(&self, slot: usize) {
        if let Some(slot) = self.slot(slot) {
            slot.suppressed.add(1);
        }
    }

    /// Flows that the rule decided on so far.
    #[must_use]
    pub fn hits(&self, slot: usize) -> u64 {
        self.slot(slot).map_or(0, |slot| slot.hits.get())
    }

    /// Lines that were not logged so far.
    #[must_use]
    pub fn suppressed(&self, slot: usize) -> u64 {
        self.slot(slot).map_or(0, |slot| slot.suppressed.get())
    }
}

/// What rules had counted when their set was replaced by another one, of all workers together. The control
/// plane keeps it beside the workers' present counters, so that a rule which did not change goes on counting.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RuleTotals(Box<[Total]>);

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct Total {
    hits: u64,
    suppressed: u64,
}

impl RuleTotals {
    /// All zero.
    #[must_use]
    pub fn new(slots: usize) -> Self {
        Self(vec![Total::default(); slots].into())
    }

    /// What had been counted before, and what the workers counted since: flows.
    #[must_use]
    pub fn hits(&self, slot: usize, workers: &[impl Borrow<RuleCounters>]) -> u64 {
        self.total(slot, workers).hits
    }

    /// The same of lines that were not logged.
    #[must_use]
    pub fn suppressed(&self, slot: usize, workers: &[impl Borrow<RuleCounters>]) -> u64 {
        self.total(slot, workers).suppressed
    }

    fn total(&self, slot: usize, workers: &[impl Borrow<RuleCounters>]) -> Total {
        let before = self.0.get(slot).copied().unwrap_or_default();
        workers.iter().map(Borrow::borrow).fold(before, |sum, worker| Total {
            hits: sum.hits.wrapping_add(worker.hits(slot)),
            suppressed: sum.suppressed.wrapping_add(worker.suppressed(slot)),
        })
    }

    /// The totals to begin with when `new` takes the place of `old`, whose totals these are. A rule keeps
    /// what it counted if it is the same in every respect, wherever it now stands; of several that are the
    /// same, the first goes on as the first, the second as the second. A default does if neither its action nor
    /// `log_default` changed.
    ///
    /// What workers that do not know `new` yet count in the old counters after this is lost: better
    /// ask when all know it.
    #[must_use]
    pub fn carried(&self, old: &Rules, workers: &[impl Borrow<RuleCounters>], new: &Rules) -> Self {
        let mut kept: HashMap<(&RuleSpec, usize), usize> = HashMap::new();
        for (rule, slot) in numbered(old).zip(0..) {
            kept.insert(rule, slot);
        }
        let (was, is) = (old.spec(), new.spec());
        let logs_alike = was.log_default == is.log_default;
        let default = logs_alike && was.default == is.default;
        let gateway_default = logs_alike && was.gateway_default == is.gateway_default;
        let rules = numbered(new).map(|rule| kept.get(&rule).copied());
        let defaults = [
            default.then(|| old.counter_slot(RuleId::DEFAULT)),
            gateway_default.then(|| old.counter_slot(RuleId::GATEWAY_DEFAULT)),
        ];
        let total = |slot: Option<usize>| slot.map(|slot| self.total(slot, workers));
        Self(rules.chain(defaults).map(|slot| total(slot).unwrap_or_default()).collect())
    }
}

/// Each rule with the number of rules before it that are the same.
fn numbered(rules: &Rules) -> impl Iterator<Item = (&RuleSpec, usize)> {
    let mut seen: HashMap<&RuleSpec, usize> = HashMap::new();
    rules.spec().rules.iter().map(move |rule| {
        let before = seen.entry(rule).or_default();
        *before += 1;
        (rule, *before - 1)
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::spec::{Action, RulesSpec, ZoneId};

    fn rule(name: &str, to: u16) -> RuleSpec {
        RuleSpec {
            name: name.into(),
            from: None,
            to: Some(vec![ZoneId(to)]),
            source: None,
            destination: None,
            service: None,
            action: Action::Accept,
            log: false,
        }
    }

    fn rules(rules: Vec<RuleSpec>, default: Action) -> Rules {
        let gateway_default = Action::Accept;
        Rules::compile(RulesSpec { rules, default, gateway_default, log_default: true })
    }

    fn workers(slots: usize) -> [Arc<RuleCounters>; 2] {
        [(); 2].map(|()| Arc::new(RuleCounters::new(slots)))
    }

    #[test]
    fn each_slot_counts_apart_and_others_are_ignored() {
        let counters = RuleCounters::new(5);
        for slot in 0..10 {
            (0..=slot).for_each(|_| counters.hit(slot));
            counters.suppress(slot);
        }
        let hits: Vec<u64> = (0..10).map(|slot| counters.hits(slot)).collect();
        assert_eq!(hits, [1, 2, 3, 4, 5, 0, 0, 0, 0, 0]);
        assert_eq!((0..10).map(|slot| counters.suppressed(slot)).sum::<u64>(), 5);
    }

    #[test]
    fn the_counters_of_two_workers_share_no_cache_line() {
        assert_eq!((align_of::<Line>(), size_of::<Line>()), (64, 64));
    }

    #[test]
    fn a_total_is_the_sum_of_all_workers_and_of_the_time_before() {
        let totals = RuleTotals(vec![Total { hits: 100, suppressed: 7 }].into());
        let workers = workers(1);
        workers.iter().for_each(|worker| worker.hit(0));
        workers[0].suppress(0);
        assert_eq!((totals.hits(0, &workers), totals.suppressed(0, &workers)), (102, 8));
        assert_eq!(totals.hits(1, &workers), 0);
    }

    #[test]
    fn rules_that_did_not_change_keep_their_hits_wherever_they_now_stand() {
        let old = rules(vec![rule("a", 1), rule("b", 1), rule("c", 1)], Action::Drop);
        let workers = workers(old.slots());
        for (slot, worker) in [(0, 0), (1, 0), (1, 1), (2, 1), (3, 0), (4, 1)] {
            workers[worker].hit(slot);
        }
        let new = rules(vec![rule("c", 2), rule("x", 1), rule("b", 1)], Action::Drop);
        let carried = RuleTotals::new(old.slots()).carried(&old, &workers, &new);
        let idle: [Arc<RuleCounters>; 0] = [];
        let hits: Vec<u64> = (0..new.slots()).map(|slot| carried.hits(slot, &idle)).collect();
        assert_eq!(hits, [0, 0, 2, 1, 1]);

        let again = rules(vec![rule("b", 1)], Action::Reject);
        let carried = carried.carried(&new, &idle, &again);
        let hits: Vec<u64> = (0..again.slots()).map(|slot| carried.hits(slot, &idle)).collect();
        assert_eq!(hits, [2, 0, 1]);
    }

    #[test]
    fn rules_that_are_the_same_as_one_another_keep_each_its_own() {
        let old = rules(vec![rule("a", 1), rule("b", 1), rule("a", 1)], Action::Drop);
        let workers = workers(old.slots());
        (0..3).for_each(|slot| (0..=slot).for_each(|_| workers[0].hit(slot)));
        let new = rules(vec![rule("a", 1), rule("a", 1), rule("a", 1)], Action::Drop);
        let carried = RuleTotals::new(old.slots()).carried(&old, &workers, &new);
        let idle: [Arc<RuleCounters>; 0] = [];
        let hits: Vec<u64> = (0..new.slots()).map(|slot| carried.hits(slot, &idle)).collect();
        assert_eq!(hits, [1, 3, 0, 0, 0]);
    }
}
