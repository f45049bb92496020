//! All packets that come in fragments.

use std::time::Duration;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use portcullis_packet::{DropReason, Instant, Packet, Ports, Verdict};

use crate::packet::Pieces;

/// Packets that may be under way in fragments.
const PACKETS: usize = 1024;

/// Fragments that may wait for their first one, in all.
const HELD: usize = 512;

/// Of one packet.
const HELD_OF_ONE: u16 = 48;

/// Packets of one source, so that one that sends nothing but fragments leaves room for others.
const SHARE: u16 = PACKETS as u16 / 4;

/// Sources are counted by hash; those that share a counter share what it allows.
const SOURCES: usize = 1024;

/// How long a packet's fragments may be apart: as Linux has it, and within RFC 8200's 60 seconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// What all fragments of a packet have in common (RFC 791, 3.2; RFC 8200, 4.5). IPv4 addresses are the
/// lowest bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FragmentKey {
    /// Whether the addresses are of IPv6.
    pub is_ipv6: bool,
    /// Source address.
    pub src: u128,
    /// Destination address.
    pub dst: u128,
    /// Identification.
    pub id: u32,
    /// Upper protocol.
    pub protocol: u8,
    /// Where it is routed.
    pub vrf: u16,
}

/// A fragment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Part {
    /// Where in the packet's payload it begins, in bytes.
    pub offset: u16,
    /// Its bytes.
    pub length: u16,
    /// Whether it is not the last one.
    pub more: bool,
    /// Of the first fragment, its ports.
    pub first: Option<Ports>,
}

/// What becomes of a fragment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Judgement {
    /// It goes on, as a packet with these ports.
    Pass(Ports),
    /// It waits for its first fragment: [`Reassembly::hold`].
    Hold,
    /// It is dropped.
    Drop(DropReason),
}

/// A packet under way.
#[derive(Debug)]
struct Entry {
    key: FragmentKey,
    pieces: Pieces,
    give_up: Instant,
    /// The first of those of its fragments that wait.
    waiting: Option<u16>,
    held: u16,
    /// Fragments that are to wait and have not been handed over yet.
    promised: u16,
    source: u16,
    /// Not all of it was seen yet.
    live: bool,
}

/// A place for a fragment that waits.
#[derive(Debug)]
struct Held {
    packet: Option<Packet>,
    next: Option<u16>,
}

/// The fragments of one worker.
#[derive(Debug)]
pub struct Reassembly {
    entries: Vec<Entry>,
    index: HashMap<FragmentKey, u16, RandomState>,
    /// A ring of entries in the order in which they began; the first to be given up comes first.
    oldest: usize,
    live: usize,
    held: Vec<Held>,
    free: Option<u16>,
    waiting: usize,
    sources: Vec<u16>,
    /// Those whose first fragment has come.
    ready: Vec<Packet>,
    /// Those that were given up to make room.
    displaced: Vec<Packet>,
    seed: u64,
}

impl Reassembly {
    /// Nothing under way; all the memory there will be. `seed` is random.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let vacant = |_| Entry {
            key: FragmentKey { is_ipv6: false, src: 0, dst: 0, id: 0, protocol: 0, vrf: 0 },
            pieces: Pieces::NONE,
            give_up: Instant(0),
            waiting: None,
            held: 0,
            promised: 0,
            source: 0,
            live: false,
        };
        let held = (0..HELD as u16)
            .map(|at| Held { packet: None, next: (usize::from(at) + 1 < HELD).then_some(at + 1) })
            .collect();
        Self {
            entries: (0..PACKETS).map(vacant).collect(),
            index: HashMap::with_capacity_and_hasher(2 * PACKETS, RandomState::default()),
            oldest: 0,
            live: 0,
            held,
            free: Some(0),
            waiting: 0,
            sources: vec![0; SOURCES],
            ready: Vec::with_capacity(HELD),
            displaced: Vec::with_capacity(HELD),
            seed,
        }
    }

    /// How many fragments wait.
    #[must_use]
    pub const fn held(&self) -> usize {
        self.waiting
    }

    /// How many packets are under way.
    #[must_use]
    pub const fn packets(&self) -> usize {
        self.live
    }

    /// Takes note of a fragment, and says what becomes of it.
    pub fn judge(&mut self, key: FragmentKey, part: Part, now: Instant) -> Judgement {
        let at = match self.index.get(&key) {
            Some(&at) => at,
            None => match self.begin(key, now) {
                Ok(at) => at,
                Err(reason) => return Judgement::Drop(reason),
            },
        };
        let Some(entry) = self.entries.get_mut(usize::from(at)) else {
            return Judgement::Drop(DropReason::FragmentQueueFull);
        };
        if let Err(reason) = entry.pieces.add(&part) {
            return Judgement::Drop(reason);
        }
        let Some(ports) = entry.pieces.ports else {
            let full = self.free.is_none() || entry.held + entry.promised >= HELD_OF_ONE;
            if full {
                return Judgement::Drop(DropReason::FragmentQueueFull);
            }
            entry.promised += 1;
            return Judgement::Hold;
        };
        let is_complete = entry.pieces.is_complete() && entry.promised == 0;
        if part.first.is_some() {
            self.release(at, ports);
        }
        if is_complete {
            self.finish(at);
        }
        Judgement::Pass(ports)
    }

    /// Forgets a packet of which every byte was seen: its identification may soon be used again (RFC 6864, 3),
    /// and its source may begin another one. Its place in the ring is free when its turn comes.
    fn finish(&mut self, at: u16) {
        let Some(entry) = self.entries.get_mut(usize::from(at)) else { return };
        entry.live = false;
        self.index.remove(&entry.key);
        if let Some(count) = self.sources.get_mut(usize::from(entry.source)) {
            *count = count.saturating_sub(1);
        }
    }

    /// Keeps a fragment of which [`Judgement::Hold`] was said, until its first one comes. It comes back if there
    /// is no room any more; if its first one has come meanwhile, it is ready at once.
    pub fn hold(&mut self, key: FragmentKey, mut packet: Packet) -> Option<Packet> {
        let Some(&at) = self.index.get(&key) else { return Some(packet) };
        let Some(entry) = self.entries.get_mut(usize::from(at)) else { return Some(packet) };
        entry.promised = entry.promised.saturating_sub(1);
        if let Some(ports) = entry.pieces.ports {
            packet.meta_mut().ports = marked(ports);
            packet.meta_mut().verdict = Verdict::Pending;
            self.ready.push(packet);
            if entry.promised == 0 && entry.pieces.is_complete() {
                self.finish(at);
            }
            return None;
        }
        let Some(place) = self.free else { return Some(packet) };
        let Some(slot) = self.held.get_mut(usize::from(place)) else { return Some(packet) };
        self.free = slot.next;
        *slot = Held { packet: Some(packet), next: entry.waiting };
        entry.waiting = Some(place);
        entry.held += 1;
        self.waiting += 1;
        None
    }

    /// Those whose first fragment has come, in the order of their arrival. Their metadata has their ports.
    pub fn take_ready(&mut self, into: &mut Vec<Packet>) {
        into.append(&mut self.ready);
    }

    /// Gives up packets that have taken too long. Fragments that waited go to `expired`, and so do those that had
    /// to make room.
    pub fn expire(&mut self, now: Instant, expired: &mut Vec<Packet>) {
        expired.append(&mut self.displaced);
        while let Some(entry) = self.entries.get(self.oldest)
            && self.live > 0
            && (!entry.live || entry.give_up <= now)
        {
            self.drop_oldest(expired);
        }
    }

    /// When [`Self::expire`] has something to do.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        if !self.displaced.is_empty() {
            return Some(Instant(0));
        }
        let entry = self.entries.get(self.oldest).filter(|_| self.live > 0)?;
        Some(entry.give_up)
    }

    /// Gives everything up.
    pub fn stop(&mut self, into: &mut Vec<Packet>) {
        into.append(&mut self.ready);
        into.append(&mut self.displaced);
        while self.live > 0 {
            self.drop_oldest(into);
        }
    }

    fn begin(&mut self, key: FragmentKey, now: Instant) -> Result<u16, DropReason> {
        let source = self.source(&key);
        if self.sources.get(usize::from(source)).is_none_or(|&count| count >= SHARE) {
            return Err(DropReason::FragmentQueueFull);
        }
        if self.live == PACKETS {
            let mut displaced = std::mem::take(&mut self.displaced);
            self.drop_oldest(&mut displaced);
            self.displaced = displaced;
        }
        let at = (self.oldest + self.live) % PACKETS;
        let entry = self.entries.get_mut(at).ok_or(DropReason::FragmentQueueFull)?;
        *entry = Entry {
            key,
            pieces: Pieces::NONE,
            give_up: now + PATIENCE,
            waiting: None,
            held: 0,
            promised: 0,
            source,
            live: true,
        };
        self.live += 1;
        if let Some(count) = self.sources.get_mut(usize::from(source)) {
            *count += 1;
        }
        self.index.insert(key, at as u16);
        Ok(at as u16)
    }

    /// Ends the packet that began first. Its fragments that wait go to `into`.
    fn drop_oldest(&mut self, into: &mut Vec<Packet>) {
        let Some(entry) = self.entries.get_mut(self.oldest) else { return };
        let waiting = entry.waiting.take();
        if std::mem::take(&mut entry.live) {
            self.index.remove(&entry.key);
            if let Some(count) = self.sources.get_mut(usize::from(entry.source)) {
                *count = count.saturating_sub(1);
            }
        }
        self.oldest = (self.oldest + 1) % PACKETS;
        self.live -= 1;
        self.let_go(waiting, into);
    }

    /// Takes a list of fragments out, the last one first.
    fn let_go(&mut self, mut place: Option<u16>, into: &mut Vec<Packet>) {
        while let Some(at) = place {
            let Some(slot) = self.held.get_mut(usize::from(at)) else { break };
            into.extend(slot.packet.take());
            place = std::mem::replace(&mut slot.next, self.free);
            self.free = Some(at);
            self.waiting -= 1;
        }
    }

    /// Lets those go on that waited for a first fragment.
    fn release(&mut self, at: u16, ports: Ports) {
        let Some(entry) = self.entries.get_mut(usize::from(at)) else { return };
        let waiting = entry.waiting.take();
        entry.held = 0;
        let mut ready = std::mem::take(&mut self.ready);
        let before = ready.len();
        self.let_go(waiting, &mut ready);
        if let Some(released) = ready.get_mut(before..) {
            released.reverse();
            for packet in released {
                packet.meta_mut().ports = marked(ports);
                packet.meta_mut().verdict = Verdict::Pending;
            }
        }
        self.ready = ready;
    }

    fn source(&self, key: &FragmentKey) -> u16 {
        let folded = (key.src ^ (key.src >> 64)) as u64 ^ self.seed;
        (folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54) as u16 % SOURCES as u16
    }
}

/// Ports as metadata has them where they are known: none at all says that they are not.
fn marked(ports: Ports) -> Ports {
    if ports == Ports::NONE { Ports { src: 0, dst: 1 } } else { ports }
}

#[cfg(test)]
mod tests;
