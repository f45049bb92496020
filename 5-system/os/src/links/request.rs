//! Writing netlink requests. Numbers are in host byte order.

use super::link::LinkIndex;

/// Length of `struct nlmsghdr`.
pub(super) const HEADER: usize = 16;

const NLM_F_REQUEST: u16 = libc::NLM_F_REQUEST as u16;
const NLM_F_ACK: u16 = libc::NLM_F_ACK as u16;
const NLM_F_DUMP: u16 = libc::NLM_F_DUMP as u16;
const NLM_F_CREATE: u16 = libc::NLM_F_CREATE as u16;
const NLM_F_EXCL: u16 = libc::NLM_F_EXCL as u16;
const NLA_F_NESTED: u16 = libc::NLA_F_NESTED as u16;

/// A request being written: header, then the structure of its family, then attributes.
pub(crate) struct Request(Vec<u8>);

impl Request {
    /// A request that is answered, or acknowledged.
    pub(crate) fn new(kind: u16) -> Self {
        Self::with_flags(kind, NLM_F_REQUEST | NLM_F_ACK)
    }

    /// A request that makes something new.
    pub(crate) fn create(kind: u16) -> Self {
        Self::with_flags(kind, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL)
    }

    /// A request that makes something, or changes what is there.
    pub(crate) fn create_or_change(kind: u16) -> Self {
        Self::with_flags(kind, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE)
    }

    /// A request for everything there is.
    pub(crate) fn dump(kind: u16) -> Self {
        Self::with_flags(kind, NLM_F_REQUEST | NLM_F_DUMP)
    }

    fn with_flags(kind: u16, flags: u16) -> Self {
        let mut bytes = Vec::with_capacity(256);
        // Length and sequence number are filled in when it is sent; port 0 is the kernel.
        bytes.extend(0u32.to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes.extend([0; 8]);
        Self(bytes)
    }

    /// The structure that the family puts before the attributes; a multiple of four bytes.
    pub(crate) fn header(mut self, header: &[u8]) -> Self {
        self.0.extend(header);
        self
    }

    /// An attribute of any bytes.
    pub(crate) fn bytes(mut self, kind: u16, value: &[u8]) -> Self {
        // Attributes written here are names, addresses, numbers and small programs.
        let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
        self.0.extend(length.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    /// A 32-bit number.
    pub(crate) fn u32(self, kind: u16, value: u32) -> Self {
        self.bytes(kind, &value.to_ne_bytes())
    }

    /// Text, with the NUL that the kernel expects.
    pub(crate) fn string(self, kind: u16, value: &str) -> Self {
        self.bytes(kind, &[value.as_bytes(), &[0]].concat())
    }

    /// An attribute made of attributes.
    pub(crate) fn nested(mut self, kind: u16, inner: impl FnOnce(Self) -> Self) -> Self {
        let start = self.0.len();
        self.0.extend(0u16.to_ne_bytes());
        self.0.extend((kind | NLA_F_NESTED).to_ne_bytes());
        let mut whole = inner(self);
        let length = u16::try_from(whole.0.len() - start).unwrap_or(u16::MAX);
        if let Some(place) = whole.0.get_mut(start..start + 2) {
            place.copy_from_slice(&length.to_ne_bytes());
        }
        whole
    }

    /// The finished message.
    pub(super) fn finish(mut self, sequence: u32) -> Vec<u8> {
        let length = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        if let Some(place) = self.0.get_mut(0..4) {
            place.copy_from_slice(&length.to_ne_bytes());
        }
        if let Some(place) = self.0.get_mut(8..12) {
            place.copy_from_slice(&sequence.to_ne_bytes());
        }
        self.0
    }
}

/// `struct ifinfomsg`: a device by index, or by the name in an attribute; flags to set and which of
/// them are meant.
pub(crate) fn link_header(index: Option<LinkIndex>, flags: u32, change: u32) -> [u8; 16] {
    let mut header = [0; 16];
    let index = index.map_or(0, |index| index.0);
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..12].copy_from_slice(&flags.to_ne_bytes());
    header[12..16].copy_from_slice(&change.to_ne_bytes());
    header
}
