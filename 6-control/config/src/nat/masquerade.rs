//! `[[nat.masquerade]]`.

use std::net::Ipv4Addr;
use std::num::NonZeroU16;
use std::ops::RangeInclusive;

use ipnet::{IpNet, Ipv4Net};

use crate::address;
use crate::check::{Checker, Expected, Unit, unique};
use crate::decode::Place;
use crate::diagnostic::Diagnostic;
use crate::links::Links;
use crate::name::InterfaceName;
use crate::overlap::{Range, Ranges, overlaps};
use crate::range::{self, AddressRange};
use crate::raw::RawMasquerade;
use crate::source::{Located, Span};
use crate::word::word_type;

/// Most addresses in the pool of one masquerade.
pub const MAX_POOL_ADDRESSES: u32 = 65_536;

/// RFC 6056, 3.2: ephemeral ports are those from 1024 on.
const PORTS: RangeInclusive<u16> = 1024..=u16::MAX;

word_type! {
    /// Who may send to a mapping from outside.
    #[derive(Default)]
    Filtering {
        /// Anyone (RFC 4787, REQ-8 a).
        #[default]
        EndpointIndependent = "endpoint-independent",
        /// The addresses that the inside host has sent to (RFC 4787, REQ-8 b).
        AddressDependent = "address-dependent",
    }
}

/// How many ports are given to an inside host at once: a power of two from 64 to 4096.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PortBlockSize(u16);

impl PortBlockSize {
    /// The number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

/// Inside hosts that share the ports of a few outside addresses.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Masquerade {
    /// Where the inside hosts are, one network at least.
    pub source: Vec<Ipv4Net>,
    /// Where nothing is translated to.
    pub except: Vec<Ipv4Net>,
    /// The interface by which translated packets leave.
    pub out: InterfaceName,
    /// The outside addresses: one range at least, none overlapping another, in the order of the
    /// file. [`MAX_POOL_ADDRESSES`] in all at most.
    pub pool: Vec<RangeInclusive<Ipv4Addr>>,
    /// Their ports, without 0.
    pub ports: RangeInclusive<u16>,
    /// Who may send to a mapping.
    pub filtering: Filtering,
    /// Most ports of one inside host; `None`: no limit.
    pub ports_per_source: Option<NonZeroU16>,
    /// Ports are given to inside hosts by blocks of this size, which is no larger than the range of
    /// ports; `None`: one by one.
    pub port_block_size: Option<PortBlockSize>,
}

/// The masquerades of a file, as far as they could be understood.
pub(super) struct Drafts<'r> {
    finished: Option<Vec<Masquerade>>,
    /// The ranges of the pools that the file has.
    pools: Vec<(RangeInclusive<Ipv4Addr>, &'r Span)>,
}

impl<'r> Drafts<'r> {
    /// The pools that stand in the file.
    pub(super) fn pools(&self) -> Ranges<'r, Ipv4Addr> {
        Ranges::new(self.pools.iter().map(|(range, span)| (*range.start(), *range.end(), *span)))
    }

    pub(super) fn finish(self) -> Option<Vec<Masquerade>> {
        self.finished
    }
}

pub(super) fn check<'r>(
    raw: &'r [Located<RawMasquerade>],
    links: &Links<'_>,
    checker: &mut Checker<'_>,
) -> Drafts<'r> {
    let mut pools = Vec::new();
    let checked: Vec<Option<Masquerade>> =
        raw.iter().map(|one| one_masquerade(&one.value, &mut pools, links, checker)).collect();
    Drafts { finished: checked.into_iter().collect(), pools }
}

fn one_masquerade<'r>(
    raw: &'r RawMasquerade,
    pools: &mut Vec<(RangeInclusive<Ipv4Addr>, &'r Span)>,
    links: &Links<'_>,
    checker: &mut Checker<'_>,
) -> Option<Masquerade> {
    let source = raw.source.as_ref().and_then(|given| networks("source", given, checker));
    let except =
        checker.optional(raw.except.as_ref(), |checker, given| networks("except", given, checker));
    let out = raw.out.as_ref().and_then(|given| links.named("out", given, checker));
    let pool = match &raw.pool {
        Some(given) => pool(given, pools, checker),
        None => default_pool(raw, out, links, checker),
    };
    let ports = match &raw.ports {
        Some(given) => checker.parse_with(Place::Value("ports"), given, ports),
        None => Some(PORTS),
    };
    let filtering = match &raw.filtering {
        Some(given) => checker.parse("filtering", given),
        None => Some(Filtering::default()),
    };
    let ports_per_source = checker.optional(raw.ports_per_source.as_ref(), |checker, given| {
        let most = checker.number("ports-per-source", given, 1..=u16::MAX, Unit::None)?;
        NonZeroU16::new(most)
    });
    let block = checker.optional(raw.port_block_size.as_ref(), |checker, given| {
        block_size(given, ports.as_ref(), raw.ports.as_ref(), checker)
    });
    Some(Masquerade {
        source: source?,
        except: except?.unwrap_or_default(),
        out: out?.clone(),
        pool: pool?,
        ports: ports?,
        filtering: filtering?,
        ports_per_source: ports_per_source?,
        port_block_size: block?,
    })
}

fn networks(
    key: &'static str,
    given: &Located<Vec<Located<String>>>,
    checker: &mut Checker<'_>,
) -> Option<Vec<Ipv4Net>> {
    if given.value.is_empty() {
        checker.empty(key, &given.span, "one network or more: `0.0.0.0/0` is all of IPv4");
    }
    let networks: Vec<Located<Ipv4Net>> = given
        .value
        .iter()
        .filter_map(|element| {
            let network = checker.parse_with(Place::Element(key), element, source)?;
            Some(element.with(network))
        })
        .collect();
    unique("the network", &networks, checker);
    let complete = !networks.is_empty() && networks.len() == given.value.len();
    complete.then(|| networks.into_iter().map(|network| network.value).collect())
}

fn source(text: &str) -> Result<Ipv4Net, Expected> {
    match address::destination(text)? {
        IpNet::V4(net) => Ok(net),
        IpNet::V6(_) => Err(Expected::new(
            "an IPv4 network: IPv6 needs no masquerade, and [[nat.static]] translates its \
             prefixes (NPTv6, RFC 6296)",
        )),
    }
}

fn pool<'r>(
    given: &'r Located<Vec<Located<String>>>,
    pools: &mut Vec<(RangeInclusive<Ipv4Addr>, &'r Span)>,
    checker: &mut Checker<'_>,
) -> Option<Vec<RangeInclusive<Ipv4Addr>>> {
    if given.value.is_empty() {
        let expected = "one address or more, or it to be left out: the address of `out`";
        checker.empty("pool", &given.span, expected);
        return None;
    }
    let before = pools.len();
    for element in &given.value {
        let range = checker.parse_with(Place::Element("pool"), element, outside_addresses);
        pools.extend(range.map(|range| (range, &element.span)));
    }
    let mine = pools.get(before..).unwrap_or_default();
    let size: u64 = mine.iter().map(|(range, _)| size(range)).sum();
    if size > MAX_POOL_ADDRESSES.into() {
        let found = format!("a pool of {size} addresses");
        let expected = format!("{MAX_POOL_ADDRESSES} at most");
        checker.report(Diagnostic::new(&given.span, found, expected));
    }
    let ranges = mine.iter().map(|(range, span)| {
        let (first, last) = (*range.start(), *range.end());
        Range { key: (), first, last, span }
    });
    for (later, earlier) in overlaps(ranges.collect()) {
        let error = Diagnostic::new(later, "the pool has an address twice", "each address once");
        checker.report(error.related(earlier, "it is here too"));
    }
    let complete = mine.len() == given.value.len();
    complete.then(|| mine.iter().map(|(range, _)| range.clone()).collect())
}

fn size(range: &RangeInclusive<Ipv4Addr>) -> u64 {
    u64::from(range.end().to_bits()) - u64::from(range.start().to_bits()) + 1
}

fn outside_addresses(text: &str) -> Result<RangeInclusive<Ipv4Addr>, Expected> {
    match text.parse()? {
        AddressRange::V4(range) => {
            address::host((*range.start()).into())?;
            address::host((*range.end()).into())?;
            Ok(range)
        }
        AddressRange::V6(_) => Err(Expected::new("IPv4 addresses: IPv6 needs no masquerade")),
    }
}

/// The address of the interface itself.
fn default_pool(
    raw: &RawMasquerade,
    out: Option<&InterfaceName>,
    links: &Links<'_>,
    checker: &mut Checker<'_>,
) -> Option<Vec<RangeInclusive<Ipv4Addr>>> {
    let (given, out) = (raw.out.as_ref()?, out?);
    let own = links.first_ipv4(out)?;
    if own.is_none() {
        let found = format!("the interface `{out}` has no IPv4 address");
        let expected = "`pool` to be given, or an address there";
        checker.report(Diagnostic::new(&given.span, found, expected));
    }
    own.map(|address| vec![address..=address])
}

fn ports(text: &str) -> Result<RangeInclusive<u16>, Expected> {
    let ports = range::ports(text).filter(|ports| *ports.start() > 0);
    ports.ok_or_else(|| Expected::new("a range of ports from 1 to 65535: `1024-65535`"))
}

fn block_size(
    given: &Located<i64>,
    ports: Option<&RangeInclusive<u16>>,
    ports_given: Option<&Located<String>>,
    checker: &mut Checker<'_>,
) -> Option<PortBlockSize> {
    let found = format!("`port-block-size` is {}", given.value);
    let size = u16::try_from(given.value).ok();
    let Some(size) = size.filter(|size| (64..=4096).contains(size) && size.is_power_of_two())
    else {
        let expected = "a power of two from 64 to 4096";
        checker.report(Diagnostic::new(&given.span, found, expected));
        return None;
    };
    if let Some(ports) = ports.filter(|ports| ports.len() < usize::from(size)) {
        let expected = format!("no more than there are `ports`, {}", ports.len());
        let mut error = Diagnostic::new(&given.span, found, expected);
        if let Some(ports) = ports_given {
            error = error.related(&ports.span, "the ports");
        }
        checker.report(error);
        return None;
    }
    Some(PortBlockSize(size))
}

impl Masquerade {
    pub(crate) fn to_raw(&self) -> RawMasquerade {
        let text = |text: String| Some(Located::nowhere(text));
        let source = self.source.iter().map(|net| Located::nowhere(net.to_string()));
        let except = self.except.iter().map(|net| Located::nowhere(net.to_string()));
        let pool = self.pool.iter().cloned().map(AddressRange::V4);
        RawMasquerade {
            source: Some(Located::nowhere(source.collect())),
            except: Some(Located::nowhere(except.collect())).filter(|_| !self.except.is_empty()),
            out: text(self.out.to_string()),
            pool: Some(Located::nowhere(
                pool.map(|range| Located::nowhere(range.to_string())).collect(),
            )),
            ports: text(range::ports_text(&self.ports)),
            filtering: text(self.filtering.to_string()),
            ports_per_source: self.ports_per_source.map(|most| Located::nowhere(most.get().into())),
            port_block_size: self.port_block_size.map(|size| Located::nowhere(size.0.into())),
        }
    }
}
