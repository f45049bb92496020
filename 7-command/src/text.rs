//! Numbers, times and names for people.

/// A number with its thousands apart: `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of bytes with a unit: `1.2 GB`.
pub(crate) fn bytes(number: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if number < 1000 {
        return format!("{number} B");
    }
    let mut value = number as f64 / 1000.0;
    let mut unit = "kB";
    for next in UNITS {
        unit = next;
        if value < 999.95 {
            break;
        }
        value /= 1000.0;
    }
    format!("{value:.1} {unit}")
}

/// Text from elsewhere, without anything that would move the cursor.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// A number of things: `1 flow`, `1,234 flows`.
pub(crate) fn counted(number: u64, what: &str) -> String {
    format!("{} {what}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// A time, to the second, minute, hour or day, whichever says enough.
pub(crate) fn duration(seconds: f64) -> String {
    // What is no number of seconds becomes 0, or as many as there can be.
    let seconds = seconds as u64;
    match seconds {
        0..600 => format!("{seconds} s"),
        600..36_000 => format!("{} min", seconds / 60),
        36_000..864_000 => format!("{} h", seconds / 3600),
        _ => format!("{} d", grouped(seconds / 86_400)),
    }
}

/// The first of several, and how many more there are; `any` if there are none.
pub(crate) fn first_of<T: ToString>(several: &[T]) -> String {
    match several {
        [] => "any".to_owned(),
        [only] => printable(&only.to_string()),
        [first, more @ ..] => format!("{} +{}", printable(&first.to_string()), more.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_easy_to_read() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(u64::MAX), "18,446,744,073,709,551,615");
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1_500), "1.5 kB");
        assert_eq!(bytes(999_999), "1.0 MB");
        assert_eq!(bytes(u64::MAX), "18.4 EB");
    }

    #[test]
    fn times_are_as_exact_as_they_need_to_be() {
        for (seconds, text) in [
            (0.9, "0 s"),
            (599.9, "599 s"),
            (600.0, "10 min"),
            (7440.0, "124 min"),
            (36_000.0, "10 h"),
            (864_000.0, "10 d"),
            (-1.0, "0 s"),
            (f64::NAN, "0 s"),
            (f64::INFINITY, "213,503,982,334,601 d"),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }

    #[test]
    fn of_several_the_first_stands_for_all() {
        assert_eq!(first_of::<&str>(&[]), "any");
        assert_eq!(first_of(&["tcp/443"]), "tcp/443");
        assert_eq!(first_of(&["a\u{1b}", "b", "c"]), "a\u{fffd} +2");
    }
}
