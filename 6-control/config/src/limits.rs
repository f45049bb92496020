//! `[timeouts]` and `[limits]`.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::check::{Checker, Unit};
use crate::diagnostic::Diagnostic;
use crate::raw::{RawLimits, RawTimeouts};
use crate::source::Located;

/// How long flows are remembered without packets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Timeouts {
    /// Established TCP connections.
    pub tcp_established: Duration,
    /// TCP connections that are being opened or closed.
    pub tcp_transitory: Duration,
    /// UDP.
    pub udp: Duration,
    /// Queries of ICMP.
    pub icmp: Duration,
    /// Everything else.
    pub other: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            tcp_established: Duration::from_secs(7440),
            tcp_transitory: Duration::from_secs(240),
            udp: Duration::from_secs(300),
            icmp: Duration::from_secs(60),
            other: Duration::from_secs(600),
        }
    }
}

/// A week.
const SECONDS: RangeInclusive<u32> = 1..=604_800;

impl Timeouts {
    pub(crate) fn check(
        raw: Option<&Located<RawTimeouts>>,
        checker: &mut Checker<'_>,
    ) -> Option<Self> {
        let default = Self::default();
        let Some(Located { value: raw, .. }) = raw else { return Some(default) };
        let mut time = |key, given: &Option<Located<i64>>, default| match given {
            None => Some(default),
            Some(given) => checker
                .number(key, given, SECONDS, Unit::Seconds)
                .map(|seconds| Duration::from_secs(seconds.into())),
        };
        let tcp_established =
            time("tcp-established", &raw.tcp_established, default.tcp_established);
        let tcp_transitory = time("tcp-transitory", &raw.tcp_transitory, default.tcp_transitory);
        let udp = time("udp", &raw.udp, default.udp);
        let icmp = time("icmp", &raw.icmp, default.icmp);
        let other = time("other", &raw.other, default.other);
        Some(Self {
            tcp_established: tcp_established?,
            tcp_transitory: tcp_transitory?,
            udp: udp?,
            icmp: icmp?,
            other: other?,
        })
    }

    pub(crate) fn to_raw(self) -> RawTimeouts {
        let seconds = |time: Duration| Some(Located::nowhere(time.as_secs() as i64));
        RawTimeouts {
            tcp_established: seconds(self.tcp_established),
            tcp_transitory: seconds(self.tcp_transitory),
            udp: seconds(self.udp),
            icmp: seconds(self.icmp),
            other: seconds(self.other),
        }
    }
}

/// How much is remembered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Flows of the gateway.
    pub flows: u32,
    /// Flows of one source; as many as there may be in all, if there is no limit.
    pub flows_per_source: u32,
}

/// Most flows that there can be.
pub const MAX_FLOWS: u32 = 64_000_000;

impl Default for Limits {
    fn default() -> Self {
        Self { flows: 1_000_000, flows_per_source: 1_000_000 }
    }
}

impl Limits {
    pub(crate) fn check(
        raw: Option<&Located<RawLimits>>,
        checker: &mut Checker<'_>,
    ) -> Option<Self> {
        let default = Self::default();
        let Some(Located { value: raw, .. }) = raw else { return Some(default) };
        let mut number = |key, given: &Option<Located<i64>>, default| match given {
            None => Some(default),
            Some(given) => checker.number(key, given, 1..=MAX_FLOWS, Unit::None),
        };
        let flows = number("flows", &raw.flows, default.flows)?;
        let flows_per_source = number("flows-per-source", &raw.flows_per_source, flows)?;
        if let Some(given) = raw.flows_per_source.as_ref().filter(|_| flows_per_source > flows) {
            let found = format!("`flows-per-source` is {flows_per_source}");
            let expected = format!("no more than `flows`, {flows}");
            checker.report(Diagnostic::new(&given.span, found, expected));
            return None;
        }
        Some(Self { flows, flows_per_source })
    }

    pub(crate) fn to_raw(self) -> RawLimits {
        RawLimits {
            flows: Some(Located::nowhere(self.flows.into())),
            flows_per_source: Some(Located::nowhere(self.flows_per_source.into())),
        }
    }
}
