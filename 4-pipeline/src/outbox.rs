//! What a worker hands on beside the batch itself.

use portcullis_packet::Packet;

use crate::hold::Resolve;

/// What leaves a worker other than through the batch. Its owner empties it after each call; its
/// vectors keep their memory.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Packets for the kernel in `vpc`, each with a [`Verdict::Punt`](portcullis_packet::Verdict::Punt).
    pub punts: Vec<Packet>,
    /// Addresses that the kernel is to resolve.
    pub resolve: Vec<Resolve>,
}
