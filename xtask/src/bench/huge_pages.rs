//! Memory in huge pages for DPDK, which is what its figures are about.

use std::fs;

/// Huge pages for DPDK, given back when dropped.
pub(crate) struct HugePages(Option<String>);

const HUGE_PAGES: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";

impl HugePages {
    /// DPDK's programs do without where there are none, and the plain loop says so.
    pub(crate) fn reserve(count: u32) -> Self {
        let before = fs::read_to_string(HUGE_PAGES).ok();
        let enough = |text: &String| text.trim().parse::<u32>().is_ok_and(|have| have >= count);
        if before.as_ref().is_none_or(enough) {
            return Self(None);
        }
        let _ = fs::write(HUGE_PAGES, count.to_string());
        Self(before)
    }
}

impl Drop for HugePages {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = fs::write(HUGE_PAGES, before);
        }
    }
}
