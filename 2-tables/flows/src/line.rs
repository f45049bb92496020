//! One direction of a flow: a cache line.

use portcullis_packet::{IfIndex, NextHopId, Ports, VrfId};
use portcullis_wire::rewrite::Rewrite4;
use portcullis_wire::{IpProtocol, Tuple};

use crate::key::{self, Key};

/// The families of a line; a line of neither is free.
pub(crate) const V4: u8 = 4;
pub(crate) const V6: u8 = 6;

/// What is known of the packets of one direction. The key comes first; of IPv4, the compiled rewrite shares
/// the room that an IPv6 key needs.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(64))]
pub struct Line {
    /// IPv4: source and destination of the key; those of the rewrite; its ports; its two checksum
    /// deltas. IPv6: the key's source and destination, four words each.
    words: [u32; 8],
    ports: u32,
    protocol: u8,
    family: u8,
    vrf: u16,
    rx_if: u16,
    flags: u16,
    next_hop: u32,
    epoch: u32,
    packets: u32,
    bytes: u32,
    /// The upper 16 bits of both counters: bytes in the upper half.
    carries: u32,
}

const _: () = assert!(size_of::<Line>() == 64);

impl Line {
    pub(crate) fn new4(key: &Key<u32>) -> Self {
        let Tuple { src, dst, ports, protocol } = key.tuple;
        let words = [src, dst, 0, 0, 0, 0, 0, 0];
        Self {
            words,
            ports: key::ports(ports),
            protocol: protocol.0,
            family: V4,
            vrf: key.vrf.0,
            ..Self::default()
        }
    }

    pub(crate) fn new6(key: &Key<u128>) -> Self {
        let Tuple { src, dst, ports, protocol } = key.tuple;
        let word = |address: u128, at: u32| (address >> (96 - 32 * at)) as u32;
        let words = [
            word(src, 0),
            word(src, 1),
            word(src, 2),
            word(src, 3),
            word(dst, 0),
            word(dst, 1),
            word(dst, 2),
            word(dst, 3),
        ];
        Self {
            words,
            ports: key::ports(ports),
            protocol: protocol.0,
            family: V6,
            vrf: key.vrf.0,
            ..Self::default()
        }
    }

    /// All of the key but the addresses.
    #[inline(always)]
    pub(crate) fn is(&self, family: u8, protocol: IpProtocol, vrf: VrfId, ports: Ports) -> bool {
        self.ports == key::ports(ports)
            && (self.protocol, self.family, self.vrf) == (protocol.0, family, vrf.0)
    }

    #[inline(always)]
    pub(crate) fn addresses4(&self) -> (u32, u32) {
        (self.words[0], self.words[1])
    }

    #[inline(always)]
    pub(crate) fn addresses6(&self) -> (u128, u128) {
        let [a, b, c, d, e, f, g, h] = self.words.map(u128::from);
        (a << 96 | b << 64 | c << 32 | d, e << 96 | f << 64 | g << 32 | h)
    }

    pub(crate) fn key4(&self) -> Option<Key<u32>> {
        self.tuple4().map(|tuple| Key { tuple, vrf: self.vrf() })
    }

    pub(crate) fn key6(&self) -> Option<Key<u128>> {
        self.tuple6().map(|tuple| Key { tuple, vrf: self.vrf() })
    }

    #[inline(always)]
    fn key_ports(&self) -> Ports {
        Ports { src: (self.ports >> 16) as u16, dst: self.ports as u16 }
    }

    /// Whether there is anything at all.
    #[inline(always)]
    pub(crate) const fn is_live(&self) -> bool {
        self.family != 0
    }

    /// Whether the flow is one of IPv4.
    #[inline(always)]
    #[must_use]
    pub const fn is_v4(&self) -> bool {
        self.family == V4
    }

    /// The tuple that packets arrive with, of IPv4.
    #[inline]
    #[must_use]
    pub fn tuple4(&self) -> Option<Tuple<u32>> {
        let ((src, dst), ports) = (self.addresses4(), self.key_ports());
        let protocol = IpProtocol(self.protocol);
        self.is_v4().then_some(Tuple { src, dst, ports, protocol })
    }

    /// The tuple that packets arrive with, of IPv6.
    #[inline]
    #[must_use]
    pub fn tuple6(&self) -> Option<Tuple<u128>> {
        let ((src, dst), ports) = (self.addresses6(), self.key_ports());
        let protocol = IpProtocol(self.protocol);
        (self.family == V6).then_some(Tuple { src, dst, ports, protocol })
    }

    /// What is to be done to the packets, of IPv4. Nothing sensible if it was never set.
    #[inline(always)]
    #[must_use]
    pub fn rewrite4(&self) -> Rewrite4 {
        let [_, _, src, dst, ports, deltas, _, _] = self.words;
        Rewrite4 {
            src,
            dst,
            ports: Ports { src: (ports >> 16) as u16, dst: ports as u16 },
            address_delta: (deltas >> 16) as u16,
            delta: deltas as u16,
        }
    }

    /// Sets what is to be done to the packets. Of IPv4 only: elsewhere there is no room for it.
    pub fn set_rewrite4(&mut self, rewrite: &Rewrite4) {
        if self.is_v4() {
            let deltas = u32::from(rewrite.address_delta) << 16 | u32::from(rewrite.delta);
            self.words[2] = rewrite.src;
            self.words[3] = rewrite.dst;
            self.words[4] = key::ports(rewrite.ports);
            self.words[5] = deltas;
        }
    }

    /// The upper protocol's number.
    #[inline]
    #[must_use]
    pub const fn protocol(&self) -> u8 {
        self.protocol
    }

    /// The VRF of the key.
    #[inline]
    #[must_use]
    pub const fn vrf(&self) -> VrfId {
        VrfId(self.vrf)
    }

    /// The interface that packets come in by.
    #[inline(always)]
    #[must_use]
    pub const fn rx_if(&self) -> IfIndex {
        IfIndex(self.rx_if)
    }

    /// Sets it.
    pub const fn set_rx_if(&mut self, index: IfIndex) {
        self.rx_if = index.0;
    }

    /// Flags; what they mean is the caller's affair.
    #[inline(always)]
    #[must_use]
    pub const fn flags(&self) -> u16 {
        self.flags
    }

    /// Sets them.
    pub const fn set_flags(&mut self, flags: u16) {
        self.flags = flags;
    }

    /// The next hop that packets leave by.
    #[inline(always)]
    #[must_use]
    pub const fn next_hop(&self) -> NextHopId {
        NextHopId(self.next_hop)
    }

    /// Sets it.
    pub const fn set_next_hop(&mut self, id: NextHopId) {
        self.next_hop = id.0;
    }

    /// The epoch in which all this was checked; 0 if it never was.
    #[inline(always)]
    #[must_use]
    pub const fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Sets it.
    pub const fn set_epoch(&mut self, epoch: u32) {
        self.epoch = epoch;
    }

    /// Counts a packet of so many bytes.
    #[inline(always)]
    pub const fn count(&mut self, bytes: u32) {
        let (packets, packets_carry) = self.packets.overflowing_add(1);
        let (bytes, bytes_carry) = self.bytes.overflowing_add(bytes);
        self.packets = packets;
        self.bytes = bytes;
        self.carries = self.carries.wrapping_add((bytes_carry as u32) << 16 | packets_carry as u32);
    }

    /// Packets, up to 2^48.
    #[must_use]
    pub const fn packets(&self) -> u64 {
        ((self.carries & 0xffff) as u64) << 32 | self.packets as u64
    }

    /// Bytes, up to 2^48.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        ((self.carries >> 16) as u64) << 32 | self.bytes as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tuple<A>(src: A, dst: A) -> Tuple<A> {
        Tuple { src, dst, ports: Ports { src: 7, dst: 9 }, protocol: IpProtocol::UDP }
    }

    #[test]
    fn a_line_gives_its_key_back() {
        let key = Key { tuple: tuple(0x0a00_0001, 0xc000_0201), vrf: VrfId(3) };
        assert_eq!(Line::new4(&key).key4(), Some(key));
        assert_eq!(Line::new4(&key).key6(), None);
        let key = Key { tuple: tuple(1u128 << 127 | 5, 1 << 64 | 6), vrf: VrfId(0) };
        assert_eq!(Line::new6(&key).key6(), Some(key));
        assert_eq!(Line::new6(&key).key4(), None);
    }

    #[test]
    fn a_rewrite_leaves_the_key_alone() {
        let key = Key { tuple: tuple(1, 2), vrf: VrfId(0) };
        let mut line = Line::new4(&key);
        let rewrite = Rewrite4 {
            src: 3,
            dst: 4,
            ports: Ports { src: 5, dst: 6 },
            address_delta: 0xfffe,
            delta: 0x1234,
        };
        line.set_rewrite4(&rewrite);
        assert_eq!((line.rewrite4(), line.key4()), (rewrite, Some(key)));
    }

    #[test]
    fn counters_carry_into_their_own_upper_halves() {
        let mut line = Line { packets: u32::MAX, bytes: u32::MAX - 10, ..Line::default() };
        line.count(100);
        assert_eq!(line.packets(), 1 << 32);
        assert_eq!(line.bytes(), u64::from(u32::MAX) - 10 + 100);
        line.count(u32::MAX);
        assert_eq!(line.bytes(), 2 * u64::from(u32::MAX) + 90);
        assert_eq!(line.packets(), (1 << 32) + 1);
    }
}
