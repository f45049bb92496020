//! "Did you mean ...?"

/// Longer words are not compared.
const LONGEST: usize = 64;

/// The candidate nearest to `word`, if one is near enough to have been meant.
pub(crate) fn nearest<'c>(
    word: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<&'c str> {
    if word.len() > LONGEST {
        return None;
    }
    let folded = |text: &str| text.to_ascii_lowercase().replace('_', "-");
    let near_enough = 1 + word.chars().count() / 4;
    candidates
        .into_iter()
        .map(|candidate| (distance(&folded(word), &folded(candidate)), candidate))
        .filter(|&(distance, _)| distance <= near_enough)
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

/// How many slips make `b` out of `a`: a character too many, one too few, a wrong one, or two
/// exchanged (the optimal string alignment distance).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    let mut previous = None;
    for (i, from) in a.chars().enumerate() {
        let mut row = vec![i + 1];
        for (j, &to) in b.iter().enumerate() {
            let at = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX);
            let mut best = (at(&last, j) + usize::from(from != to))
                .min(at(&last, j + 1) + 1)
                .min(at(&row, j) + 1);
            if j > 0 && previous == Some(to) && b.get(j - 1) == Some(&from) {
                best = best.min(at(&before_last, j - 1) + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
        previous = Some(from);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognized_and_another_word_is_not() {
        let keys = ["name", "device", "addresses", "link-namespace"];
        assert_eq!(nearest("adresses", keys), Some("addresses"));
        assert_eq!(nearest("link_namespace", keys), Some("link-namespace"));
        assert_eq!(nearest("Name", keys), Some("name"));
        assert_eq!(nearest("nmae", keys), Some("name"));
        assert_eq!(nearest("colour", keys), None);
        assert_eq!(nearest(&"x".repeat(1_000_000), keys), None);
    }

    #[test]
    fn the_distance_counts_slips() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("same", "same"), 0);
        assert_eq!(distance("vai", "via"), 1);
        assert_eq!(distance("ab", "bca"), 3);
    }
}
