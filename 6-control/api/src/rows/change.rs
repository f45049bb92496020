//! Changes of the configuration.

use serde::{Deserialize, Serialize};

names! {
    /// What becomes of a part of the configuration.
    ChangeKind {
        /// It was not there.
        Added = "added",
        /// It is there no more.
        Removed = "removed",
        /// It is another one.
        Changed = "changed",
        /// It is the same, in another place of an order that matters.
        Moved = "moved",
    }
}

/// A difference between the configuration that the gateway runs with and a file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ChangeRow {
    /// What becomes of it.
    pub kind: ChangeKind,
    /// The part that it is about: `firewall rule "web in"`.
    pub what: String,
    /// The difference in words, perhaps in several lines, perhaps none.
    pub text: String,
    /// Whether only a restart of the gateway can make it.
    pub restart: bool,
}
