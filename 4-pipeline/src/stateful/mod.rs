//! The stateful way through the pipeline: flows, translation, the firewall. See `docs/flows.md`.
//!
//! [`fast`] handles packets of known flows in bulk. Everything it leaves goes through [`careful`], one by
//! one: [`admit`] for those that begin a flow, [`judge`] for flows of an older policy, [`special`] for
//! fragments, ICMP errors, groups and rejections, [`own`] for what the gateway's own kernel sends.

mod admit;
mod batch;
mod careful;
mod conn;
mod event;
mod fast;
mod inspect;
mod judge;
mod lanes;
mod own;
mod special;
mod state;
mod track;
mod turn;

pub use conn::{Conn, Hold, LineFlags, Record, Table, Translation};
pub use event::{EVENTS, Event, Events, RuleEvent};
pub use inspect::Inquiry;
pub use state::{State, StateConfig};

pub(crate) use batch::StatefulLanes;
