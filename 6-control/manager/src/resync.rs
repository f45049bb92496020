//! Reading the kernel's tables as a whole: at the start, and whenever changes may have been missed.
//!
//! One dump follows the other, in the order of [`Dump::ALL`]. A dump during which the table
//! changed so that lines may be missing (`NLM_F_DUMP_INTR`) is made again.

use crate::netlink::Dump;

/// A table that keeps changing is read so often; then what was announced has to do.
const ATTEMPTS: u32 = 4;

/// A dump whose end has not come after so many ticks is given up.
const MAX_TICKS: u32 = 30;

/// What follows the end of a dump.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ended {
    /// It is complete.
    Complete,
    /// It has to be made again.
    Repeat,
    /// The kernel would not make it; what is known is kept.
    Failed,
    /// Nobody asked for it.
    Unknown,
}

/// Where a reading is.
#[derive(Debug, Default)]
pub(crate) struct Resync {
    /// Position in [`Dump::ALL`] of the dump that is made, or is to be made next.
    at: Option<usize>,
    asked: Option<u32>,
    sequence: u32,
    attempts: u32,
    interrupted: bool,
    again: bool,
    incomplete: bool,
    /// The request that was waited for at the last tick, and for how many ticks.
    waited: (u32, u32),
    finished: u64,
}

impl Resync {
    /// Asks for a reading from the beginning. One that is under way is finished first.
    pub(crate) fn request(&mut self) {
        if self.at.is_some() {
            self.again = true;
        } else {
            self.at = Some(0);
            self.attempts = 0;
        }
    }

    /// Whether a reading is under way.
    pub(crate) const fn is_running(&self) -> bool {
        self.at.is_some()
    }

    /// How many readings are complete.
    pub(crate) const fn finished(&self) -> u64 {
        self.finished
    }

    /// The dump to ask for now, if any, with the number to give the request. The kernel makes one
    /// at a time.
    pub(crate) fn next(&mut self) -> Option<(Dump, u32)> {
        let dump = *Dump::ALL.get(self.at?)?;
        if self.asked.is_some() {
            return None;
        }
        self.sequence = self.sequence.wrapping_add(1).max(1);
        self.asked = Some(self.sequence);
        self.interrupted = false;
        Some((dump, self.sequence))
    }

    /// The dump that is made, or is to be made next.
    pub(crate) fn current(&self) -> Option<Dump> {
        Dump::ALL.get(self.at?).copied()
    }

    /// Whether a message with this number belongs to the dump that was asked for.
    pub(crate) fn is_current(&self, sequence: u32) -> bool {
        self.asked == Some(sequence)
    }

    /// The kernel says that lines may be missing.
    pub(crate) const fn interrupted(&mut self) {
        self.interrupted = true;
    }

    /// To be called now and then: a reading that failed is made again, and a dump whose end does
    /// not come is given up. The number of that dump, if there is one.
    pub(crate) fn tick(&mut self) -> Option<u32> {
        if self.at.is_none() && std::mem::take(&mut self.incomplete) {
            self.request();
        }
        let sequence = self.asked?;
        self.waited = match self.waited {
            (waited, ticks) if waited == sequence => (sequence, ticks + 1),
            _ => (sequence, 0),
        };
        (self.waited.1 >= MAX_TICKS).then_some(sequence)
    }

    /// The dump with this number has ended, or was refused.
    pub(crate) fn ended(&mut self, sequence: u32, refused: bool) -> Ended {
        let (Some(at), true) = (self.at, self.is_current(sequence)) else { return Ended::Unknown };
        self.asked = None;
        self.attempts += 1;
        if (self.interrupted || refused) && self.attempts < ATTEMPTS {
            return Ended::Repeat;
        }
        self.attempts = 0;
        self.incomplete |= refused;
        self.at = Some(at + 1).filter(|at| *at < Dump::ALL.len());
        if self.at.is_none() {
            self.finished += 1;
            if std::mem::take(&mut self.again) {
                self.at = Some(0);
            }
        }
        if refused { Ended::Failed } else { Ended::Complete }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(resync: &mut Resync) -> Vec<Dump> {
        let mut order = vec![];
        while let Some((dump, sequence)) = resync.next() {
            assert_eq!(resync.next(), None, "one at a time");
            assert_eq!(resync.current(), Some(dump));
            assert_eq!(resync.ended(sequence, false), Ended::Complete);
            order.push(dump);
            if resync.finished() > 0 {
                break;
            }
        }
        order
    }

    #[test]
    fn everything_is_read_once_in_order() {
        let mut resync = Resync::default();
        assert_eq!(resync.next(), None);
        resync.request();
        assert_eq!(run(&mut resync), Dump::ALL);
        assert!(!resync.is_running());
    }

    #[test]
    fn an_interrupted_dump_is_made_again_but_not_for_ever() {
        let mut resync = Resync::default();
        resync.request();
        let mut repeats = 0;
        let complete = loop {
            let (_, sequence) = resync.next().expect("a dump");
            resync.interrupted();
            match resync.ended(sequence, false) {
                Ended::Repeat => repeats += 1,
                other => break other,
            }
        };
        assert_eq!(complete, Ended::Complete);
        assert_eq!(repeats, ATTEMPTS - 1);
    }

    #[test]
    fn a_refused_dump_is_never_taken_for_an_empty_table() {
        let mut resync = Resync::default();
        resync.request();
        let failed = (0..ATTEMPTS).map(|_| {
            let (_, sequence) = resync.next().expect("a dump");
            resync.ended(sequence, true)
        });
        assert_eq!(failed.last(), Some(Ended::Failed));
        let (dump, sequence) = resync.next().expect("a dump");
        assert_eq!(dump, Dump::Addresses4);
        assert_eq!(resync.ended(sequence, false), Ended::Complete);
        run(&mut resync);
        assert!(!resync.is_running());
        assert_eq!(resync.tick(), None);
        assert!(resync.is_running(), "it is tried again");
    }

    #[test]
    fn a_dump_that_does_not_end_is_given_up() {
        let mut resync = Resync::default();
        resync.request();
        let (_, sequence) = resync.next().expect("a dump");
        let ticks = (0..100).take_while(|_| resync.tick().is_none()).count();
        assert_eq!(ticks, MAX_TICKS as usize);
        assert_eq!(resync.tick(), Some(sequence));
    }

    #[test]
    fn a_reading_asked_for_during_a_reading_follows_it() {
        let mut resync = Resync::default();
        resync.request();
        let _ = resync.next();
        resync.request();
        resync.request();
        assert_eq!(resync.ended(77, false), Ended::Unknown);
        assert_eq!(resync.ended(1, false), Ended::Complete);
        run(&mut resync);
        assert_eq!(resync.finished(), 1);
        assert!(resync.is_running(), "once more, from the beginning");
        assert_eq!(resync.next().map(|(dump, _)| dump), Some(Dump::Links));
    }
}
