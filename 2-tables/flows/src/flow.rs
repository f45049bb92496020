//! A flow: three cache lines.

use crate::key::Direction;
use crate::line::Line;
use crate::sources::SourceId;
use crate::tick::Tick;
use crate::wheel::Link;

/// What the table's user keeps with each flow.
pub trait FlowState: Copy {
    /// What stands in places without a flow.
    fn vacant() -> Self;
    /// Whether the flow is more than an attempt: it is not put out to make room for another one.
    fn is_established(&self) -> bool;
}

/// A flow.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct Flow<S> {
    /// Its two directions.
    pub lines: [Line; 2],
    pub(crate) link: Link,
    last_seen: u32,
    timeout: u32,
    pub(crate) source: SourceId,
    /// What its user keeps with it.
    pub state: S,
}

/// A flow that is not there yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) now: Tick,
    pub(crate) timeout: u32,
}

impl<S: FlowState> Flow<S> {
    pub(crate) fn vacant() -> Self {
        Self {
            lines: [Line::default(); 2],
            link: Link::NONE,
            last_seen: 0,
            timeout: 0,
            source: SourceId(0),
            state: S::vacant(),
        }
    }

    pub(crate) fn begin(&mut self, lines: [Line; 2], source: SourceId, times: Times, state: S) {
        self.lines = lines;
        self.last_seen = times.now.0;
        self.timeout = times.timeout;
        self.source = source;
        self.link.generation = self.link.generation.wrapping_add(1);
        self.state = state;
    }

    pub(crate) fn end(&mut self) {
        self.lines = [Line::default(); 2];
    }
}

impl<S> Flow<S> {
    /// Whether it is one, and no free place.
    #[inline(always)]
    pub(crate) fn is_live(&self) -> bool {
        let [original, _] = &self.lines;
        original.is_live()
    }

    /// A direction.
    #[inline(always)]
    #[must_use]
    pub const fn line(&self, direction: Direction) -> &Line {
        let [original, reply] = &self.lines;
        match direction {
            Direction::Original => original,
            Direction::Reply => reply,
        }
    }

    /// A direction, to be changed.
    #[inline(always)]
    pub const fn line_mut(&mut self, direction: Direction) -> &mut Line {
        let [original, reply] = &mut self.lines;
        match direction {
            Direction::Original => original,
            Direction::Reply => reply,
        }
    }

    /// A packet has been seen: the flow lives for another timeout.
    #[inline(always)]
    pub const fn touch(&mut self, now: Tick) {
        self.last_seen = now.0;
    }

    /// When its last packet was seen.
    #[must_use]
    pub const fn last_seen(&self) -> Tick {
        Tick(self.last_seen)
    }

    /// How long it lives without packets, in ticks.
    #[must_use]
    pub const fn timeout(&self) -> u32 {
        self.timeout
    }

    /// Sets that. If it is shorter than before, [`FlowTable::rearm`](crate::FlowTable::rearm) is to be called, or the
    /// flow is noticed to be over too late.
    pub const fn set_timeout(&mut self, ticks: u32) {
        self.timeout = ticks;
    }

    /// When it ends if no packet comes.
    #[must_use]
    pub const fn deadline(&self) -> Tick {
        Tick(self.last_seen).after(self.timeout)
    }
}
