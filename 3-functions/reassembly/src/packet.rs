//! What is known of one packet that comes in fragments.

use portcullis_packet::{DropReason, Ports};

use crate::reassembly::Part;

/// Fragments of one packet: enough for 64 KiB over links of the least MTU there is in practice, 1280 bytes.
pub(crate) const MAX_PARTS: usize = 64;

/// The pieces of a packet that have been seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pieces {
    /// Begin and end of each.
    parts: [(u16, u32); MAX_PARTS],
    count: u8,
    /// The packet's length, once its last fragment was seen.
    length: Option<u32>,
    /// What was learnt from the first fragment.
    pub(crate) ports: Option<Ports>,
    /// It is given up.
    pub(crate) dead: bool,
}

impl Pieces {
    pub(crate) const NONE: Self =
        Self { parts: [(0, 0); MAX_PARTS], count: 0, length: None, ports: None, dead: false };

    /// Notes a fragment. One that was seen before is no fault.
    pub(crate) fn add(&mut self, part: &Part) -> Result<(), DropReason> {
        if self.dead {
            return Err(DropReason::FragmentOverlap);
        }
        let added = self.try_add(part);
        if matches!(added, Err(DropReason::FragmentOverlap)) {
            self.dead = true;
        }
        added
    }

    fn try_add(&mut self, part: &Part) -> Result<(), DropReason> {
        let (begin, end) = (part.offset, u32::from(part.offset) + u32::from(part.length));
        let known = self.parts.get(..usize::from(self.count)).unwrap_or_default();
        for &(other_begin, other_end) in known {
            if (other_begin, other_end) == (begin, end) {
                return Ok(());
            }
            if u32::from(begin) < other_end && u32::from(other_begin) < end {
                return Err(DropReason::FragmentOverlap);
            }
        }
        let furthest = known.iter().map(|&(_, end)| end).max().unwrap_or(0);
        if self.length.is_some_and(|length| end > length || !part.more) {
            return Err(DropReason::FragmentOverlap);
        }
        if !part.more {
            if furthest > end {
                return Err(DropReason::FragmentOverlap);
            }
            self.length = Some(end);
        }
        let slot = self.parts.get_mut(usize::from(self.count));
        *slot.ok_or(DropReason::FragmentQueueFull)? = (begin, end);
        self.count += 1;
        if part.offset == 0 && self.ports.is_none() {
            self.ports = part.first;
        }
        Ok(())
    }

    /// Whether every byte was seen.
    pub(crate) fn is_complete(&self) -> bool {
        let known = self.parts.get(..usize::from(self.count)).unwrap_or_default();
        let seen: u32 = known.iter().map(|&(begin, end)| end - u32::from(begin)).sum();
        self.length == Some(seen)
    }
}
