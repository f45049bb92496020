//! A netlink socket on which one request is asked at a time.

use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with,
};

use super::attributes::Attributes;
use super::error::LinkErrorKind;
use super::request::{HEADER, Request};

const NLMSG_ERROR: u16 = libc::NLMSG_ERROR as u16;
const NLMSG_DONE: u16 = libc::NLMSG_DONE as u16;
const NLM_F_DUMP_INTR: u16 = libc::NLM_F_DUMP_INTR as u16;
/// Of `nlmsghdr` in an acknowledgement: the request is not repeated; attributes follow.
const NLM_F_CAPPED: u16 = 0x100;
const NLM_F_ACK_TLVS: u16 = 0x200;
/// Attribute of an acknowledgement: the kernel's own words.
const NLMSGERR_ATTR_MSG: u16 = 1;

/// More than the kernel puts into one datagram of a dump (32 KiB).
const BUFFER: usize = 64 << 10;

/// rtnetlink answers at once; this is for not hanging if it ever should not.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often a dump during which something changed is asked for again.
const DUMP_ATTEMPTS: usize = 10;

#[derive(Debug)]
pub(super) struct RouteSocket {
    fd: OwnedFd,
    sequence: u32,
}

impl RouteSocket {
    /// Opens a socket in the namespace of the calling thread.
    pub(super) fn open() -> Result<Self, LinkErrorKind> {
        let failed = |errno| LinkErrorKind::Socket { step: "open a netlink socket", errno };
        // No protocol: NETLINK_ROUTE is number 0.
        let fd = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)
            .map_err(failed)?;
        set_socket_timeout(&fd, Timeout::Recv, Some(PATIENCE)).map_err(failed)?;
        // Errors in words, and without the request repeated in them. Old kernels refuse either;
        // then there are numbers only.
        for option in [libc::NETLINK_EXT_ACK, libc::NETLINK_CAP_ACK] {
            switch_on(&fd, option);
        }
        Ok(Self { fd, sequence: 0 })
    }

    /// Sends `request` and collects the bodies (without `nlmsghdr`) of all answers to it.
    pub(super) fn ask(&mut self, request: Request) -> Result<Vec<Vec<u8>>, LinkErrorKind> {
        let message = request.finish(0);
        for _attempt in 0..DUMP_ATTEMPTS {
            if let Some(answers) = self.ask_once(message.clone())? {
                return Ok(answers);
            }
        }
        Err(LinkErrorKind::Socket { step: "list while things change", errno: Errno::INTR })
    }

    /// `None`: something changed during the dump, which may therefore be inconsistent.
    fn ask_once(&mut self, mut message: Vec<u8>) -> Result<Option<Vec<Vec<u8>>>, LinkErrorKind> {
        self.sequence = self.sequence.wrapping_add(1);
        if let Some(place) = message.get_mut(8..12) {
            place.copy_from_slice(&self.sequence.to_ne_bytes());
        }
        let sending = |errno| LinkErrorKind::Socket { step: "send a request", errno };
        send(&self.fd, &message, SendFlags::empty()).map_err(sending)?;
        let mut answers = Vec::new();
        let mut interrupted = false;
        let mut buffer = vec![0; BUFFER];
        loop {
            let length = self.receive(&mut buffer)?;
            let mut rest = buffer.get(..length).ok_or(LinkErrorKind::Malformed)?;
            while let Some(answer) = Answer::split_off(&mut rest) {
                if answer.sequence != self.sequence {
                    continue;
                }
                interrupted |= answer.flags & NLM_F_DUMP_INTR != 0;
                match answer.kind {
                    NLMSG_ERROR => {
                        answer.verdict()?;
                        return Ok((!interrupted).then_some(answers));
                    }
                    NLMSG_DONE => return Ok((!interrupted).then_some(answers)),
                    _ => answers.push(answer.body.to_vec()),
                }
            }
        }
    }

    fn receive(&self, buffer: &mut [u8]) -> Result<usize, LinkErrorKind> {
        loop {
            match recv(&self.fd, &mut *buffer, RecvFlags::empty()) {
                Ok((_, length)) => return Ok(length),
                Err(Errno::INTR) => {}
                Err(errno) => {
                    return Err(LinkErrorKind::Socket { step: "receive an answer", errno });
                }
            }
        }
    }
}

fn switch_on(fd: &OwnedFd, option: libc::c_int) {
    let on: libc::c_int = 1;
    // SAFETY: the option's value is an int, which lives until the call returns, and its length is
    // given.
    let _accepted = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_NETLINK,
            option,
            std::ptr::from_ref(&on).cast(),
            size_of_val(&on) as libc::socklen_t,
        )
    };
}

/// One message of an answer.
struct Answer<'a> {
    kind: u16,
    flags: u16,
    sequence: u32,
    body: &'a [u8],
}

impl<'a> Answer<'a> {
    /// Takes the first message off `rest`; `None` at the end, or where it is cut short.
    fn split_off(rest: &mut &'a [u8]) -> Option<Self> {
        let header: &[u8; HEADER] = rest.first_chunk()?;
        let [l0, l1, l2, l3, k0, k1, f0, f1, s0, s1, s2, s3, ..] = *header;
        let length = u32::from_ne_bytes([l0, l1, l2, l3]) as usize;
        let body = rest.get(HEADER..length)?;
        *rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Self {
            kind: u16::from_ne_bytes([k0, k1]),
            flags: u16::from_ne_bytes([f0, f1]),
            sequence: u32::from_ne_bytes([s0, s1, s2, s3]),
            body,
        })
    }

    /// Of an `NLMSG_ERROR`: 0 is an acknowledgement, anything else a negative error number, with
    /// the request after it and then, perhaps, attributes.
    fn verdict(&self) -> Result<(), LinkErrorKind> {
        let (number, rest) = self.body.split_first_chunk().ok_or(LinkErrorKind::Malformed)?;
        let number = i32::from_ne_bytes(*number);
        if number == 0 {
            return Ok(());
        }
        let errno = Errno::from_raw_os_error(number.checked_neg().unwrap_or(libc::EIO));
        let words = (self.flags & NLM_F_ACK_TLVS != 0).then(|| self.words(rest)).flatten();
        Err(LinkErrorKind::of(errno, words.unwrap_or_default()))
    }

    fn words(&self, request: &[u8]) -> Option<String> {
        let length = u32::from_ne_bytes(*request.first_chunk()?) as usize;
        let repeated = if self.flags & NLM_F_CAPPED != 0 { HEADER } else { length };
        let attributes = Attributes(request.get(repeated.next_multiple_of(4)..)?);
        let mut words = attributes.filter(|attribute| attribute.kind == NLMSGERR_ATTR_MSG);
        words.next()?.string().map(str::to_owned)
    }
}
