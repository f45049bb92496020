//! What `portcullis show --json` says, as far as the tests look at it.

use serde_json::Value;

/// The packets dropped for a reason, over all workers and interfaces.
pub(crate) fn drops(shown: &Value, reason: &str) -> u64 {
    match shown {
        Value::Array(items) => items.iter().map(|item| drops(item, reason)).sum(),
        Value::Object(fields) => {
            if fields.get("reason").and_then(Value::as_str) == Some(reason) {
                return fields.get("packets").and_then(Value::as_u64).unwrap_or(0);
            }
            fields.values().map(|field| drops(field, reason)).sum()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

/// Whether some route goes to just this prefix.
pub(crate) fn has_route(shown: &Value, prefix: &str) -> bool {
    prefixes(shown).iter().any(|to| to == prefix)
}

/// How many routes have a prefix of this length.
pub(crate) fn routes_of_length(shown: &Value, length: u8) -> usize {
    let end = format!("/{length}");
    prefixes(shown).iter().filter(|to| to.ends_with(&end)).count()
}

fn prefixes(shown: &Value) -> Vec<String> {
    match shown {
        Value::Array(items) => items.iter().flat_map(prefixes).collect(),
        Value::Object(fields) => match fields.get("to").and_then(Value::as_str) {
            Some(to) => vec![to.to_owned()],
            None => fields.values().flat_map(prefixes).collect(),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}
