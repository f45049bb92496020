//! Which worker a packet belongs to.

use std::fmt;
use std::sync::Arc;

use portcullis_packet::{Packet, WorkerId};

/// What says which worker has a packet's flow.
pub trait Steer: fmt::Debug + Send + Sync {
    /// The worker whose packet this is. `None` if any worker may have it, so that it stays where it is.
    fn worker(&self, packet: &Packet) -> Option<WorkerId>;
}

/// What I/O threads and the trap thread steer by, as it is published. A gateway without state steers
/// nothing.
pub type Steering = Option<Arc<dyn Steer>>;
