//! Lists of CPUs as the kernel writes them (`2-5,8`).

use std::fmt;
use std::str::FromStr;

use crate::check::Expected;

/// The largest number of a CPU that Linux can be built for (`NR_CPUS`), less one.
const LAST: u32 = 8191;

/// Some CPUs, at least one, in ascending order, by the kernel's numbers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CpuList(Vec<u32>);

impl CpuList {
    /// The numbers, ascending.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = u32> + '_ {
        self.0.iter().copied()
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Whether this CPU is in the list.
    #[must_use]
    pub fn contains(&self, cpu: u32) -> bool {
        self.0.binary_search(&cpu).is_ok()
    }
}

impl FromStr for CpuList {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        let mut chosen = vec![false; LAST as usize + 1];
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (number(first)?, number(last)?);
            let range = chosen.get_mut(first..=last).filter(|range| !range.is_empty());
            range.ok_or_else(malformed)?.fill(true);
        }
        Ok(Self((0..=LAST).zip(chosen).filter(|&(_, chosen)| chosen).map(|(cpu, _)| cpu).collect()))
    }
}

fn number(text: &str) -> Result<usize, Expected> {
    // `usize`'s own parser would take a sign too.
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().ok().filter(|&cpu| cpu <= LAST as usize).ok_or_else(malformed)
    } else {
        Err(malformed())
    }
}

fn malformed() -> Expected {
    Expected::new("CPU numbers up to 8191 and ascending ranges: `2-5,8`")
}

impl fmt::Display for CpuList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for run in self.0.chunk_by(|a, b| a + 1 == *b) {
            if let (Some(first), Some(last)) = (run.first(), run.last()) {
                write!(f, "{separator}{first}")?;
                if first != last {
                    write!(f, "-{last}")?;
                }
            }
            separator = ",";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_numbers_become_a_set_that_is_written_shortest() {
        let list: CpuList = "8,2-4,5,4".parse().expect("valid");
        assert_eq!(list.iter().collect::<Vec<_>>(), [2, 3, 4, 5, 8]);
        assert_eq!(list.to_string(), "2-5,8");
        assert!(list.contains(8) && !list.contains(6));
    }

    #[test]
    fn what_names_no_cpu_is_refused() {
        for bad in [
            "",
            "a",
            "1, 2",
            "1-",
            "-1",
            "+1",
            "5-2",
            "1,,2",
            "1-2-3",
            "0-8192",
            "99999999999999999999",
        ] {
            assert!(bad.parse::<CpuList>().is_err(), "{bad}");
        }
        assert!("0-8191".parse::<CpuList>().is_ok());
    }
}
