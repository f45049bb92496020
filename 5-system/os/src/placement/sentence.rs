//! The plan as one line of a log.

use super::{Pairing, Plan};

impl Plan {
    /// What is where, and how near, in one line.
    #[must_use]
    pub fn sentence(&self) -> String {
        let count = self.workers.len();
        let plural = if count == 1 { "" } else { "s" };
        let isolated = if self.on_isolated { " on isolated CPUs" } else { "" };
        let mut line = format!("{count} worker{plural}{isolated}:");
        for (pairing, words) in [
            (Pairing::Siblings, "pipeline and I/O on SMT siblings"),
            (Pairing::Cores, "pipeline and I/O on distinct cores (no SMT sibling to be had)"),
            (Pairing::OneCpu, "pipeline and I/O share a CPU (too few for more)"),
            (Pairing::OneThread, "one thread for pipeline and I/O on CPUs"),
        ] {
            let places = self.places(pairing);
            if !places.is_empty() {
                line += &format!(" {words} {places};");
            }
        }
        let clash = self.workers.iter().any(|worker| {
            self.housekeeping.contains(worker.pipeline) || self.housekeeping.contains(worker.io)
        });
        let with = if clash { ", which workers use too" } else { "" };
        line + &format!(" trap, manager and control on CPUs {}{with}", self.housekeeping)
    }

    fn places(&self, pairing: Pairing) -> String {
        let places: Vec<_> = self
            .workers
            .iter()
            .filter(|worker| worker.pairing == pairing)
            .map(|worker| match pairing {
                Pairing::Siblings | Pairing::Cores => format!("{}+{}", worker.pipeline, worker.io),
                Pairing::OneCpu | Pairing::OneThread => worker.pipeline.to_string(),
            })
            .collect();
        places.join(", ")
    }
}
