//! `[timeouts]` and `[limits]`.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::check::{Checker, Unit};
use crate::diagnostic::Diagnostic;
use crate::raw::{RawLimits, RawTimeouts};
use crate::source::Located;

/// Longest time that a flow can be remembered after its last packet.
pub const MAX_TIMEOUT: Duration = Duration::from_hours(7 * 24);

/// Most flows that a gateway can be made to remember.
pub const MAX_FLOWS: u32 = 64_000_000;

/// How long flows are remembered after their last packet: whole seconds, one at least,
/// [`MAX_TIMEOUT`] at most.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Timeouts {
    /// TCP connections that are established.
    pub tcp_established: Duration,
    /// TCP connections that are being opened or have been closed.
    pub tcp_transitory: Duration,
    /// UDP.
    pub udp: Duration,
    /// Queries of ICMP and ICMPv6.
    pub icmp: Duration,
    /// All other protocols.
    pub other: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            // RFC 5382, REQ-5: not less than 2 hours and 4 minutes.
            tcp_established: Duration::from_secs(7440),
            // RFC 5382, REQ-5: not less than 4 minutes.
            tcp_transitory: Duration::from_secs(240),
            // RFC 4787, REQ-5: not less than 2 minutes, 5 or more recommended.
            udp: Duration::from_secs(300),
            // RFC 5508, REQ-2: not less than 60 seconds.
            icmp: Duration::from_secs(60),
            // As Linux has it for protocols that it does not track (nf_conntrack_generic_timeout).
            other: Duration::from_secs(600),
        }
    }
}

impl Timeouts {
    pub(crate) fn check(
        raw: Option<&Located<RawTimeouts>>,
        checker: &mut Checker<'_>,
    ) -> Option<Self> {
        let default = Self::default();
        let Some(Located { value: raw, .. }) = raw else { return Some(default) };
        let mut seconds = |key, given: &Option<Located<i64>>, default| match given {
            Some(given) => checker
                .number(key, given, 1..=MAX_TIMEOUT.as_secs(), Unit::Seconds)
                .map(Duration::from_secs),
            None => Some(default),
        };
        let tcp_established =
            seconds("tcp-established", &raw.tcp_established, default.tcp_established);
        let tcp_transitory = seconds("tcp-transitory", &raw.tcp_transitory, default.tcp_transitory);
        let udp = seconds("udp", &raw.udp, default.udp);
        let icmp = seconds("icmp", &raw.icmp, default.icmp);
        let other = seconds("other", &raw.other, default.other);
        Some(Self {
            tcp_established: tcp_established?,
            tcp_transitory: tcp_transitory?,
            udp: udp?,
            icmp: icmp?,
            other: other?,
        })
    }

    pub(crate) fn to_raw(self) -> RawTimeouts {
        let seconds = |time: Duration| i64::try_from(time.as_secs()).ok().map(Located::nowhere);
        RawTimeouts {
            tcp_established: seconds(self.tcp_established),
            tcp_transitory: seconds(self.tcp_transitory),
            udp: seconds(self.udp),
            icmp: seconds(self.icmp),
            other: seconds(self.other),
        }
    }
}

/// How many flows are remembered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// In all, [`MAX_FLOWS`] at most.
    pub flows: NonZeroU32,
    /// Of one source address, no more than in all.
    pub flows_per_source: NonZeroU32,
}

impl Default for Limits {
    fn default() -> Self {
        const FLOWS: NonZeroU32 = NonZeroU32::new(1_000_000).expect("not zero");
        Self { flows: FLOWS, flows_per_source: FLOWS }
    }
}

impl Limits {
    pub(crate) fn check(
        raw: Option<&Located<RawLimits>>,
        checker: &mut Checker<'_>,
    ) -> Option<Self> {
        let Some(Located { value: raw, .. }) = raw else { return Some(Self::default()) };
        let mut number = |key, given: &Option<Located<i64>>| {
            checker.optional(given.as_ref(), |checker, given| {
                let number = checker.number(key, given, 1..=MAX_FLOWS, Unit::None)?;
                NonZeroU32::new(number)
            })
        };
        let flows = number("flows", &raw.flows);
        let per_source = number("flows-per-source", &raw.flows_per_source);
        let flows = flows?.unwrap_or(Self::default().flows);
        let flows_per_source = per_source?.unwrap_or(flows);
        if let Some(given) = raw.flows_per_source.as_ref().filter(|_| flows_per_source > flows) {
            let found = format!("`flows-per-source` is {flows_per_source}");
            let expected = format!("no more than `flows`, {flows}");
            let mut error = Diagnostic::new(&given.span, found, expected);
            if let Some(flows) = &raw.flows {
                error = error.related(&flows.span, "the flows in all");
            }
            checker.report(error);
            return None;
        }
        Some(Self { flows, flows_per_source })
    }

    pub(crate) fn to_raw(self) -> RawLimits {
        let number = |number: NonZeroU32| Some(Located::nowhere(number.get().into()));
        RawLimits { flows: number(self.flows), flows_per_source: number(self.flows_per_source) }
    }
}
