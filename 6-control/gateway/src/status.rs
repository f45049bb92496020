//! What the gateway process tells its supervisor, a line each.

use std::fmt;
use std::str::FromStr;

/// A message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Status {
    /// All threads run, routes are in the tables.
    Ready,
    /// All threads still run.
    Alive,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ready => "ready",
            Self::Alive => "alive",
        })
    }
}

impl FromStr for Status {
    type Err = ();

    fn from_str(line: &str) -> Result<Self, ()> {
        match line {
            "ready" => Ok(Self::Ready),
            "alive" => Ok(Self::Alive),
            _ => Err(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_understood() {
        for status in [Status::Ready, Status::Alive] {
            assert_eq!(status.to_string().parse(), Ok(status));
        }
        assert_eq!("gone".parse::<Status>(), Err(()));
    }
}
