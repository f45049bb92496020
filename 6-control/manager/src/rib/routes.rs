//! The routes of one prefix, in the kernel's order.

use super::specs::SpecId;
use crate::event::{Protocol, Table};

/// A route, without its prefix.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RibRoute {
    pub(crate) spec: SpecId,
    pub(crate) metric: u32,
    pub(crate) table: Table,
    pub(crate) protocol: Protocol,
    /// Which of two alternating colours the route had when the kernel last spoke of it; a dump
    /// paints all that is there, and what has the old colour after it is gone.
    pub(crate) colour: bool,
}

impl RibRoute {
    /// Whether both are of the same table and metric, so that the order between them matters.
    pub(crate) fn rivals(&self, other: &Self) -> bool {
        self.table == other.table && self.metric == other.metric
    }
}

/// The routes of one prefix. Most prefixes have one, which takes no memory of its own.
#[derive(Clone, Debug, Default)]
pub(crate) enum Routes {
    #[default]
    None,
    One(RibRoute),
    Several(Vec<RibRoute>),
}

impl Routes {
    pub(crate) fn as_slice(&self) -> &[RibRoute] {
        match self {
            Self::None => &[],
            Self::One(route) => std::slice::from_ref(route),
            Self::Several(routes) => routes,
        }
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [RibRoute] {
        match self {
            Self::None => &mut [],
            Self::One(route) => std::slice::from_mut(route),
            Self::Several(routes) => routes,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.as_slice().is_empty()
    }

    /// Before all of its table and metric.
    pub(crate) fn insert_first(&mut self, route: RibRoute) {
        let place = self.as_slice().iter().position(|other| other.rivals(&route));
        self.insert(place.unwrap_or(self.as_slice().len()), route);
    }

    /// After all others.
    pub(crate) fn insert_last(&mut self, route: RibRoute) {
        self.insert(self.as_slice().len(), route);
    }

    fn insert(&mut self, place: usize, route: RibRoute) {
        *self = match std::mem::take(self) {
            Self::None => Self::One(route),
            Self::One(only) => Self::Several(match place {
                0 => vec![route, only],
                _ => vec![only, route],
            }),
            Self::Several(mut routes) => {
                routes.insert(place.min(routes.len()), route);
                Self::Several(routes)
            }
        };
    }

    /// Takes the first route out that `which` is true of.
    pub(crate) fn take(&mut self, which: impl Fn(&RibRoute) -> bool) -> Option<RibRoute> {
        let place = self.as_slice().iter().position(which)?;
        match std::mem::take(self) {
            Self::None => None,
            Self::One(route) => Some(route),
            Self::Several(mut routes) => {
                let route = routes.remove(place);
                *self = match routes.as_slice() {
                    [only] => Self::One(*only),
                    _ => Self::Several(routes),
                };
                Some(route)
            }
        }
    }
}
