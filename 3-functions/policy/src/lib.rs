//! All of the configuration that packets are judged by, as one immutable value.
//!
//! The control plane builds a [`Policy`] from the file and publishes it with a snapshot; workers read it.
//! It is compiled aside and swapped as a whole, so that no packet sees half of a change.

#![forbid(unsafe_code)]

use std::sync::Arc;

use portcullis_firewall::{AntiSpoofing, RuleCounters, Rules, ZoneId};
use portcullis_nat::{NatPolicy, Steering};
use portcullis_packet::{IfIndex, WorkerId};
use portcullis_tracking::Timeouts;

/// What the policy says of an interface.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InterfacePolicy {
    /// The zone it is in.
    pub zone: ZoneId,
    /// How sources are checked of what comes in by it.
    pub anti_spoofing: AntiSpoofing,
    /// Whether the MSS of TCP connections through it is lowered to what it carries.
    pub mss_clamp: bool,
}

impl Default for InterfacePolicy {
    fn default() -> Self {
        Self { zone: ZoneId(u16::MAX), anti_spoofing: AntiSpoofing::Off, mss_clamp: false }
    }
}

/// All that packets are judged by, beside routes.
#[derive(Debug)]
pub struct Policy {
    /// Another number for each policy that one gateway publishes: a flow that was judged by another one is
    /// judged again.
    pub number: u32,
    /// Network address translation.
    pub nat: NatPolicy,
    /// The firewall's rules; none: everything is forwarded.
    pub rules: Option<Rules>,
    /// Hits of rules, for each worker.
    pub hits: Vec<Arc<RuleCounters>>,
    /// By [`IfIndex`].
    pub interfaces: Vec<InterfacePolicy>,
    /// How long flows are remembered.
    pub timeouts: Timeouts,
    /// Whether a TCP connection may be taken up in the middle.
    pub tcp_pickup: bool,
    /// Which worker a packet belongs to; none with one worker.
    pub steering: Option<Arc<Steering>>,
    /// How many flows a worker may have.
    pub flows: usize,
    /// How many flows of one source.
    pub flows_per_source: u32,
}

impl Policy {
    /// Everything is routed, nothing is remembered.
    #[must_use]
    pub fn stateless(number: u32) -> Self {
        Self {
            number,
            nat: NatPolicy::default(),
            rules: None,
            hits: Vec::new(),
            interfaces: Vec::new(),
            timeouts: Timeouts::default(),
            tcp_pickup: true,
            steering: None,
            flows: 0,
            flows_per_source: 0,
        }
    }

    /// Whether packets belong to flows.
    #[inline(always)]
    #[must_use]
    pub fn is_stateful(&self) -> bool {
        self.flows > 0
    }

    /// What is said of an interface.
    #[inline]
    #[must_use]
    pub fn interface(&self, index: IfIndex) -> InterfacePolicy {
        self.interfaces.get(index.slot()).copied().unwrap_or_default()
    }

    /// The zone of an interface; that of the gateway for no interface.
    #[inline]
    #[must_use]
    pub fn zone(&self, index: IfIndex) -> ZoneId {
        if index == IfIndex::NONE { ZoneId::GATEWAY } else { self.interface(index).zone }
    }

    /// Where a worker counts hits of rules.
    #[inline]
    #[must_use]
    pub fn hits(&self, worker: WorkerId) -> Option<&RuleCounters> {
        self.hits.get(usize::from(worker.0)).map(|hits| &**hits)
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::stateless(0)
    }
}
