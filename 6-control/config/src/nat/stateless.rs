//! `[[nat.static]]`.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use crate::address;
use crate::check::{Checker, Expected};
use crate::decode::Place;
use crate::diagnostic::Diagnostic;
use crate::links::Links;
use crate::name::InterfaceName;
use crate::overlap::{Range, Ranges, overlaps};
use crate::raw::RawStatic;
use crate::source::Located;

/// An outside network that stands for an inside one, both ways. The two are of the same family, have
/// the same length, and share no address.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Static {
    /// The interface outside of which the external network is.
    pub on: InterfaceName,
    /// As it is outside. No other one overlaps it, no pool, and no address of the gateway's.
    pub external: IpNet,
    /// As it is inside. No other one on the same interface overlaps it.
    pub internal: IpNet,
}

pub(super) fn check(
    raw: &[Located<RawStatic>],
    pools: &Ranges<'_, Ipv4Addr>,
    links: &Links<'_>,
    checker: &mut Checker<'_>,
) -> Option<Vec<Static>> {
    let drafts: Vec<Draft<'_>> =
        raw.iter().map(|one| Draft::check(&one.value, links, checker)).collect();
    let external = drafts.iter().filter_map(|draft| draft.external.as_ref());
    for external in external.clone() {
        external_is_free(external, pools, links, checker);
    }
    apart("the external network", external.map(|net| range((), net)), checker);
    let internal =
        drafts.iter().filter_map(|draft| Some(range(draft.on?, draft.internal.as_ref()?)));
    apart("the internal network", internal, checker);
    drafts.into_iter().map(Draft::finish).collect()
}

/// A translation as far as it could be understood.
struct Draft<'d> {
    on: Option<&'d InterfaceName>,
    external: Option<Located<IpNet>>,
    internal: Option<Located<IpNet>>,
}

impl<'d> Draft<'d> {
    fn check(raw: &RawStatic, links: &Links<'d>, checker: &mut Checker<'_>) -> Self {
        let on = raw.on.as_ref().and_then(|given| links.named("on", given, checker));
        let mut network = |key, given: Option<&Located<String>>| {
            let given = given?;
            let network = checker.parse_with(Place::Value(key), given, translated)?;
            Some(given.with(network))
        };
        let external = network("external", raw.external.as_ref());
        let internal = network("internal", raw.internal.as_ref());
        if let (Some(external), Some(internal)) = (&external, &internal) {
            alike(external, internal, checker);
        }
        Self { on, external, internal }
    }

    fn finish(self) -> Option<Static> {
        Some(Static {
            on: self.on?.clone(),
            external: self.external?.value,
            internal: self.internal?.value,
        })
    }
}

/// A network that can be translated. RFC 6296, 3.2: the bits that keep a checksum as it was are
/// among those of the subnet, or, with a /64 or a longer prefix, of the interface identifier.
fn translated(text: &str) -> Result<IpNet, Expected> {
    let network = address::destination(text)?;
    let lengths = if matches!(network, IpNet::V4(_)) { 8..=32 } else { 16..=112 };
    if lengths.contains(&network.prefix_len()) {
        return Ok(network);
    }
    let (first, last) = (lengths.start(), lengths.end());
    Err(Expected::new(format!("a prefix length from {first} to {last}")))
}

/// The two networks of a translation have the same form, and are two.
fn alike(external: &Located<IpNet>, internal: &Located<IpNet>, checker: &mut Checker<'_>) {
    let (outside, inside) = (external.value, internal.value);
    let family = |net: IpNet| if net.addr().is_ipv4() { "IPv4" } else { "IPv6" };
    let (found, expected) = if family(outside) != family(inside) {
        (
            format!("{} translated to {}", family(outside), family(inside)),
            format!("an {} network as outside", family(outside)),
        )
    } else if outside.prefix_len() != inside.prefix_len() {
        (
            format!("{outside} translated to {inside}"),
            format!("the same prefix length, /{}", outside.prefix_len()),
        )
    } else if outside == inside {
        (format!("{outside} translated to itself"), "another network".to_owned())
    } else {
        return;
    };
    let error = Diagnostic::new(&internal.span, found, expected);
    checker.report(error.related(&external.span, "the network outside"));
}

/// Nothing else uses the external addresses.
fn external_is_free(
    external: &Located<IpNet>,
    pools: &Ranges<'_, Ipv4Addr>,
    links: &Links<'_>,
    checker: &mut Checker<'_>,
) {
    let network = external.value;
    if let Some(own) = links.own_address_in(network) {
        let address = own.value.address();
        let found = format!("the gateway's own address {address} is in {network}");
        let expected = "a network without it: the gateway could not be reached there any more";
        let error = Diagnostic::new(&external.span, found, expected);
        checker.report(error.related(&own.span, "its address"));
    }
    if let IpNet::V4(net) = network
        && let Some(pool) = pools.overlapping(net.network(), net.broadcast())
    {
        let found = format!("{network} overlaps the pool of a masquerade");
        let error = Diagnostic::new(&external.span, found, "addresses for this alone");
        checker.report(error.related(pool, "the pool"));
    }
}

fn range<K>(key: K, network: &Located<IpNet>) -> Range<'_, K, IpAddr> {
    let Located { value, span } = network;
    Range { key, first: value.network(), last: value.broadcast(), span }
}

fn apart<'s, K: Ord>(
    what: &str,
    ranges: impl Iterator<Item = Range<'s, K, IpAddr>>,
    checker: &mut Checker<'_>,
) {
    for (later, earlier) in overlaps(ranges.collect::<Vec<_>>()) {
        let found = format!("{what} overlaps that of another translation");
        let error = Diagnostic::new(later, found, "a network of its own");
        checker.report(error.related(earlier, "the other one"));
    }
}

impl Static {
    pub(crate) fn to_raw(&self) -> RawStatic {
        let text = |text: String| Some(Located::nowhere(text));
        RawStatic {
            on: text(self.on.to_string()),
            external: text(self.external.to_string()),
            internal: text(self.internal.to_string()),
        }
    }
}
