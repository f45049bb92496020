//! Address translation, seen from the hosts on either side.

mod arp;
mod differential;
mod discovery;
mod forward;
mod masquerade;
mod statics;
mod workers;

use portcullis_blackbox::{Masquerade, Policy};

/// The inside network behind the outside interface's own address.
fn masquerade() -> Policy {
    Policy { masquerades: vec![Masquerade::new("10.0.0.0/8", "wan")], ..Policy::default() }
}
