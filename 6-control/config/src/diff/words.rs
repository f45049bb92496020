//! Values and their changes in words.

use std::collections::HashSet;

use serde_json::{Map, Value};

/// Most elements of a list that are named.
const MAX_NAMED: usize = 8;

/// Longest list that is shown whole where it changes.
const SHORT: usize = 3;

/// A change for each key whose value is not the same. `absent` is what it means that a key is left
/// out.
pub(super) fn differences(
    old: &Map<String, Value>,
    new: &Map<String, Value>,
    absent: &str,
) -> Vec<String> {
    let mut keys: Vec<&String> = old.keys().chain(new.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    let mut found = Vec::new();
    for key in keys {
        let (before, after) = (old.get(key), new.get(key));
        if before == after {
            continue;
        }
        found.push(match (before, after) {
            (Some(Value::Array(before)), Some(Value::Array(after)))
                if before.len().max(after.len()) > SHORT =>
            {
                format!("{key} {}", list_change(before, after))
            }
            _ => {
                let say = |value: Option<&Value>| value.map_or_else(|| absent.to_owned(), text);
                format!("{key} {} becomes {}", say(before), say(after))
            }
        });
    }
    found
}

/// How one list becomes another.
fn list_change(old: &[Value], new: &[Value]) -> String {
    let less = |from: &[Value], what: &[Value]| -> Vec<Value> {
        let without: HashSet<&Value> = what.iter().collect();
        from.iter().filter(|value| !without.contains(value)).cloned().collect()
    };
    let (added, removed) = (less(new, old), less(old, new));
    match (added.is_empty(), removed.is_empty()) {
        (true, true) => "is in another order".to_owned(),
        (false, true) => format!("gets {}", list(&added)),
        (true, false) => format!("loses {}", list(&removed)),
        (false, false) => format!("gets {} and loses {}", list(&added), list(&removed)),
    }
}

/// The keys that say something, with their values.
pub(super) fn summary(fields: &Map<String, Value>, without: &[&str]) -> String {
    let mut said = Vec::new();
    for (key, value) in fields.iter().filter(|(key, _)| !without.contains(&key.as_str())) {
        match value {
            Value::Bool(true) => said.push(key.clone()),
            Value::Bool(false) => {}
            Value::Array(elements) if elements.is_empty() => {}
            value => said.push(format!("{key} {}", text(value))),
        }
    }
    said.join(", ")
}

/// A value.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(elements) => list(elements),
        other => other.to_string(),
    }
}

fn list(elements: &[Value]) -> String {
    if elements.is_empty() {
        return "nothing".to_owned();
    }
    let named: Vec<String> = elements.iter().take(MAX_NAMED).map(text).collect();
    let more = elements.len().saturating_sub(MAX_NAMED);
    if more == 0 { named.join(", ") } else { format!("{} and {more} more", named.join(", ")) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(old: Value, new: Value) -> Vec<String> {
        let (Value::Object(old), Value::Object(new)) = (old, new) else { return Vec::new() };
        differences(&old, &new, "any")
    }

    #[test]
    fn each_key_that_changes_is_said() {
        let said = told(json!({"a": 1, "b": "x", "c": true}), json!({"a": 2, "c": true, "d": []}));
        assert_eq!(said, ["a 1 becomes 2", "b x becomes any", "d any becomes nothing"]);
    }

    #[test]
    fn of_long_lists_only_the_difference_is_said() {
        let long = |numbers: std::ops::Range<u32>| json!({"s": numbers.collect::<Vec<_>>()});
        assert_eq!(told(long(0..5), long(0..6)), ["s gets 5"]);
        assert_eq!(told(long(0..5), long(1..6)), ["s gets 5 and loses 0"]);
        let thousand = told(long(0..4), long(0..1004));
        assert_eq!(thousand, ["s gets 4, 5, 6, 7, 8, 9, 10, 11 and 992 more"]);
        let reordered = told(json!({"s": [1, 2, 3, 4]}), json!({"s": [4, 3, 2, 1]}));
        assert_eq!(reordered, ["s is in another order"]);
    }
}
