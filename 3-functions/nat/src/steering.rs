//! Which worker a packet belongs to, worked out from its tuple alone, so that both directions of a flow come to
//! one worker, translated or not.

use portcullis_packet::WorkerId;
use portcullis_wire::{IpProtocol, Tuple};

use crate::policy::{NatPolicy, has_ports};
use crate::ports::Owned;

/// The workers' shares.
#[derive(Clone, Debug)]
pub struct Steering {
    policy: NatPolicy,
    owned: Owned,
    seed: u64,
}

const fn mix(value: u64, seed: u64) -> u64 {
    let product = (value ^ seed) as u128 * 0x9e37_79b9_7f4a_7c15;
    (product as u64) ^ (product >> 64) as u64
}

impl Steering {
    /// The shares of so many workers. The seed has to be the same for all of a gateway.
    #[must_use]
    pub fn new(policy: &NatPolicy, workers: u16, seed: u64) -> Self {
        let owned = Owned { worker: 0, workers: workers.max(1), unit: policy.unit() };
        Self { policy: policy.clone(), owned, seed }
    }

    /// How many workers there are.
    #[must_use]
    pub const fn workers(&self) -> u16 {
        self.owned.workers
    }

    fn by_hash(&self, value: u64) -> WorkerId {
        let hash = mix(value, self.seed) >> 32;
        WorkerId(((hash * u64::from(self.owned.workers)) >> 32) as u16)
    }

    /// The worker of an IPv4 packet. Of a fragment whose ports are not known, they are to be none, the first
    /// fragment's as well.
    #[must_use]
    pub fn worker4(&self, tuple: &Tuple<u32>) -> WorkerId {
        let (mut src, mut dst, mut ports) = (tuple.src, tuple.dst, tuple.ports);
        let mut is_inside = false;
        if self.policy.has_statics_or_forwards() {
            if let Some((address, port)) = self.policy.anywhere4(tuple) {
                dst = address;
                ports.dst = port;
                is_inside = true;
            }
            if let Some(address) = self.policy.static_inside(src) {
                src = address;
            }
        }
        if !is_inside && self.policy.is_pool(dst) {
            return self.of_pool(tuple.protocol, ports.dst, src);
        }
        if self.policy.is_pool(src) {
            return self.of_pool(tuple.protocol, ports.src, dst);
        }
        match (self.policy.is_masqueraded(src), self.policy.is_masqueraded(dst)) {
            (true, false) => self.of_inside(tuple.protocol, src, dst),
            (false, true) => self.of_inside(tuple.protocol, dst, src),
            // A forwarded port is not what the reply comes from to who sent here; addresses do for both.
            _ => self.by_hash(mix(u64::from(src), 1) ^ mix(u64::from(dst), 1)),
        }
    }

    /// The worker of an IPv6 packet.
    #[must_use]
    pub fn worker6(&self, tuple: &Tuple<u128>) -> WorkerId {
        let inside = |address| self.policy.inside6(address).unwrap_or(address);
        let fold = |address: u128| mix((address >> 64) as u64 ^ mix(address as u64, 3), 1);
        self.by_hash(fold(inside(tuple.src)) ^ fold(inside(tuple.dst)))
    }

    /// Of a packet from or to an external address: who owns the port, or, of protocols without, by the other end.
    fn of_pool(&self, protocol: IpProtocol, port: u16, remote: u32) -> WorkerId {
        if has_ports(protocol) {
            WorkerId(self.owned.owner(port))
        } else {
            self.by_hash(u64::from(remote))
        }
    }

    /// Of a packet between a masqueraded host and one that is not.
    fn of_inside(&self, protocol: IpProtocol, inside: u32, remote: u32) -> WorkerId {
        self.by_hash(u64::from(if has_ports(protocol) { inside } else { remote }))
    }
}
