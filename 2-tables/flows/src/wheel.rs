//! Timers: a wheel of lists of flows, linked through the flows themselves.
//!
//! A flow is in the list of the tick at which it would end if nothing more came; each packet only notes the
//! time. When the tick comes, a flow that has been busy moves on to its new tick. So a packet costs nothing
//! here, and a flow is looked at once per timeout.

use crate::tick::Tick;

/// Ticks of one turn: 18 minutes. Flows that live longer are looked at once a turn.
const SLOTS: u32 = 8192;

const NONE: u32 = u32::MAX;

/// A flow's place in a list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    previous: u32,
    next: u32,
    slot: u16,
    /// How often the place was used: not the wheel's affair, but there is room for it here.
    pub(crate) generation: u16,
}

impl Link {
    pub(crate) const NONE: Self = Self { previous: NONE, next: NONE, slot: 0, generation: 0 };

    /// A place in the list of those that are free, before another one.
    pub(crate) const fn free(self, next: Option<u32>) -> Self {
        let next = match next {
            Some(next) => next,
            None => NONE,
        };
        Self { next, generation: self.generation, ..Self::NONE }
    }

    pub(crate) fn next(self) -> Option<u32> {
        (self.next != NONE).then_some(self.next)
    }
}

/// Where the links are.
pub(crate) trait Links {
    fn link(&mut self, at: u32) -> Option<&mut Link>;
}

#[derive(Debug)]
pub(crate) struct Wheel {
    heads: Vec<u32>,
    /// The first tick that was not finished yet.
    cursor: u32,
}

impl Wheel {
    pub(crate) fn new() -> Self {
        Self { heads: vec![NONE; SLOTS as usize], cursor: 0 }
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.heads.len() * size_of::<u32>()
    }

    /// Puts a flow into the list of a tick, or of the last one of this turn if that is further away.
    pub(crate) fn insert(&mut self, links: &mut impl Links, at: u32, deadline: Tick) {
        let tick = deadline.0.clamp(self.cursor, self.cursor.saturating_add(SLOTS - 1));
        let slot = tick % SLOTS;
        let Some(head) = self.heads.get_mut(slot as usize) else { return };
        let next = std::mem::replace(head, at);
        if let Some(link) = links.link(at) {
            *link = Link { previous: NONE, next, slot: slot as u16, ..*link };
        }
        if let Some(link) = links.link(next) {
            link.previous = at;
        }
    }

    /// Takes a flow out of its list.
    pub(crate) fn remove(&mut self, links: &mut impl Links, at: u32) {
        let Some(link) = links.link(at) else { return };
        let Link { previous, next, slot, .. } = *link;
        *link = link.free(None);
        if let Some(link) = links.link(next) {
            link.previous = previous;
        }
        match links.link(previous) {
            Some(link) => link.next = next,
            None => {
                if let Some(head) = self.heads.get_mut(usize::from(slot)) {
                    *head = next;
                }
            }
        }
    }

    /// A flow whose tick has come, which stays in its list; none if there are no more up to `now`.
    pub(crate) fn due(&mut self, now: Tick) -> Option<u32> {
        // After a long sleep every list has come, and each is looked at once.
        self.cursor = self.cursor.max(now.0.saturating_sub(SLOTS - 1));
        loop {
            let head = self.heads.get((self.cursor % SLOTS) as usize).copied()?;
            if head != NONE && self.cursor <= now.0 {
                return Some(head);
            }
            if self.cursor > now.0 {
                return None;
            }
            self.cursor += 1;
        }
    }

    /// Whether a tick has come that was not looked at.
    #[inline]
    pub(crate) const fn is_behind(&self, now: Tick) -> bool {
        self.cursor <= now.0
    }
}
