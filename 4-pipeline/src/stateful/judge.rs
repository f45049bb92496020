//! What a policy says of a packet that begins a flow, or of a flow that began under another policy.

use portcullis_firewall::{Action, AntiSpoofing, Decision, Query, RuleId};
use portcullis_flows::FlowId;
use portcullis_nat::{Lookup, MappingId, Source4};
use portcullis_packet::{DropReason, IfIndex, Instant};
use portcullis_policy::Policy;
use portcullis_routing::{Snapshot, V4, V6, is_behind};
use portcullis_wire::{IpProtocol, Tuple};

use super::conn::{LineFlags, Translation};
use super::state::State;
use super::track::{Track, flags};

/// Where a packet goes after translation of its destination.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Redirect<A> {
    pub(crate) dst: A,
    pub(crate) port: u16,
    pub(crate) by: Translation,
    pub(crate) mapping: Option<MappingId>,
}

/// How the source of a packet is translated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NewSource<A> {
    Same,
    Static(A),
    Masquerade(portcullis_nat::MasqueradeId),
    /// It would have to be, and can't be (RFC 6296, 3.4).
    Impossible,
}

/// What of a packet translation looks at, beside its tuple.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Arrival {
    /// Where it came in.
    pub(crate) rx: IfIndex,
    /// It is an ICMP request: its destination port is a type, and no identifier.
    pub(crate) is_icmp_request: bool,
}

/// The two versions of IP, as far as translation differs.
pub(crate) trait Translate: Track {
    /// Whether the address is one by which inside hosts are known outside.
    fn is_pool(policy: &Policy, address: Self::Addr) -> bool;
    /// Where to, if not where it says.
    fn redirect(
        state: &State,
        policy: &Policy,
        arrival: Arrival,
        tuple: &Tuple<Self::Addr>,
    ) -> Result<Option<Redirect<Self::Addr>>, DropReason>;
    /// Notes that a flow began whose destination is translated.
    fn count_redirected(policy: &Policy, rx: IfIndex, tuple: &Tuple<Self::Addr>);
    /// Who it is from, for hosts behind an interface.
    fn new_source(policy: &Policy, tx: IfIndex, tuple: &Tuple<Self::Addr>)
    -> NewSource<Self::Addr>;
    /// The interface whose translation a packet from inside to inside by an external address gets first.
    fn hairpin_via(policy: &Policy, rx: IfIndex, tuple: &Tuple<Self::Addr>) -> Option<IfIndex>;
    /// The inside host behind the source of a packet that was translated already.
    fn inside_source(state: &State, policy: &Policy, tuple: &Tuple<Self::Addr>) -> Self::Addr;
    /// The first source of a packet that has this one now: another one if its metadata says that it is hairpinned.
    fn first_source(policy: &Policy, meta: u32, src: Self::Addr) -> Self::Addr;
    /// What the metadata of a hairpinned packet say.
    fn as_hairpin(source: Self::Addr) -> u32;
    /// A port for a masqueraded flow.
    fn map(
        state: &mut State,
        policy: &Policy,
        by: portcullis_nat::MasqueradeId,
        tuple: &Tuple<Self::Addr>,
        now: Instant,
    ) -> Result<(MappingId, Self::Addr, u16), DropReason>;
    /// A packet of the gateway's own: its port is not to be given to a mapping.
    fn reserve(state: &mut State, policy: &Policy, tuple: &Tuple<Self::Addr>) -> bool;
    /// The same flow did not come about.
    fn unreserve(state: &mut State, tuple: &Tuple<Self::Addr>, now: Instant);
}

impl Translate for V4 {
    fn is_pool(policy: &Policy, address: u32) -> bool {
        policy.nat.is_pool(address)
    }

    fn redirect(
        state: &State,
        policy: &Policy,
        arrival: Arrival,
        tuple: &Tuple<u32>,
    ) -> Result<Option<Redirect<u32>>, DropReason> {
        let nat = &policy.nat;
        let rx = nat.hairpin_via(arrival.rx, tuple).unwrap_or(arrival.rx);
        if let Some(found) = nat.destination4(rx, tuple) {
            let by = match found.kind {
                portcullis_nat::DestinationKind::Static => Translation::Static,
                portcullis_nat::DestinationKind::Forward => Translation::Forward,
            };
            let (dst, port) = (found.address, found.port);
            return Ok(Some(Redirect { dst, port, by, mapping: None }));
        }
        if arrival.is_icmp_request || !nat.is_pool(tuple.dst) {
            return Ok(None);
        }
        let external = (tuple.dst, tuple.ports.dst);
        match state.masquerading.inside_of(nat, tuple.protocol, external, tuple.src) {
            Lookup::None => Ok(None),
            Lookup::Filtered => Err(DropReason::NatFiltered),
            Lookup::Inside { id, address, port } => Ok(Some(Redirect {
                dst: address,
                port,
                by: Translation::Masquerade,
                mapping: Some(id),
            })),
        }
    }

    fn count_redirected(policy: &Policy, rx: IfIndex, tuple: &Tuple<u32>) {
        policy.nat.count_forwarded(rx, tuple);
    }

    fn new_source(policy: &Policy, tx: IfIndex, tuple: &Tuple<u32>) -> NewSource<u32> {
        match policy.nat.source4(tx, tuple.src, tuple.dst) {
            Source4::None => NewSource::Same,
            Source4::Static(address) => NewSource::Static(address),
            Source4::Masquerade(id) => NewSource::Masquerade(id),
        }
    }

    fn hairpin_via(policy: &Policy, rx: IfIndex, tuple: &Tuple<u32>) -> Option<IfIndex> {
        policy.nat.hairpin_via(rx, tuple)
    }

    fn inside_source(state: &State, policy: &Policy, tuple: &Tuple<u32>) -> u32 {
        if let Some(inside) = policy.nat.static_inside(tuple.src) {
            return inside;
        }
        if !policy.nat.is_pool(tuple.src) {
            return tuple.src;
        }
        let external = (tuple.src, tuple.ports.src);
        match state.masquerading.inside_of(&policy.nat, tuple.protocol, external, tuple.dst) {
            Lookup::Inside { address, .. } => address,
            Lookup::None | Lookup::Filtered => tuple.src,
        }
    }

    fn first_source(_: &Policy, meta: u32, src: u32) -> u32 {
        if meta == 0 { src } else { meta }
    }

    fn as_hairpin(source: u32) -> u32 {
        source
    }

    fn map(
        state: &mut State,
        policy: &Policy,
        by: portcullis_nat::MasqueradeId,
        tuple: &Tuple<u32>,
        now: Instant,
    ) -> Result<(MappingId, u32, u16), DropReason> {
        let inside = (tuple.src, tuple.ports.src);
        let mapped =
            state.masquerading.map(&policy.nat, by, tuple.protocol, inside, tuple.dst, now);
        state.drain_blocks();
        match mapped {
            Ok(mapped) => Ok((mapped.id, mapped.external.0, mapped.external.1)),
            Err(portcullis_nat::MapError::OutOfPorts | portcullis_nat::MapError::TableFull) => {
                Err(DropReason::NatOutOfPorts)
            }
            Err(portcullis_nat::MapError::SourceLimit) => Err(DropReason::NatSourceLimit),
        }
    }

    fn reserve(state: &mut State, policy: &Policy, tuple: &Tuple<u32>) -> bool {
        let has_ports = matches!(tuple.protocol, IpProtocol::TCP | IpProtocol::UDP);
        has_ports
            && policy.nat.is_pool(tuple.src)
            && state.masquerading.reserve(tuple.protocol, (tuple.src, tuple.ports.src))
    }

    fn unreserve(state: &mut State, tuple: &Tuple<u32>, now: Instant) {
        state.masquerading.unreserve(tuple.protocol, (tuple.src, tuple.ports.src), now);
    }
}

impl Translate for V6 {
    fn is_pool(_: &Policy, _: u128) -> bool {
        false
    }

    fn redirect(
        _: &State,
        policy: &Policy,
        arrival: Arrival,
        tuple: &Tuple<u128>,
    ) -> Result<Option<Redirect<u128>>, DropReason> {
        let rx = policy.nat.hairpin_via6(arrival.rx, tuple.dst).unwrap_or(arrival.rx);
        let Some(translated) = policy.nat.destination6(rx, tuple.dst) else {
            return Ok(None);
        };
        let dst = translated.ok_or(DropReason::NatUntranslatable)?;
        let (port, by) = (tuple.ports.dst, Translation::Static);
        Ok(Some(Redirect { dst, port, by, mapping: None }))
    }

    fn count_redirected(_: &Policy, _: IfIndex, _: &Tuple<u128>) {}

    fn new_source(policy: &Policy, tx: IfIndex, tuple: &Tuple<u128>) -> NewSource<u128> {
        match policy.nat.source6(tx, tuple.src) {
            None => NewSource::Same,
            Some(Some(address)) => NewSource::Static(address),
            Some(None) => NewSource::Impossible,
        }
    }

    fn hairpin_via(policy: &Policy, rx: IfIndex, tuple: &Tuple<u128>) -> Option<IfIndex> {
        policy.nat.hairpin_via6(rx, tuple.dst)
    }

    fn inside_source(_: &State, policy: &Policy, tuple: &Tuple<u128>) -> u128 {
        policy.nat.inside6(tuple.src).unwrap_or(tuple.src)
    }

    /// The address can be told from the external one, so the metadata only say that there is one.
    fn first_source(policy: &Policy, meta: u32, src: u128) -> u128 {
        if meta == 0 { src } else { policy.nat.inside6(src).unwrap_or(src) }
    }

    fn as_hairpin(_: u128) -> u32 {
        1
    }

    fn map(
        _: &mut State,
        _: &Policy,
        _: portcullis_nat::MasqueradeId,
        _: &Tuple<u128>,
        _: Instant,
    ) -> Result<(MappingId, u128, u16), DropReason> {
        Err(DropReason::NatUntranslatable)
    }

    fn reserve(_: &mut State, _: &Policy, _: &Tuple<u128>) -> bool {
        false
    }

    fn unreserve(_: &mut State, _: &Tuple<u128>, _: Instant) {}
}

/// What the firewall says of a packet; everything is accepted where there is none.
pub(crate) fn ask_rules<F: Track>(
    policy: &Policy,
    rx: IfIndex,
    tx: IfIndex,
    tuple: Tuple<F::Addr>,
) -> Decision {
    let (from, to) = (policy.zone(rx), policy.zone(tx));
    match &policy.rules {
        Some(rules) => F::decide(rules, &Query { from, to, tuple }),
        None => Decision { rule: RuleId::NONE, action: Action::Accept, log: false },
    }
}

/// Whether a packet may have come in where it did (RFC 2827; RFC 3704, 2.2 and 2.3).
pub(crate) fn is_credible<F: Track>(
    snapshot: &Snapshot,
    vrf: portcullis_packet::VrfId,
    rx: IfIndex,
    src: F::Addr,
) -> bool {
    match snapshot.policy.interface(rx).anti_spoofing {
        AntiSpoofing::Off => true,
        AntiSpoofing::Loose => is_behind::<F>(snapshot, vrf, src, None),
        AntiSpoofing::Strict => is_behind::<F>(snapshot, vrf, src, Some(rx)),
    }
}

impl State {
    /// Whether a flow would be what it is if it began now. What changed about it for good is noted: the
    /// rule that lets it in, and that it was judged.
    pub(crate) fn stands<F: Translate>(&mut self, policy: &Policy, id: FlowId) -> bool {
        let Some(flow) = self.table.flow(id) else { return false };
        let [original, reply] = &flow.lines;
        let (rx, tx, marks) = (original.rx_if(), reply.rx_if(), flags(original));
        let (Some(tuple), Some(back)) = (F::tuple(original), F::tuple(reply)) else { return false };
        let (hold, protocol) = (flow.state.hold, tuple.protocol);
        // What the gateway itself began goes on, and so does what it was asked.
        let rule = if rx == IfIndex::NONE {
            Some(RuleId::NONE)
        } else {
            let translated = back.reversed();
            let arrival = Arrival { rx, is_icmp_request: is_request::<F>(protocol, &tuple) };
            let tx = if marks.has(LineFlags::LOCAL) { IfIndex::NONE } else { tx };
            if marks.has(LineFlags::AGAIN) {
                // Its second half is judged by the rules.
                let via = F::hairpin_via(policy, rx, &tuple);
                let is_alike = match via.map(|out| F::new_source(policy, out, &tuple)) {
                    Some(NewSource::Static(address)) => translated.src == address,
                    Some(NewSource::Masquerade(_)) => {
                        hold.as_mapping().is_some_and(|mapping| self.masquerading.is_valid(mapping))
                    }
                    Some(NewSource::Same | NewSource::Impossible) | None => false,
                };
                is_alike.then_some(RuleId::NONE)
            } else {
                self.same_way::<F>(policy, arrival, tx, hold.as_mapping(), &tuple, &translated)
                    .then(|| {
                        let src = F::inside_source(self, policy, &tuple);
                        let asked = Tuple { src, ..translated };
                        ask_rules::<F>(policy, rx, tx, asked)
                    })
                    .filter(|decision| decision.action == Action::Accept)
                    .map(|decision| decision.rule)
            }
        };
        let (Some(rule), Some(flow)) = (rule, self.table.flow_mut(id)) else { return false };
        flow.state.rule = rule;
        for line in &mut flow.lines {
            line.set_flags(flags(line).judged_by(policy.number).0);
            // The next packet of each direction finds its way anew.
            line.set_epoch(0);
        }
        true
    }

    /// Whether a flow would be translated as it is.
    fn same_way<F: Translate>(
        &self,
        policy: &Policy,
        arrival: Arrival,
        tx: IfIndex,
        mapping: Option<MappingId>,
        tuple: &Tuple<F::Addr>,
        translated: &Tuple<F::Addr>,
    ) -> bool {
        if mapping.is_some_and(|mapping| !self.masquerading.is_valid(mapping)) {
            return false;
        }
        let to = match F::redirect(self, policy, arrival, tuple) {
            Ok(Some(to)) => (to.dst, to.port),
            Ok(None) => (tuple.dst, tuple.ports.dst),
            // What was let in by a filter that the flow itself keeps open.
            Err(_) => (translated.dst, translated.ports.dst),
        };
        if to != (translated.dst, translated.ports.dst) {
            return false;
        }
        match F::new_source(policy, tx, &Tuple { src: tuple.src, ..*translated }) {
            NewSource::Impossible => false,
            NewSource::Same => translated.src == tuple.src,
            NewSource::Static(address) => translated.src == address,
            NewSource::Masquerade(_) => mapping.is_some() && translated.src != tuple.src,
        }
    }
}

/// Whether a flow began with an ICMP request, as nearly all do.
fn is_request<F: Track>(protocol: IpProtocol, tuple: &Tuple<F::Addr>) -> bool {
    (protocol == IpProtocol::ICMP || protocol == IpProtocol::ICMPV6)
        && portcullis_wire::dissect::is_request_port(tuple.ports.dst)
}
