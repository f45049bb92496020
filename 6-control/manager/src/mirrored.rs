//! A table of the kernel's, kept as it announces changes, and put right by a dump after
//! announcements were lost.

use std::collections::{BTreeMap, BTreeSet};

/// Where news comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Origin {
    /// A change was announced.
    Announced,
    /// A line of a dump. It may be older than an announcement that came before it.
    Dumped,
}

/// What a piece of news changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum News<V> {
    /// Nothing.
    None,
    /// It is new.
    Added,
    /// It was this before.
    Changed(V),
}

/// A table by key.
#[derive(Debug)]
pub(crate) struct Mirrored<K, V> {
    entries: BTreeMap<K, Entry<V>>,
    /// The colour of what is certain to be there; see [`Self::begin_sync`].
    colour: bool,
    running: bool,
    /// Announced since the dump began.
    settled: BTreeSet<K>,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    colour: bool,
}

impl<K, V> Default for Mirrored<K, V> {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), colour: false, running: false, settled: BTreeSet::new() }
    }
}

impl<K: Ord + Copy, V: PartialEq> Mirrored<K, V> {
    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|entry| &entry.value)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter().map(|(key, entry)| (key, &entry.value))
    }

    /// It is there, and this is what it is.
    pub(crate) fn set(&mut self, key: K, value: V, origin: Origin) -> News<V> {
        let colour = self.colour;
        match origin {
            Origin::Announced if self.running => {
                self.settled.insert(key);
            }
            Origin::Dumped if self.settled.contains(&key) => return News::None,
            Origin::Announced | Origin::Dumped => {}
        }
        match self.entries.get_mut(&key) {
            Some(entry) => {
                entry.colour = colour;
                if entry.value == value {
                    return News::None;
                }
                News::Changed(std::mem::replace(&mut entry.value, value))
            }
            None => {
                self.entries.insert(key, Entry { value, colour });
                News::Added
            }
        }
    }

    /// It is gone.
    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        if self.running {
            self.settled.insert(*key);
        }
        self.entries.remove(key).map(|entry| entry.value)
    }

    /// A dump begins. What it mentions, or what is announced meanwhile, gets the other colour.
    pub(crate) fn begin_sync(&mut self) {
        if !self.running {
            self.running = true;
            self.colour = !self.colour;
        }
    }

    /// The dump failed: whatever is known is taken to be there.
    pub(crate) fn abort_sync(&mut self) {
        self.running = false;
        self.settled.clear();
        for entry in self.entries.values_mut() {
            entry.colour = self.colour;
        }
    }

    /// The dump is complete. What has the old colour is gone; it is returned.
    pub(crate) fn finish_sync(&mut self) -> Vec<(K, V)> {
        if !self.running {
            return Vec::new();
        }
        self.running = false;
        self.settled.clear();
        let colour = self.colour;
        let gone = self.entries.extract_if(.., |_, entry| entry.colour != colour);
        gone.map(|(key, entry)| (key, entry.value)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Origin::{Announced, Dumped};

    #[test]
    fn what_a_dump_does_not_mention_is_gone() {
        let mut table = Mirrored::default();
        assert_eq!(table.set(1, 'a', Announced), News::Added);
        assert_eq!(table.set(2, 'b', Announced), News::Added);
        table.begin_sync();
        assert_eq!(table.set(2, 'B', Dumped), News::Changed('b'));
        assert_eq!(table.set(3, 'c', Announced), News::Added);
        assert_eq!(table.finish_sync(), [(1, 'a')]);
        table.begin_sync();
        assert_eq!(table.set(3, 'c', Dumped), News::None);
        assert_eq!(table.finish_sync(), [(2, 'B')]);
    }

    #[test]
    fn an_announcement_counts_more_than_a_dump_that_began_before_it() {
        let mut table = Mirrored::default();
        table.set(1, 'a', Announced);
        table.begin_sync();
        table.remove(&1);
        table.set(2, 'n', Announced);
        assert_eq!(table.set(1, 'a', Dumped), News::None, "it went while the dump was made");
        assert_eq!(table.set(2, 'o', Dumped), News::None, "and this one changed");
        assert_eq!(table.finish_sync(), []);
        assert_eq!((table.get(&1), table.get(&2)), (None, Some(&'n')));
    }
}
