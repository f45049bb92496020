//! Which worker a packet belongs to.

use std::fmt;
use std::sync::Arc;

use portcullis_nat::Steering;
use portcullis_packet::{Packet, Ports, WorkerId};
use portcullis_wire::dissect::{self, Dissected, Kind};
use portcullis_wire::{EtherType, Tuple, ethernet, ipv6};

/// What says which worker has a packet's flow.
pub trait Steer: fmt::Debug + Send + Sync {
    /// The worker whose packet this is. `None` if any worker may have it, so that it stays where it is.
    fn worker(&self, packet: &Packet) -> Option<WorkerId>;
}

/// What I/O threads and the trap thread steer by, as it is published. A gateway without state steers
/// nothing.
pub type SteeredBy = Option<Arc<dyn Steer>>;

/// Steers IP packets by their flows, and leaves everything else where it is.
#[derive(Clone, Debug)]
pub struct SteerByFlow(Arc<Steering>);

impl SteerByFlow {
    /// By these shares.
    #[must_use]
    pub const fn new(steering: Arc<Steering>) -> Self {
        Self(steering)
    }
}

impl Steer for SteerByFlow {
    #[inline]
    fn worker(&self, packet: &Packet) -> Option<WorkerId> {
        let frame = packet.data();
        let header = ethernet::Header::new(frame)?;
        if header.dst().is_group() {
            return None;
        }
        match header.ether_type() {
            EtherType::IPV4 => {
                let frame = without_padding(frame, 0, 2)?;
                let seen = dissect::v4(frame).ok()?;
                let tuple = flow(frame, &seen, packet.meta().ports, dissect::quoted_v4);
                Some(self.0.worker4(&tuple))
            }
            EtherType::IPV6 => {
                let frame = without_padding(frame, ipv6::LEN, 4)?;
                let seen = dissect::v6(frame).ok()?;
                let tuple = flow(frame, &seen, packet.meta().ports, dissect::quoted_v6);
                Some(self.0.worker6(&tuple))
            }
            _ => None,
        }
    }
}

/// The frame up to the end of its IP packet: `more` bytes than its length field says, which stands at
/// `field` of the IP header. A super-frame too large for the field has 0 there.
#[inline(always)]
fn without_padding(frame: &[u8], more: usize, field: usize) -> Option<&[u8]> {
    let length: &[u8; 2] = frame.get(ethernet::LEN + field..)?.first_chunk()?;
    match usize::from(u16::from_be_bytes(*length)) {
        0 => Some(frame),
        length => frame.get(..ethernet::LEN + more + length),
    }
}

/// The tuple that a packet is steered by. `known` are the ports of its first fragment, if a pipeline has
/// learnt them.
#[inline(always)]
fn flow<A: Copy>(
    frame: &[u8],
    seen: &Dissected<A>,
    known: Ports,
    quoted: impl FnOnce(&[u8], usize) -> Option<Tuple<A>>,
) -> Tuple<A> {
    if seen.fragment.is_some() {
        // The first one has ports, and those that come after it do not: all go one way.
        let ports = if known == NO_PORTS { Ports::NONE } else { known };
        return Tuple { ports, ..seen.tuple };
    }
    if seen.kind == Kind::IcmpError {
        // It comes from where the packet went that it quotes.
        let quoted = quoted(frame, usize::from(seen.upper)).map(Tuple::reversed);
        return quoted.unwrap_or(Tuple { ports: Ports::NONE, ..seen.tuple });
    }
    seen.tuple
}

/// Stands in the metadata of a fragment for ports that are known to be none.
const NO_PORTS: Ports = Ports { src: 0, dst: 1 };

#[cfg(test)]
mod tests;
