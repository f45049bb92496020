//! What the gateway remembers of a flow beside what the table needs.

use portcullis_firewall::RuleId;
use portcullis_flows::{Flow, FlowState, FlowTable, Tick};
use portcullis_nat::MappingId;
use portcullis_tracking::{Timeouts, Tracker};

/// The flow table of a worker.
pub type Table = FlowTable<Conn>;

/// A flow as the table holds it.
pub type Record = Flow<Conn>;

/// The pipeline's part of a flow.
#[derive(Clone, Copy, Debug)]
pub struct Conn {
    /// The connection's state.
    pub tracker: Tracker,
    /// The rule that let it in.
    pub rule: RuleId,
    /// What of the NAT it holds.
    pub hold: Hold,
    /// When it began.
    pub created: Tick,
}

// Three cache lines a flow: see `portcullis_flows`.
const _: () = assert!(size_of::<Conn>() <= 40 && size_of::<Record>() == 192);

impl FlowState for Conn {
    fn vacant() -> Self {
        let (tracker, _) = Tracker::open_udp(&Timeouts::default());
        Self { tracker, rule: RuleId::NONE, hold: Hold::NONE, created: Tick(0) }
    }

    /// One that holds a mapping counts as well: no mapping is ended to make room for another one (RFC 6888, REQ-11d).
    fn is_established(&self) -> bool {
        self.tracker.is_established() || self.hold.as_mapping().is_some()
    }
}

/// What a flow holds of the NAT and gives back at its end. One number, to keep a flow at three lines.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hold(u32);

impl Hold {
    /// Nothing.
    pub const NONE: Self = Self(u32::MAX);
    /// The port that the gateway's own kernel sends from.
    pub const OWN_PORT: Self = Self(u32::MAX - 1);

    /// A mapping.
    #[must_use]
    pub const fn mapping(id: MappingId) -> Self {
        Self(id.0)
    }

    /// The mapping, if it is one.
    #[must_use]
    pub fn as_mapping(self) -> Option<MappingId> {
        (self != Self::NONE && self != Self::OWN_PORT).then_some(MappingId(self.0))
    }
}

/// What a direction's line says in its flags, and the number of the policy by which the flow was last
/// judged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LineFlags(pub u16);

impl LineFlags {
    /// Addresses or ports are rewritten.
    pub const REWRITE: u16 = 1;
    /// The packets are for the gateway itself.
    pub const LOCAL: u16 = 1 << 1;
    /// What the connection's state does not allow is dropped, and not just left uncounted: a firewall or
    /// a translation depends on it.
    pub const ENFORCE: u16 = 1 << 2;
    /// The translated packet goes through the tables once more (hairpin).
    pub const AGAIN: u16 = 1 << 3;
    /// The kind of translation, for those who look: two bits.
    const NAT_SHIFT: u32 = 4;
    const POLICY_SHIFT: u32 = 6;

    /// How many numbers of policies are told apart. Each new policy has the table looked through, so
    /// none is there long enough for its number to come round.
    const POLICIES: u32 = 1 << (16 - Self::POLICY_SHIFT);

    /// Flags of a flow that was judged by this policy.
    #[must_use]
    pub const fn new(bits: u16, nat: Translation, policy: u32) -> Self {
        let policy = (policy % Self::POLICIES) as u16;
        Self(bits | (nat as u16) << Self::NAT_SHIFT | policy << Self::POLICY_SHIFT)
    }

    /// Whether this bit is set.
    #[inline(always)]
    #[must_use]
    pub const fn has(self, bit: u16) -> bool {
        self.0 & bit != 0
    }

    /// Whether the flow was judged by this policy.
    #[inline]
    #[must_use]
    pub const fn is_of(self, policy: u32) -> bool {
        self.0 >> Self::POLICY_SHIFT == (policy % Self::POLICIES) as u16
    }

    /// The same, judged by this policy.
    #[must_use]
    pub const fn judged_by(self, policy: u32) -> Self {
        let bits = self.0 & ((1 << Self::POLICY_SHIFT) - 1);
        Self(bits | ((policy % Self::POLICIES) as u16) << Self::POLICY_SHIFT)
    }

    /// How the flow is translated.
    #[must_use]
    pub const fn translation(self) -> Translation {
        match self.0 >> Self::NAT_SHIFT & 3 {
            1 => Translation::Masquerade,
            2 => Translation::Forward,
            3 => Translation::Static,
            _ => Translation::None,
        }
    }
}

/// What translates a flow.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u16)]
pub enum Translation {
    /// Nothing.
    #[default]
    None = 0,
    /// A mapping of `[[nat.masquerade]]`.
    Masquerade = 1,
    /// A `[[nat.forward]]`.
    Forward = 2,
    /// A `[[nat.static]]`.
    Static = 3,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_the_kind_of_translation_and_the_policy_do_not_get_in_each_others_way() {
        for number in [0, 1, 1023, 1024, u32::MAX] {
            let flags = LineFlags::new(LineFlags::AGAIN, Translation::Static, number);
            assert!(flags.has(LineFlags::AGAIN) && !flags.has(LineFlags::REWRITE));
            assert_eq!(flags.translation(), Translation::Static);
            assert!(flags.is_of(number) && !flags.is_of(number.wrapping_add(1)));
            assert!(flags.judged_by(7).is_of(7) && flags.judged_by(7).has(LineFlags::AGAIN));
        }
    }
}
