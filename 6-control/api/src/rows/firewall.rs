//! The firewall.

use serde::{Deserialize, Serialize};

names! {
    /// What a rule does with a flow's first packet.
    RuleAction {
        /// Lets it and the rest of the flow through.
        Accept = "accept",
        /// Drops it without an answer.
        Drop = "drop",
        /// Drops it and tells its sender.
        Reject = "reject",
    }
}

/// A rule, or what holds where no rule does. They come in the order in which they are asked. A
/// condition without values holds for everything.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RuleRow {
    /// Its place among the rules of the file, from 1; none for the defaults.
    pub place: Option<u32>,
    /// Its name; `default` and `gateway-default` for the defaults.
    pub name: String,
    /// The zones that it is for traffic from.
    pub from: Vec<String>,
    /// The zones that it is for traffic to.
    pub to: Vec<String>,
    /// The sources that it is for.
    pub source: Vec<String>,
    /// The destinations that it is for.
    pub destination: Vec<String>,
    /// The services that it is for: `tcp/443`.
    pub service: Vec<String>,
    /// What it does.
    pub action: RuleAction,
    /// Whether it is logged.
    pub log: bool,
    /// First packets that it decided on, since the start.
    pub hits: u64,
}
