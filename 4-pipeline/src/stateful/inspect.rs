//! How the control side looks at a worker's state: an [`Inquiry`] goes to the worker and comes back answered,
//! always with the memory that it came with, so that the worker allocates and frees nothing. The worker
//! does a bounded piece of it between batches.

use portcullis_flows::{FlowId, FlowStamp};
use portcullis_nat::{MappingView, PoolStatistics};
use portcullis_packet::Instant;

use super::conn::Record;
use super::state::State;
use crate::worker::Worker;

/// Slots of a table that are looked at in one turn.
const SLOTS: u32 = 128;

/// Flows that are ended in one turn.
const ENDS: usize = 32;

/// A question, with room for its answer.
#[derive(Debug)]
pub enum Inquiry {
    /// Flows, as many as `rows` has room for, from the slot `from` on. Answered: `from` is where to go on,
    /// `None` at the table's end.
    Flows {
        /// Where to begin, and then where to go on.
        from: Option<u32>,
        /// What is there.
        rows: Vec<(FlowStamp, Record)>,
    },
    /// Mappings, likewise.
    Mappings {
        /// Where to begin, and then where to go on.
        from: Option<u32>,
        /// What is there.
        rows: Vec<MappingView>,
    },
    /// The pools of external addresses: as many as there is room for.
    Pools {
        /// One for each masquerade, address and protocol.
        rows: Vec<PoolStatistics>,
        /// Log entries of rules that were left out for their rate.
        log_suppressed: u64,
        /// Log entries that found no room on their way to the log.
        events_lost: u64,
    },
    /// Ends these flows. Answered: none is left in the list.
    Flush {
        /// Which.
        stamps: Vec<FlowStamp>,
        /// How many were still there.
        ended: u64,
    },
    /// What to remember flows in from now on. Answered: what was used before, if anything was.
    Equip(Option<Box<State>>),
}

impl Worker {
    /// Does a piece of an inquiry. True if that was all.
    pub fn answer(&mut self, inquiry: &mut Inquiry, now: Instant) -> bool {
        if let Inquiry::Equip(state) = inquiry {
            *state = state.take().and_then(|state| self.equip(state));
            return true;
        }
        match self.state() {
            Some(state) => state.answer(inquiry, now),
            None => {
                match inquiry {
                    Inquiry::Flows { from, .. } | Inquiry::Mappings { from, .. } => *from = None,
                    Inquiry::Flush { stamps, .. } => stamps.clear(),
                    Inquiry::Pools { .. } | Inquiry::Equip(_) => {}
                }
                true
            }
        }
    }
}

impl State {
    fn answer(&mut self, inquiry: &mut Inquiry, now: Instant) -> bool {
        match inquiry {
            Inquiry::Flows { from, rows } => {
                let Some(start) = *from else { return true };
                let end = start.saturating_add(SLOTS).min(self.table.slots());
                for slot in start..end {
                    if rows.len() == rows.capacity() {
                        *from = Some(slot);
                        return true;
                    }
                    if let Some(row) = self.table.stamped(FlowId(slot)) {
                        rows.push(row);
                    }
                }
                *from = (end < self.table.slots()).then_some(end);
                from.is_none()
            }
            Inquiry::Mappings { from, rows } => {
                let Some(start) = *from else { return true };
                let end = start.saturating_add(SLOTS).min(self.masquerading.slots());
                for slot in start..end {
                    if rows.len() == rows.capacity() {
                        *from = Some(slot);
                        return true;
                    }
                    if let Some(row) = self.masquerading.mapping(portcullis_nat::MappingId(slot)) {
                        rows.push(row);
                    }
                }
                *from = (end < self.masquerading.slots()).then_some(end);
                from.is_none()
            }
            Inquiry::Pools { rows, log_suppressed, events_lost } => {
                let room = rows.capacity();
                rows.extend(self.masquerading.pools().take(room));
                *log_suppressed = self.log_suppressed();
                *events_lost = self.events.lost();
                true
            }
            Inquiry::Flush { stamps, ended } => {
                for _ in 0..ENDS {
                    let Some(stamp) = stamps.pop() else { break };
                    *ended += u64::from(self.flush(stamp, now));
                }
                stamps.is_empty()
            }
            Inquiry::Equip(_) => true,
        }
    }
}
