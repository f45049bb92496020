//! What the gateway process tells its supervisor: a byte each, so that nothing it might say instead takes
//! room or time.

/// A message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Status {
    /// All threads run, routes are in the tables.
    Ready,
    /// All threads still run, and get on.
    Alive,
}

impl Status {
    /// As it is sent.
    pub(crate) const fn byte(self) -> u8 {
        match self {
            Self::Ready => b'r',
            Self::Alive => b'a',
        }
    }

    /// As it is received; `None` for what means nothing.
    pub(crate) fn of(byte: u8) -> Option<Self> {
        [Self::Ready, Self::Alive].into_iter().find(|status| status.byte() == byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_understood_and_nothing_else() {
        let understood: Vec<_> = (0..=u8::MAX).filter_map(Status::of).collect();
        assert_eq!(understood, [Status::Alive, Status::Ready]);
    }
}
