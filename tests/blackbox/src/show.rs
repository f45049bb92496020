//! What `portcullis show --json` says, as far as the tests look at it.

use serde_json::Value;

/// The rows of an answer, whether they come as one list or each for itself.
pub(crate) fn rows(answer: &str) -> Result<Vec<Value>, serde_json::Error> {
    let mut rows = Vec::new();
    for value in serde_json::Deserializer::from_str(answer).into_iter() {
        match value? {
            Value::Array(items) => rows.extend(items),
            other => rows.push(other),
        }
    }
    Ok(rows)
}

/// The packets dropped for a reason.
pub(crate) fn drops(rows: &[Value], reason: &str) -> u64 {
    let of_reason = rows.iter().filter(|row| row["reason"] == reason);
    of_reason.filter_map(|row| row["packets"].as_u64()).sum()
}

/// The prefixes that the dataplane forwards by.
pub(crate) fn prefixes(rows: &[Value]) -> impl Iterator<Item = &str> {
    let installed = rows.iter().filter(|row| row["installed"] == true);
    installed.filter_map(|row| row["prefix"].as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_in_a_list_and_line_by_line() {
        let drop = r#"{"reason":"no-route","packets":3}"#;
        for answer in [format!("[{drop},{drop}]"), format!("{drop}\n{drop}\n")] {
            let rows = rows(&answer).expect("JSON");
            assert_eq!(drops(&rows, "no-route"), 6);
            assert_eq!(drops(&rows, "ttl-exceeded"), 0);
        }
    }

    #[test]
    fn routes_that_are_not_installed_do_not_count() {
        let answer = r#"[{"prefix":"10.0.0.0/8","installed":true},
                         {"prefix":"10.1.0.0/16","installed":false}]"#;
        let rows = rows(answer).expect("JSON");
        assert_eq!(prefixes(&rows).collect::<Vec<_>>(), ["10.0.0.0/8"]);
    }
}
