//! Reading what the kernel answers: attributes of a type, a length and a value, each starting at
//! a multiple of four bytes (netlink(7), rtnetlink(3)). Numbers are in host byte order.

/// Flags in the type of an attribute: nested, big-endian.
const TYPE_MASK: u16 = 0x3fff;

/// Goes through the attributes of a message or of a nested one. Ends at the first that is cut
/// short.
pub(super) struct Attributes<'a>(pub(super) &'a [u8]);

/// One attribute.
#[derive(Clone, Copy)]
pub(super) struct Attribute<'a> {
    pub(super) kind: u16,
    pub(super) value: &'a [u8],
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Attribute<'a>> {
        let (&length, rest) = self.0.split_first_chunk::<2>()?;
        let kind = u16::from_ne_bytes(*rest.first_chunk::<2>()?) & TYPE_MASK;
        let length = usize::from(u16::from_ne_bytes(length));
        let value = self.0.get(4..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Attribute { kind, value })
    }
}

impl<'a> Attribute<'a> {
    pub(super) fn u8(self) -> Option<u8> {
        self.value.first().copied()
    }

    pub(super) fn u32(self) -> Option<u32> {
        self.value.first_chunk().copied().map(u32::from_ne_bytes)
    }

    /// Up to the NUL that ends it, if there is one.
    pub(super) fn string(self) -> Option<&'a str> {
        let end = self.value.iter().position(|&byte| byte == 0).unwrap_or(self.value.len());
        std::str::from_utf8(self.value.get(..end)?).ok()
    }

    pub(super) fn nested(self) -> Attributes<'a> {
        Attributes(self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(bytes: &[u8]) -> Vec<(u16, Vec<u8>)> {
        Attributes(bytes).map(|attribute| (attribute.kind, attribute.value.to_vec())).collect()
    }

    #[test]
    fn attributes_are_padded_to_four_bytes_but_the_last_need_not_be() {
        let mut bytes = Vec::new();
        for (length, kind, value) in [(5u16, 1u16, &b"a\0\0\0"[..]), (6, 0x8002, b"bc")] {
            bytes.extend(length.to_ne_bytes());
            bytes.extend(kind.to_ne_bytes());
            bytes.extend(value);
        }
        assert_eq!(kinds(&bytes), [(1, b"a".to_vec()), (2, b"bc".to_vec())]);
    }

    #[test]
    fn whatever_is_cut_short_ends_the_walk_without_a_panic() {
        for length in 0..=u8::MAX {
            let bytes = [length, 0, 1, 0, 9, 9];
            let found = kinds(&bytes);
            assert_eq!(found.len(), usize::from((4..=6).contains(&length)), "{length}");
            assert!(kinds(&bytes[..usize::from(length % 4)]).is_empty());
        }
    }
}
