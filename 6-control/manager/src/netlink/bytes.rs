//! Messages in a datagram, and attributes in a message. Integers are in host byte order.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use portcullis_packet::Mac;
use thiserror::Error;

/// Messages and attributes start at multiples of this.
const ALIGN: usize = 4;
const MESSAGE_HEADER: usize = 16;
const ATTRIBUTE_HEADER: usize = 4;
/// `NLA_TYPE_MASK`: the upper two bits of an attribute's type are flags.
const ATTRIBUTE_TYPE: u16 = 0x3fff;

/// A message that is not what it should be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("malformed netlink message: {0}")]
pub(crate) struct Malformed(pub(crate) &'static str);

/// The header of a message (`struct nlmsghdr`) without its length.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Header {
    pub(crate) kind: u16,
    pub(crate) flags: u16,
    pub(crate) sequence: u32,
}

impl Header {
    /// Whether a flag of `NLM_F_*` is set.
    pub(crate) const fn has(self, flag: i32) -> bool {
        self.flags as i32 & flag != 0
    }
}

/// The messages of a datagram. After a malformed one there are no more: where the next begins is
/// not known.
pub(crate) struct Messages<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = Result<(Header, &'a [u8]), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let datagram = std::mem::take(&mut self.0);
        let mut fields = Fields(datagram);
        let (Some(length), Some(kind), Some(flags), Some(sequence)) =
            (fields.u32(), fields.u16(), fields.u16(), fields.u32())
        else {
            return Some(Err(Malformed("shorter than its header")));
        };
        let length = length as usize;
        let Some(body) = datagram.get(MESSAGE_HEADER..length) else {
            return Some(Err(Malformed("length out of bounds")));
        };
        self.0 = datagram.get(length.next_multiple_of(ALIGN)..).unwrap_or_default();
        Some(Ok((Header { kind, flags, sequence }, body)))
    }
}

/// Fixed fields at the start of a body, one after the other.
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*field)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_ne_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_ne_bytes)
    }

    /// The attributes that follow the fields.
    pub(crate) const fn attributes(self) -> Attributes<'a> {
        Attributes(self.0)
    }
}

/// The attributes of a message or of an attribute that nests them.
pub(crate) struct Attributes<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = Result<(u16, Value<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.len() < ATTRIBUTE_HEADER {
            return None;
        }
        let bytes = std::mem::take(&mut self.0);
        let mut fields = Fields(bytes);
        let (length, kind) = (fields.u16()?, fields.u16()?);
        let length = usize::from(length);
        let Some(value) = bytes.get(ATTRIBUTE_HEADER..length) else {
            return Some(Err(Malformed("attribute length out of bounds")));
        };
        self.0 = bytes.get(length.next_multiple_of(ALIGN)..).unwrap_or_default();
        Some(Ok((kind & ATTRIBUTE_TYPE, Value(value))))
    }
}

/// The value of an attribute. Longer ones than expected are read as far as they are understood, as
/// the kernel may extend them.
#[derive(Clone, Copy)]
pub(crate) struct Value<'a>(pub(crate) &'a [u8]);

impl<'a> Value<'a> {
    pub(crate) fn u8(self) -> Result<u8, Malformed> {
        Fields(self.0).u8().ok_or(Malformed("attribute shorter than a byte"))
    }

    pub(crate) fn u32(self) -> Result<u32, Malformed> {
        Fields(self.0).u32().ok_or(Malformed("attribute shorter than four bytes"))
    }

    /// An IP address; its length says which.
    pub(crate) fn ip(self) -> Result<IpAddr, Malformed> {
        if let Ok(v4) = <[u8; 4]>::try_from(self.0) {
            Ok(Ipv4Addr::from(v4).into())
        } else if let Ok(v6) = <[u8; 16]>::try_from(self.0) {
            Ok(Ipv6Addr::from(v6).into())
        } else {
            Err(Malformed("an address of neither four nor sixteen bytes"))
        }
    }

    /// A link-layer address, if it is one of Ethernet.
    pub(crate) fn mac(self) -> Option<Mac> {
        <[u8; 6]>::try_from(self.0).ok().map(Mac)
    }

    /// A string that ends at the first zero byte.
    pub(crate) fn text(self) -> Result<&'a str, Malformed> {
        let bytes = self.0.split(|byte| *byte == 0).next().unwrap_or_default();
        std::str::from_utf8(bytes).map_err(|_| Malformed("a name that is not UTF-8"))
    }

    /// The attributes nested in it.
    pub(crate) const fn nested(self) -> Attributes<'a> {
        Attributes(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_is_walked_message_by_message() {
        let mut bytes = vec![];
        for (kind, body) in [(7_u16, &b"abcde"[..]), (8, &b""[..])] {
            bytes.extend((16 + body.len() as u32).to_ne_bytes());
            bytes.extend(kind.to_ne_bytes());
            bytes.extend([0; 10]);
            bytes.extend(body);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        let seen: Vec<_> =
            Messages(&bytes).map(|m| m.map(|(header, body)| (header.kind, body))).collect();
        assert_eq!(seen, [Ok((7, &b"abcde"[..])), Ok((8, &b""[..]))]);
    }

    #[test]
    fn a_length_that_lies_ends_the_walk_with_an_error() {
        for length in [0_u32, 3, 15, 100, u32::MAX] {
            let mut bytes = vec![0; 20];
            bytes.splice(..4, length.to_ne_bytes());
            let mut messages = Messages(&bytes);
            assert!(messages.next().is_some_and(|m| m.is_err()), "{length}");
            assert!(messages.next().is_none());
        }
        for length in [0_u16, 3, 9, u16::MAX] {
            let mut bytes = vec![0; 8];
            bytes.splice(..2, length.to_ne_bytes());
            let mut attributes = Attributes(&bytes);
            assert!(attributes.next().is_some_and(|a| a.is_err()), "{length}");
            assert!(attributes.next().is_none());
        }
    }
}
