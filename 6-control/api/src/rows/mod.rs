//! The rows of answers. Units are in the names of fields, or in their descriptions.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

/// What an answer is made of.
pub trait Row: Serialize + DeserializeOwned {}

mod change;
mod firewall;
mod flows;
mod nat;
mod routing;
mod system;

pub use change::{ChangeKind, ChangeRow};
pub use firewall::{RuleAction, RuleRow};
pub use flows::{Endpoint, FlowRow, FlushRow};
pub use nat::NatRow;
pub use routing::{
    InterfaceRow, NeighborRow, NeighborState, NextHopRow, NextHopState, RouteKind, RouteRow,
};
pub use system::{ConfigRow, CounterRow, DropRow, SeccompMode, ThreadRow};

impl Row for ThreadRow {}
impl Row for InterfaceRow {}
impl Row for RouteRow {}
impl Row for NeighborRow {}
impl Row for DropRow {}
impl Row for CounterRow {}
impl Row for ConfigRow {}
impl Row for FlowRow {}
impl Row for FlushRow {}
impl Row for NatRow {}
impl Row for RuleRow {}
impl Row for ChangeRow {}
/// A row as it came, for programs that pass it on.
impl Row for Box<RawValue> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_tables_are_those_in_json() {
        assert_eq!(serde_json::json!(NeighborState::NoArp), NeighborState::NoArp.name());
        assert_eq!(serde_json::json!(SeccompMode::Filter), SeccompMode::Filter.name());
    }
}
