//! What was configured and no longer is.

use std::time::Duration;

use portcullis_packet::Instant;

use super::retry::Retry;

/// So long it is looked for: what the kernel was asked to make last may not be in the mirror yet, and
/// would stay for ever. After that, whoever makes the same may have it.
const LOOKED_FOR: Duration = Duration::from_secs(3);

/// What is to be taken out of the kernel, by name.
#[derive(Debug)]
pub(super) struct Withdrawn<K>(Vec<Entry<K>>);

#[derive(Debug)]
struct Entry<K> {
    name: K,
    until: Instant,
    retry: Retry,
}

impl<K> Default for Withdrawn<K> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Copy> Withdrawn<K> {
    /// It is no longer configured.
    pub(super) fn add(&mut self, name: K, now: Instant) {
        self.0.push(Entry { name, until: now + LOOKED_FOR, retry: Retry::new() });
    }

    /// Keeps only those that are not configured again.
    pub(super) fn retain(&mut self, keep: impl Fn(&K) -> bool) {
        self.0.retain(|entry| keep(&entry.name));
    }

    /// Those of which something is there that may be asked to go now.
    ///
    /// They are forgotten when nothing has been seen of them for some time, and if it is `certain`
    /// that what is not seen is not there.
    pub(super) fn due(
        &mut self,
        now: Instant,
        certain: bool,
        is_there: impl Fn(&K) -> bool,
    ) -> Vec<K> {
        let mut due = vec![];
        self.0.retain_mut(|entry| {
            let there = is_there(&entry.name);
            if there && entry.retry.is_due(now) {
                due.push(entry.name);
            }
            there || !certain || now < entry.until
        });
        due
    }
}
