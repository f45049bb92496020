//! Ethernet II frames (RFC 894) and the tags of IEEE 802.1Q.

use std::ops::{Deref, DerefMut};

use portcullis_packet::Mac;

use crate::{EtherType, field};

/// Length of the header, without tags.
pub const LEN: usize = 14;

/// Length of one VLAN tag.
pub const TAG_LEN: usize = 4;

/// Tags behind which [`network`] still looks: a service and a customer tag.
pub const MAX_TAGS: usize = 2;

/// A view of the 14 bytes before the payload or the first tag.
#[derive(Clone, Copy, Debug)]
pub struct Header<T>(T);

impl<'a> Header<&'a [u8; LEN]> {
    /// A frame's header; `None` if the frame is shorter than one.
    #[inline(always)]
    #[must_use]
    pub fn new(frame: &'a [u8]) -> Option<Self> {
        frame.first_chunk().map(Self)
    }
}

impl<'a> Header<&'a mut [u8; LEN]> {
    /// The same, to be changed.
    #[inline(always)]
    #[must_use]
    pub fn new_mut(frame: &'a mut [u8]) -> Option<Self> {
        frame.first_chunk_mut().map(Self)
    }
}

impl<T: Deref<Target = [u8; LEN]>> Header<T> {
    /// The destination address.
    #[inline(always)]
    pub fn dst(&self) -> Mac {
        Mac(field::get::<0, 6, LEN>(&self.0))
    }

    /// The source address.
    #[inline(always)]
    pub fn src(&self) -> Mac {
        Mac(field::get::<6, 6, LEN>(&self.0))
    }

    /// What follows the addresses: the payload's type, or a tag's.
    #[inline(always)]
    pub fn ether_type(&self) -> EtherType {
        EtherType(field::get_u16::<12, LEN>(&self.0))
    }
}

impl<T: DerefMut<Target = [u8; LEN]>> Header<T> {
    /// Writes the destination address.
    #[inline(always)]
    pub fn set_dst(&mut self, mac: Mac) {
        field::set::<0, 6, LEN>(&mut self.0, mac.0);
    }

    /// Writes the source address.
    #[inline(always)]
    pub fn set_src(&mut self, mac: Mac) {
        field::set::<6, 6, LEN>(&mut self.0, mac.0);
    }

    /// Writes both addresses at once, the destination first: the 12 bytes that a forwarded frame
    /// gets anew, ready-made.
    #[inline(always)]
    pub fn set_addresses(&mut self, dst_src: [u8; 12]) {
        field::set::<0, 12, LEN>(&mut self.0, dst_src);
    }

    /// Writes the type.
    #[inline(always)]
    pub fn set_ether_type(&mut self, ether_type: EtherType) {
        field::set_u16::<12, LEN>(&mut self.0, ether_type.0);
    }
}

/// The type of the payload behind up to [`MAX_TAGS`] tags, and the payload's offset; `None` if the
/// frame ends before that.
#[inline]
#[must_use]
pub fn network(frame: &[u8]) -> Option<(EtherType, usize)> {
    let mut ether_type = Header::new(frame)?.ether_type();
    let mut offset = LEN;
    for _ in 0..MAX_TAGS {
        if ether_type != EtherType::VLAN && ether_type != EtherType::SERVICE_VLAN {
            break;
        }
        let tag = frame.get(offset..)?.first_chunk::<TAG_LEN>()?;
        ether_type = EtherType(field::get_u16::<2, TAG_LEN>(tag));
        offset += TAG_LEN;
    }
    Some((ether_type, offset))
}
