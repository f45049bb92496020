//! What arrives on the sockets, into the mirror.

use std::time::{Duration, Instant};

use crate::mirror::Mirror;
use crate::mirrored::Origin;
use crate::netlink::{
    Answer, Buffer, Dump, Encoder, Header, Messages, NetlinkSocket, Received, decode,
};

/// So long, or so many datagrams, are read before what was read is applied: long enough that many
/// changes become one, short enough that a single one is in effect at once.
const PATIENCE: Duration = Duration::from_millis(10);
const DATAGRAMS: usize = 16_384;
/// The clock is asked that seldom.
const BETWEEN_LOOKS: usize = 64;

/// What went wrong, and how often.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ListenCounters {
    /// Messages understood.
    pub messages: u64,
    /// Messages that made no sense.
    pub malformed: u64,
    /// Times that announcements were lost and all tables were read again.
    pub overruns: u64,
}

/// Whether a socket has been read to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Read {
    /// There is nothing more.
    All,
    /// There is, but it was time to look at something else.
    Some,
}

/// The socket in `vpc`.
#[derive(Default)]
pub(crate) struct VpcListener {
    pub(crate) counters: ListenCounters,
    buffer: Buffer,
    encoder: Encoder,
}

impl VpcListener {
    /// Asks for the next dump, if one is due.
    pub(crate) fn ask(&mut self, socket: &NetlinkSocket, mirror: &mut Mirror) {
        let Some((dump, sequence)) = mirror.next_dump() else { return };
        if let Err(error) = socket.send(self.encoder.dump(dump, sequence)) {
            tracing::warn!(?dump, "could not ask the kernel for a table: {error}");
            mirror.end_dump(sequence, true);
        }
    }

    /// Looks after readings that failed.
    pub(crate) fn tick(mirror: &mut Mirror) {
        if let Some(sequence) = mirror.resync.tick() {
            mirror.end_dump(sequence, true);
        }
    }

    /// Reads what is there.
    pub(crate) fn read(
        &mut self,
        socket: &NetlinkSocket,
        mirror: &mut Mirror,
    ) -> std::io::Result<Read> {
        let start = Instant::now();
        for count in 1..=DATAGRAMS {
            match socket.receive(&mut self.buffer)? {
                Received::Datagram(datagram) => {
                    for message in Messages(datagram) {
                        match message.and_then(|(header, body)| Ok((header, decode(header, body)?)))
                        {
                            Ok((header, answer)) => {
                                self.counters.messages += 1;
                                take(header, answer, mirror);
                            }
                            Err(malformed) => {
                                self.counters.malformed += 1;
                                tracing::debug!("{malformed}");
                            }
                        }
                    }
                }
                Received::Lost => {
                    self.counters.overruns += 1;
                    mirror.resync.request();
                }
                Received::Empty => return Ok(Read::All),
            }
            if count % BETWEEN_LOOKS == 0 && start.elapsed() > PATIENCE {
                break;
            }
        }
        Ok(Read::Some)
    }
}

fn take(header: Header, answer: Answer, mirror: &mut Mirror) {
    let current = mirror.resync.is_current(header.sequence);
    if header.has(libc::NLM_F_DUMP_INTR) && current {
        mirror.resync.interrupted();
    }
    match answer {
        Answer::Event(event) => mirror.handle(event, origin(header)),
        Answer::Nothing => {}
        Answer::Overrun => mirror.resync.request(),
        Answer::Done => mirror.end_dump(header.sequence, false),
        // When there is no room for its first lines a dump begins all the same.
        Answer::Acknowledged(0 | libc::ENOBUFS, _) => {}
        Answer::Acknowledged(errno, reason) => {
            let error = std::io::Error::from_raw_os_error(errno);
            tracing::debug!(?reason, "the kernel refuses a dump: {error}");
            mirror.end_dump(header.sequence, true);
        }
    }
}

/// The socket in `link`, where only devices are of interest.
pub(crate) struct LinkListener {
    buffer: Buffer,
    encoder: Encoder,
    sequence: u32,
    state: LinkDump,
}

/// Whether the devices in `link` are being listed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum LinkDump {
    Due,
    Running { interrupted: bool },
    None,
}

impl Default for LinkListener {
    fn default() -> Self {
        Self {
            buffer: Buffer::default(),
            encoder: Encoder::default(),
            sequence: 0,
            state: LinkDump::Due,
        }
    }
}

impl LinkListener {
    /// Asks for a list of all devices, if one is due.
    pub(crate) fn ask(&mut self, socket: &NetlinkSocket, mirror: &mut Mirror) {
        if self.state != LinkDump::Due {
            return;
        }
        self.sequence = self.sequence.wrapping_add(1).max(1);
        match socket.send(self.encoder.dump(Dump::Links, self.sequence)) {
            Ok(()) => {
                mirror.begin_device_sync();
                self.state = LinkDump::Running { interrupted: false };
            }
            Err(error) => tracing::warn!("could not ask for the devices: {error}"),
        }
    }

    /// Whether the devices were listed at least once, and nothing was lost since.
    pub(crate) fn is_ready(&self) -> bool {
        self.state == LinkDump::None
    }

    /// Reads what is there.
    pub(crate) fn read(
        &mut self,
        socket: &NetlinkSocket,
        mirror: &mut Mirror,
    ) -> std::io::Result<Read> {
        for _ in 0..BETWEEN_LOOKS {
            let datagram = match socket.receive(&mut self.buffer)? {
                Received::Datagram(datagram) => datagram,
                Received::Lost => {
                    self.state = match self.state {
                        LinkDump::Running { .. } => LinkDump::Running { interrupted: true },
                        LinkDump::Due | LinkDump::None => LinkDump::Due,
                    };
                    continue;
                }
                Received::Empty => return Ok(Read::All),
            };
            for message in Messages(datagram) {
                let Ok((header, body)) = message else { break };
                let Ok(answer) = decode(header, body) else { continue };
                self.state.take(header, answer, mirror);
            }
        }
        Ok(Read::Some)
    }
}

impl LinkDump {
    fn take(&mut self, header: Header, answer: Answer, mirror: &mut Mirror) {
        if let Self::Running { interrupted } = self {
            *interrupted |= header.has(libc::NLM_F_DUMP_INTR);
        }
        match (answer, *self) {
            (Answer::Event(event), _) => mirror.handle_device(event, origin(header)),
            (Answer::Done, Self::Running { interrupted: false }) => {
                *self = Self::None;
                mirror.finish_device_sync();
            }
            (Answer::Done, Self::Running { interrupted: true }) => *self = Self::Due,
            (Answer::Acknowledged(errno, _), Self::Running { .. })
                if errno != 0 && errno != libc::ENOBUFS =>
            {
                *self = Self::Due;
            }
            (
                Answer::Done | Answer::Acknowledged(..) | Answer::Nothing | Answer::Overrun,
                Self::Due | Self::Running { .. } | Self::None,
            ) => {}
        }
    }
}

/// Only lines of dumps are parts of something.
const fn origin(header: Header) -> Origin {
    if header.has(libc::NLM_F_MULTI) { Origin::Dumped } else { Origin::Announced }
}
