//! Sets of CPUs, in the list format of the kernel and of `cpuset(7)`: `2-5,8`.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// Number of a logical CPU, as the kernel counts them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CpuId(pub u16);

impl fmt::Display for CpuId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A set of logical CPUs.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct CpuSet(BTreeSet<CpuId>);

impl CpuSet {
    /// The most CPUs that `sched_setaffinity` can be told about here.
    const LIMIT: u16 = rustix::thread::CpuSet::MAX_CPU as u16;

    /// No CPU.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Just one.
    #[must_use]
    pub fn single(cpu: CpuId) -> Self {
        Self([cpu].into())
    }

    /// Puts `cpu` in; false if it was in already.
    pub fn insert(&mut self, cpu: CpuId) -> bool {
        self.0.insert(cpu)
    }

    /// Whether `cpu` is in the set.
    #[must_use]
    pub fn contains(&self, cpu: CpuId) -> bool {
        self.0.contains(&cpu)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// In ascending order.
    pub fn iter(&self) -> impl Iterator<Item = CpuId> + '_ {
        self.0.iter().copied()
    }

    /// Those in both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        self.iter().filter(|&cpu| other.contains(cpu)).collect()
    }

    /// Those in this set and not in `other`.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        self.iter().filter(|&cpu| !other.contains(cpu)).collect()
    }

    /// Those in either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        self.iter().chain(other.iter()).collect()
    }

    /// The CPUs that the calling thread may run on now.
    ///
    /// # Errors
    /// What `sched_getaffinity` answers.
    pub fn of_this_thread() -> rustix::io::Result<Self> {
        let mask = rustix::thread::sched_getaffinity(None)?;
        Ok((0..Self::LIMIT).map(CpuId).filter(|cpu| mask.is_set(usize::from(cpu.0))).collect())
    }

    /// Lets the calling thread run on these CPUs only.
    ///
    /// # Errors
    /// What `sched_setaffinity` answers: `EINVAL` if none of them exists, or the cpuset of this
    /// process has none of them.
    pub fn pin_this_thread(&self) -> rustix::io::Result<()> {
        let mut mask = rustix::thread::CpuSet::new();
        for cpu in self.iter().filter(|cpu| cpu.0 < Self::LIMIT) {
            mask.set(usize::from(cpu.0));
        }
        rustix::thread::sched_setaffinity(None, &mask)
    }
}

impl FromIterator<CpuId> for CpuSet {
    fn from_iter<I: IntoIterator<Item = CpuId>>(cpus: I) -> Self {
        Self(cpus.into_iter().collect())
    }
}

impl fmt::Display for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut cpus = self.iter().peekable();
        let mut separator = "";
        while let Some(first) = cpus.next() {
            let mut last = first;
            while let Some(next) = cpus.next_if(|next| next.0 == last.0 + 1) {
                last = next;
            }
            if first == last {
                write!(f, "{separator}{first}")?;
            } else {
                write!(f, "{separator}{first}-{last}")?;
            }
            separator = ",";
        }
        Ok(())
    }
}

impl fmt::Debug for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CpuSet({self})")
    }
}

/// A list of CPUs that cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ParseCpuSetError {
    /// Something between two commas is neither a number nor a range.
    #[error("`{0}` is not a CPU number or a range of them such as 2-5")]
    NotACpu(String),
    /// `5-2`.
    #[error("the range {0}-{1} runs backwards")]
    Backwards(CpuId, CpuId),
    /// A number beyond what the kernel can be asked for.
    #[error("CPU {0} is out of range, the highest is {max}", max = CpuSet::LIMIT - 1)]
    TooHigh(CpuId),
}

impl FromStr for CpuSet {
    type Err = ParseCpuSetError;

    /// Reads `2-5,8`. Blanks around the list and its members are let pass, and an empty list is
    /// the empty set: that is how the kernel writes it.
    fn from_str(list: &str) -> Result<Self, Self::Err> {
        let mut set = Self::new();
        if list.trim().is_empty() {
            return Ok(set);
        }
        for part in list.split(',').map(str::trim) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (cpu_number(first, part)?, cpu_number(last, part)?);
            if last < first {
                return Err(ParseCpuSetError::Backwards(first, last));
            }
            set.0.extend((first.0..=last.0).map(CpuId));
        }
        Ok(set)
    }
}

fn cpu_number(digits: &str, part: &str) -> Result<CpuId, ParseCpuSetError> {
    let not_a_cpu = || ParseCpuSetError::NotACpu(part.to_owned());
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(not_a_cpu());
    }
    let cpu = CpuId(digits.parse().map_err(|_| not_a_cpu())?);
    if cpu.0 < CpuSet::LIMIT { Ok(cpu) } else { Err(ParseCpuSetError::TooHigh(cpu)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(list: &str) -> Result<String, ParseCpuSetError> {
        list.parse::<CpuSet>().map(|set| set.to_string())
    }

    #[test]
    fn a_list_is_printed_as_the_kernel_would() {
        assert_eq!(read("2-5,8").as_deref(), Ok("2-5,8"));
        assert_eq!(read("8,3,2,4,5").as_deref(), Ok("2-5,8"));
        assert_eq!(read("0\n").as_deref(), Ok("0"));
        assert_eq!(read(" 0 , 1 ").as_deref(), Ok("0-1"));
        assert_eq!(read("\n").as_deref(), Ok(""));
    }

    #[test]
    fn what_is_no_list_is_refused_in_words() {
        for (list, complaint) in [
            ("a", "`a` is not a CPU number or a range of them such as 2-5"),
            ("1,,2", "`` is not a CPU number or a range of them such as 2-5"),
            ("-2", "`-2` is not a CPU number or a range of them such as 2-5"),
            ("+2", "`+2` is not a CPU number or a range of them such as 2-5"),
            ("1-2-3", "`1-2-3` is not a CPU number or a range of them such as 2-5"),
            ("99999", "`99999` is not a CPU number or a range of them such as 2-5"),
            ("5-2", "the range 5-2 runs backwards"),
            ("0-1024", "CPU 1024 is out of range, the highest is 1023"),
        ] {
            assert_eq!(read(list).unwrap_err().to_string(), complaint, "{list}");
        }
    }

    #[test]
    fn a_pinned_thread_reads_its_cpus_back() {
        std::thread::spawn(|| {
            let all = CpuSet::of_this_thread().unwrap();
            let one = CpuSet::single(all.iter().last().unwrap());
            one.pin_this_thread().unwrap();
            assert_eq!(CpuSet::of_this_thread().unwrap(), one);
        })
        .join()
        .unwrap();
    }
}
