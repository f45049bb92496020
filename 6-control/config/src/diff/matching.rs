//! Which elements of two lists are the same thing, and which of those have moved.

use std::collections::HashMap;

/// What became of an element.
pub(super) enum Event<'a, T> {
    Removed(&'a T),
    Added(&'a T),
    Changed(&'a T, &'a T),
    /// From one place to another, counted from 1.
    Moved {
        item: &'a T,
        from: usize,
        to: usize,
    },
}

/// What became of the elements of a list. Elements with the same key are the same; if several have
/// one key, the first is the first, and so on.
pub(super) fn events<'a, T: PartialEq>(
    old: &'a [T],
    new: &'a [T],
    key: impl Fn(&T) -> String,
) -> Vec<Event<'a, T>> {
    if old == new {
        return Vec::new();
    }
    let mut places: HashMap<(String, usize), usize> = keys(old, &key).zip(0..).collect();
    let matched: Vec<Option<usize>> = keys(new, &key).map(|key| places.remove(&key)).collect();
    let mut removed: Vec<usize> = places.into_values().collect();
    removed.sort_unstable();
    let mut events: Vec<Event<'a, T>> =
        removed.into_iter().filter_map(|at| old.get(at)).map(Event::Removed).collect();
    let kept: Vec<usize> = matched.iter().copied().flatten().collect();
    let mut still = longest_ascending(&kept).into_iter().peekable();
    for (to, (item, from)) in new.iter().zip(matched).enumerate() {
        let Some((from, before)) = from.and_then(|at| Some((at, old.get(at)?))) else {
            events.push(Event::Added(item));
            continue;
        };
        if before != item {
            events.push(Event::Changed(before, item));
        }
        if still.next_if_eq(&from).is_none() {
            events.push(Event::Moved { item, from: from + 1, to: to + 1 });
        }
    }
    events
}

/// The keys of a list, each with how many equal ones came before it.
fn keys<T>(list: &[T], key: impl Fn(&T) -> String) -> impl Iterator<Item = (String, usize)> {
    let mut seen: HashMap<String, usize> = HashMap::with_capacity(list.len());
    list.iter().map(move |item| {
        let key = key(item);
        let count = seen.entry(key.clone()).or_default();
        *count += 1;
        (key, *count)
    })
}

/// The longest ascending subsequence of different numbers: what has not moved.
fn longest_ascending(numbers: &[usize]) -> Vec<usize> {
    // Of each length, where the subsequence of that length ends that ends with the least number.
    let mut ends: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = Vec::with_capacity(numbers.len());
    for (at, &number) in numbers.iter().enumerate() {
        let length = ends.partition_point(|&end| numbers.get(end).is_some_and(|&n| n < number));
        before.push(length.checked_sub(1).and_then(|shorter| ends.get(shorter).copied()));
        match ends.get_mut(length) {
            Some(end) => *end = at,
            None => ends.push(at),
        }
    }
    let mut at = ends.last().copied();
    let mut found = Vec::with_capacity(ends.len());
    while let Some(here) = at {
        found.extend(numbers.get(here));
        at = before.get(here).copied().flatten();
    }
    found.reverse();
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(old: &[&str], new: &[&str]) -> Vec<String> {
        // The first letter is the key.
        events(old, new, |item| item.chars().take(1).collect())
            .into_iter()
            .map(|event| match event {
                Event::Removed(item) => format!("-{item}"),
                Event::Added(item) => format!("+{item}"),
                Event::Changed(old, new) => format!("{old}~{new}"),
                Event::Moved { item, from, to } => format!("{item}:{from}>{to}"),
            })
            .collect()
    }

    #[test]
    fn what_is_first_now_has_moved_and_the_others_have_not() {
        assert_eq!(told(&["a", "b", "c"], &["c", "a", "b"]), ["c:3>1"]);
        assert_eq!(told(&["a", "b", "c"], &["a", "x", "b", "c"]), ["+x"]);
        assert_eq!(told(&["a", "b", "c"], &["a", "c"]), ["-b"]);
        assert_eq!(told(&["a", "b1"], &["b2", "a"]), ["b1~b2", "b2:2>1"]);
        assert_eq!(told(&["a", "a"], &["a"]), ["-a"]);
    }

    proptest! {
        #[test]
        fn lists_that_differ_have_events_and_others_none(
            old in prop::collection::vec("[a-d][12]", 0..8),
            new in prop::collection::vec("[a-d][12]", 0..8),
        ) {
            let count = events(&old, &new, |item| item[..1].to_owned()).len();
            prop_assert_eq!(count == 0, old == new);
        }

        #[test]
        fn the_subsequence_ascends_and_is_the_longest(numbers in Just((0..9_usize).collect::<Vec<_>>()).prop_shuffle()) {
            let found = longest_ascending(&numbers);
            prop_assert!(found.is_sorted());
            let mut longest = vec![1; numbers.len()];
            for at in 0..numbers.len() {
                for earlier in 0..at {
                    if numbers[earlier] < numbers[at] {
                        longest[at] = longest[at].max(longest[earlier] + 1);
                    }
                }
            }
            prop_assert_eq!(Some(found.len()), longest.into_iter().max());
        }
    }
}
