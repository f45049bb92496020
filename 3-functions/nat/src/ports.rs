//! The ports of one external address and protocol, as far as one worker owns them.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use portcullis_packet::Instant;

use crate::random::Random;

/// Ports in a word of the bitmaps.
const WORD: usize = 64;
const WORDS: usize = 65_536 / WORD;

/// How long a freed port rests at least (RFC 6888, REQ-8), and at most twice that.
pub(crate) const REST: Duration = Duration::from_secs(120);

/// Even ports of a word.
const EVEN: u64 = 0x5555_5555_5555_5555;

type Bits = Box<[u64; WORDS]>;

fn none() -> Bits {
    Box::new([0; WORDS])
}

/// The ports of a range that a worker owns. The same for all addresses and protocols of a masquerade.
pub(crate) fn usable(range: &RangeInclusive<u16>, owned: Owned) -> Arc<[u64; WORDS]> {
    let mut usable = [0; WORDS];
    for (word, bits) in usable.iter_mut().enumerate() {
        let first = (word * WORD) as u16;
        // Units are whole words.
        if owned.owner(first) == owned.worker {
            *bits = from(range.start().saturating_sub(first))
                & !range
                    .end()
                    .checked_sub(first)
                    .map_or(u64::MAX, |last| from(last.saturating_add(1)));
        }
    }
    Arc::new(usable)
}

/// Takes ports away from those that a worker owns.
pub(crate) fn exclude(usable: &mut [u64; WORDS], ports: &RangeInclusive<u16>) {
    for port in ports.clone() {
        let (word, bit) = place(port);
        if let Some(bits) = usable.get_mut(word) {
            *bits &= !bit;
        }
    }
}

/// The bits of a word from one on.
fn from(bit: u16) -> u64 {
    u64::MAX.checked_shl(u32::from(bit)).unwrap_or(0)
}

/// Ports, by what becomes of them. A freed port rests until the second turn of the clock after it.
#[derive(Clone, Debug)]
pub(crate) struct PortSpace {
    /// Those that there are.
    usable: Arc<[u64; WORDS]>,
    in_use: Bits,
    /// Freed since the last turn, and before it.
    resting: [Bits; 2],
    turned: Instant,
    used: u32,
    /// Ports in blocks, if they are given out so.
    blocks: Vec<Block>,
    block_size: usize,
    pub(crate) exhausted: u64,
}

/// A block of ports, and whose it is.
#[derive(Clone, Copy, Debug, Default)]
struct Block {
    owner: u32,
    used: u16,
}

/// What was found for an inside endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Found {
    pub(crate) port: u16,
    /// A block was given out for it: its first port.
    pub(crate) new_block: Option<u16>,
}

/// Which ports are owned by which worker: blocks of so many in turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Owned {
    pub(crate) worker: u16,
    pub(crate) workers: u16,
    /// Ports that stay together: a multiple of 64.
    pub(crate) unit: u16,
}

impl Owned {
    /// The worker that owns a port.
    #[inline]
    pub(crate) const fn owner(self, port: u16) -> u16 {
        port / self.unit % self.workers
    }
}

const fn place(port: u16) -> (usize, u64) {
    (port as usize / WORD, 1 << (port as usize % WORD))
}

impl PortSpace {
    /// Nothing of these ports in use, in blocks of `block_size` if that is given.
    pub(crate) fn new(usable: Arc<[u64; WORDS]>, block_size: Option<u16>) -> Self {
        let mut space = Self {
            usable,
            in_use: none(),
            resting: [none(), none()],
            turned: Instant(0),
            used: 0,
            blocks: Vec::new(),
            block_size: 0,
            exhausted: 0,
        };
        space.set_block_size(block_size);
        space
    }

    /// Other ports and blocks from now on. What is in use stays so, and what rests.
    pub(crate) fn renew(&mut self, usable: Arc<[u64; WORDS]>, block_size: Option<u16>) {
        self.usable = usable;
        self.set_block_size(block_size);
    }

    fn set_block_size(&mut self, block_size: Option<u16>) {
        let block_size = block_size.map_or(0, usize::from);
        if block_size != self.block_size {
            let blocks = 65_536usize.checked_div(block_size).unwrap_or(0);
            self.blocks = vec![Block::default(); blocks];
            self.block_size = block_size;
        }
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        3 * size_of::<[u64; WORDS]>() + self.blocks.len() * size_of::<Block>()
    }

    pub(crate) fn total(&self) -> u32 {
        self.usable.iter().map(|bits| bits.count_ones()).sum()
    }

    pub(crate) const fn used(&self) -> u32 {
        self.used
    }

    pub(crate) fn resting(&self) -> u32 {
        let [new, old] = &self.resting;
        let pairs = new.iter().zip(old.iter()).zip(self.in_use.iter()).zip(self.usable.iter());
        pairs.map(|(((new, old), used), usable)| ((new | old) & !used & usable).count_ones()).sum()
    }

    /// Lets those go that have rested.
    fn turn(&mut self, now: Instant) {
        let passed = now.since(self.turned);
        if passed < REST {
            return;
        }
        let [new, old] = &mut self.resting;
        if passed < 2 * REST {
            std::mem::swap(new, old);
        } else {
            old.fill(0);
        }
        new.fill(0);
        self.turned = now;
    }

    fn free(&self, word: usize) -> u64 {
        let at = |bits: &[u64; WORDS]| bits.get(word).copied().unwrap_or(0);
        let [new, old] = &self.resting;
        at(&self.usable) & !(at(&self.in_use) | at(new) | at(old))
    }

    /// Whether a port is one of those that there are.
    pub(crate) fn is_usable(&self, port: u16) -> bool {
        let (word, bit) = place(port);
        self.usable.get(word).is_some_and(|bits| bits & bit != 0)
    }

    /// Whether a port could be given out now.
    pub(crate) fn is_free(&mut self, port: u16, now: Instant) -> bool {
        self.turn(now);
        let (word, bit) = place(port);
        self.free(word) & bit != 0
    }

    /// A free port for an inside host: of the wanted parity if there is one (RFC 4787, REQ-4), anywhere (RFC 6056), and
    /// of an even one with the next one free as well, if possible.
    pub(crate) fn find(
        &mut self,
        host: u32,
        odd: bool,
        random: &mut Random,
        now: Instant,
    ) -> Option<Found> {
        self.turn(now);
        if self.block_size > 0 {
            return self.find_in_blocks(host, odd, random);
        }
        let port = self.search(0..WORDS, odd, random.next())?;
        Some(Found { port, new_block: None })
    }

    /// Looks through words from a random one on.
    fn search(&self, words: std::ops::Range<usize>, odd: bool, random: u64) -> Option<u16> {
        let parity = if odd { !EVEN } else { EVEN };
        let count = words.len().max(1);
        let start = ((random >> 32) as usize).checked_rem(count)?;
        let turn = (random & 63) as u32;
        let mut second = None;
        for step in 0..count {
            let word = words.start + (start + step) % count;
            let free = self.free(word);
            if free == 0 {
                continue;
            }
            let pairs = free & free >> 1 & EVEN;
            let wanted = free & parity;
            let best = if !odd && pairs != 0 { pairs } else { wanted };
            if best != 0 {
                return Some(pick(word, best, turn));
            }
            second = second.or(Some((word, free)));
        }
        second.map(|(word, free)| pick(word, free, turn))
    }

    fn find_in_blocks(&mut self, host: u32, odd: bool, random: &mut Random) -> Option<Found> {
        let words = self.block_size / WORD;
        let range = |block: usize| block * words..(block + 1) * words;
        let own = self.blocks.iter().enumerate().filter(|(_, b)| b.used > 0 && b.owner == host);
        for (block, _) in own {
            if let Some(port) = self.search(range(block), odd, random.next()) {
                return Some(Found { port, new_block: None });
            }
        }
        let count = self.blocks.len();
        let start = (random.next() >> 32) as usize % count.max(1);
        let fresh = (0..count).map(|step| (start + step) % count).find(|&block| {
            self.blocks.get(block).is_some_and(|block| block.used == 0)
                && range(block).any(|word| self.free(word) != 0)
        })?;
        let port = self.search(range(fresh), odd, random.next())?;
        Some(Found { port, new_block: u16::try_from(fresh * self.block_size).ok() })
    }

    /// Marks a port as used by a host.
    pub(crate) fn take(&mut self, host: u32, port: u16) {
        let (word, bit) = place(port);
        if let Some(bits) = self.in_use.get_mut(word) {
            self.used += u32::from(*bits & bit == 0);
            *bits |= bit;
        }
        if let Some(block) = self.block_mut(port) {
            block.owner = host;
            block.used += 1;
        }
    }

    /// Lets a port rest. If it was the last one of a block, the block's first port.
    pub(crate) fn give(&mut self, port: u16, now: Instant) -> Option<u16> {
        self.turn(now);
        let (word, bit) = place(port);
        if let Some(bits) = self.in_use.get_mut(word) {
            self.used -= u32::from(*bits & bit != 0);
            *bits &= !bit;
        }
        let [new, _] = &mut self.resting;
        if let Some(bits) = new.get_mut(word) {
            *bits |= bit;
        }
        let first = (usize::from(port) / self.block_size.max(1)) * self.block_size;
        let block = self.block_mut(port)?;
        block.used = block.used.saturating_sub(1);
        (block.used == 0).then_some(first as u16)
    }

    fn block_mut(&mut self, port: u16) -> Option<&mut Block> {
        let block = usize::from(port).checked_div(self.block_size)?;
        self.blocks.get_mut(block)
    }

    pub(crate) const fn block_size(&self) -> usize {
        self.block_size
    }
}

/// One of the set bits of a word, as a port.
fn pick(word: usize, bits: u64, turn: u32) -> u16 {
    let at = (bits.rotate_right(turn).trailing_zeros() + turn) % WORD as u32;
    (word * WORD) as u16 + at as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    const ALL: Owned = Owned { worker: 0, workers: 1, unit: 64 };
    const NOW: Instant = Instant(1_000_000_000_000);

    fn space(range: RangeInclusive<u16>) -> (PortSpace, Random) {
        (PortSpace::new(usable(&range, ALL), None), Random::new(5))
    }

    fn take(space: &mut PortSpace, random: &mut Random, odd: bool, now: Instant) -> Option<u16> {
        let found = space.find(1, odd, random, now)?;
        space.take(1, found.port);
        Some(found.port)
    }

    #[test]
    fn every_port_is_given_out_once_and_then_no_more() {
        let (mut space, mut random) = space(1024..=2047);
        let taken: HashSet<_> = (0..1024)
            .map(|n| take(&mut space, &mut random, n % 2 == 1, NOW).expect("a port"))
            .collect();
        assert_eq!((taken.len(), space.used()), (1024, 1024));
        assert!(taken.iter().all(|port| (1024..=2047).contains(port)));
        assert_eq!(take(&mut space, &mut random, false, NOW), None);
    }

    #[test]
    fn rfc4787_req4_parity_is_kept_as_long_as_there_are_such_ports() {
        let (mut space, mut random) = space(1024..=65535);
        for n in 0..20_000u32 {
            let odd = n % 3 == 0;
            let port = take(&mut space, &mut random, odd, NOW).expect("a port");
            assert_eq!(port % 2 == 1, odd);
        }
    }

    #[test]
    fn rfc6888_req8_a_freed_port_rests_for_two_minutes_at_least() {
        let (mut space, mut random) = space(2000..=2000);
        assert_eq!(take(&mut space, &mut random, false, NOW), Some(2000));
        let freed = NOW + Duration::from_secs(119);
        space.give(2000, freed);
        for seconds in [0, 1, 60, 119] {
            let now = freed + Duration::from_secs(seconds);
            assert_eq!(take(&mut space, &mut random, false, now), None, "{seconds}");
        }
        assert_eq!(space.resting(), 1);
        let rested = freed + Duration::from_secs(241);
        assert_eq!(take(&mut space, &mut random, false, rested), Some(2000));
    }

    #[test]
    fn rfc6056_ports_are_spread_over_the_whole_range() {
        let (mut space, mut random) = space(1024..=65535);
        let ports: Vec<_> =
            (0..4000).map(|_| take(&mut space, &mut random, false, NOW).expect("a port")).collect();
        let quarter = ports.iter().filter(|&&port| port < 17_152).count();
        assert!((800..1200).contains(&quarter), "{quarter}");
        let following = ports.windows(2).filter(|p| p[1].abs_diff(p[0]) < 64).count();
        assert!(following < 40, "{following}");
    }

    #[test]
    fn workers_own_different_ports_and_together_all() {
        let owned = |worker| Owned { worker, workers: 3, unit: 64 };
        let spaces: Vec<_> =
            (0..3).map(|w| PortSpace::new(usable(&(1024..=65535), owned(w)), None)).collect();
        assert_eq!(spaces.iter().map(PortSpace::total).sum::<u32>(), 64_512);
        for port in 1024..=65535u16 {
            let (word, bit) = place(port);
            let owners = spaces.iter().filter(|space| space.usable[word] & bit != 0).count();
            assert_eq!(owners, 1);
        }
    }

    #[test]
    fn a_range_begins_and_ends_anywhere() {
        for range in [0..=0, 0..=65535, 1..=64, 63..=63, 64..=127, 1000..=65534, 65535..=65535] {
            let usable = usable(&range, ALL);
            for port in 0..=65535u16 {
                let (word, bit) = place(port);
                assert_eq!(usable[word] & bit != 0, range.contains(&port), "{port} of {range:?}");
            }
        }
    }

    #[test]
    fn a_host_has_its_ports_in_blocks_of_its_own() {
        let mut space = PortSpace::new(usable(&(1024..=2047), ALL), Some(128));
        let mut random = Random::new(5);
        let mut blocks = HashSet::new();
        let mut ports = |space: &mut PortSpace, host| {
            let found = space.find(host, false, &mut random, NOW).expect("a port");
            space.take(host, found.port);
            (found.port, found.new_block)
        };
        let (first, block) = ports(&mut space, 1);
        blocks.insert(block.expect("a new block"));
        for _ in 1..128 {
            let (port, block) = ports(&mut space, 1);
            assert_eq!((port / 128, block), (first / 128, None));
        }
        let (_, block) = ports(&mut space, 1);
        assert!(blocks.insert(block.expect("another block")));
        let (other, block) = ports(&mut space, 2);
        assert!(blocks.insert(block.expect("a block for another host")));
        assert_eq!(space.give(other, NOW), block);
    }
}
