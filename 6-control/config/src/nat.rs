//! `[nat]`.

mod forward;
mod masquerade;
mod stateless;

use crate::check::Checker;
use crate::document::list;
use crate::links::Links;
use crate::raw::RawNat;
use crate::source::Located;

pub use forward::{Endpoint, Forward, ForwardProtocol};
pub use masquerade::{Filtering, MAX_POOL_ADDRESSES, Masquerade, PortBlockSize};
pub use stateless::Static;

/// Network address translation.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Nat {
    /// Inside hosts that share addresses; the first that fits is the one.
    pub masquerades: Vec<Masquerade>,
    /// Ports that lead to inside hosts. No two have the same.
    pub forwards: Vec<Forward>,
    /// Networks that stand for inside ones. No two have the same addresses.
    pub statics: Vec<Static>,
}

impl Nat {
    pub(crate) fn check(
        raw: Option<&Located<RawNat>>,
        links: &Links<'_>,
        checker: &mut Checker<'_>,
    ) -> Option<Self> {
        let Some(Located { value: raw, .. }) = raw else { return Some(Self::default()) };
        let masquerades = masquerade::check(list(raw.masquerade.as_ref()), links, checker);
        let forwards = forward::check(list(raw.forward.as_ref()), links, checker);
        let statics = list(raw.r#static.as_ref());
        let statics = stateless::check(statics, &masquerades.pools(), links, checker);
        Some(Self { masquerades: masquerades.finish()?, forwards: forwards?, statics: statics? })
    }

    /// Whether nothing is translated.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.masquerades.is_empty() && self.forwards.is_empty() && self.statics.is_empty()
    }

    /// The section, if there is anything in it.
    pub(crate) fn to_raw(&self) -> Option<Located<RawNat>> {
        fn section<T, R>(all: &[T], to_raw: fn(&T) -> R) -> Option<Located<Vec<Located<R>>>> {
            let raw = all.iter().map(|one| Located::nowhere(to_raw(one))).collect();
            Some(Located::nowhere(raw)).filter(|_| !all.is_empty())
        }
        let raw = RawNat {
            masquerade: section(&self.masquerades, Masquerade::to_raw),
            forward: section(&self.forwards, Forward::to_raw),
            r#static: section(&self.statics, Static::to_raw),
        };
        Some(Located::nowhere(raw)).filter(|_| !self.is_empty())
    }
}
