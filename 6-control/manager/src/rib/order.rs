//! Where the kernel puts a route among others of the same prefix, table and metric, and which it
//! takes away: `fib_table_insert` for IPv4, `fib6_add_rt2node` for IPv6.

use super::routes::{RibRoute, Routes};
use super::specs::{Spec, Specs};
use super::{Given, is_ecmp};
use crate::event::{Path, Placement, Target, Weight};

/// What came of a removal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Removal {
    Done,
    NothingThere,
    AnotherThere,
}

/// Adds a route. `ecmp`: an IPv6 route that stands for all its siblings. True if nothing has
/// changed by it.
pub(super) fn add(
    routes: &mut Routes,
    route: RibRoute,
    ecmp: bool,
    v6: bool,
    placement: Placement,
    specs: &mut Specs,
) -> bool {
    let before = sole(routes);
    match placement {
        // A dump lists rivals in their order.
        Placement::Dumped => {
            drop_one(routes, |other| is_same(other, &route), specs);
            routes.insert_last(route);
        }
        Placement::First | Placement::Last | Placement::Replace if v6 => {
            add6(routes, route, ecmp, placement == Placement::Replace, specs);
        }
        Placement::First | Placement::Replace => {
            if placement == Placement::Replace {
                drop_one(routes, |other| other.rivals(&route), specs);
            }
            drop_one(routes, |other| is_same(other, &route), specs);
            routes.insert_first(route);
        }
        Placement::Last => {
            drop_one(routes, |other| is_same(other, &route), specs);
            routes.insert_last(route);
        }
    }
    is_unchanged(before, routes)
}

fn add6(routes: &mut Routes, route: RibRoute, ecmp: bool, replace: bool, specs: &mut Specs) {
    let alike = |other: &RibRoute| {
        let target = specs.target(other.spec);
        other.rivals(&route) && target.is_some_and(|target| is_ecmp(target, other.protocol) == ecmp)
    };
    let all = routes.as_slice();
    let place = if replace {
        let alike = all.iter().position(alike);
        alike.or_else(|| all.iter().position(|other| other.rivals(&route)))
    } else if ecmp {
        all.iter().position(alike)
    } else {
        all.iter().position(|other| is_same(other, &route))
    };
    let mut gone = vec![];
    if ecmp {
        // A dump that is being read may have brought an older set of the same siblings. What is
        // kept is the first, so its place stays the same.
        let kept = place.and_then(|place| all.get(place).copied());
        while let Some(other) = routes.take(|other| alike(other) && Some(*other) != kept) {
            gone.push(other.spec);
        }
    }
    match place.and_then(|place| routes.as_mut_slice().get_mut(place)) {
        Some(old) => gone.push(std::mem::replace(old, route).spec),
        None => routes.insert_last(route),
    }
    gone.into_iter().for_each(|spec| specs.release(spec));
}

/// Removes an IPv4 route.
pub(super) fn remove4(routes: &mut Routes, given: &Given, specs: &mut Specs) -> Removal {
    let rivals = |other: &RibRoute| other.table == given.table && other.metric == given.metric;
    let exact = |other: &RibRoute| {
        rivals(other)
            && other.protocol == given.protocol
            && specs.get(other.spec).is_some_and(|spec| **spec == given.spec)
    };
    match routes.take(exact) {
        Some(route) => {
            specs.release(route.spec);
            Removal::Done
        }
        None if routes.as_slice().iter().any(rivals) => Removal::AnotherThere,
        None => Removal::NothingThere,
    }
}

/// Removes an IPv6 route, or some siblings of one.
pub(super) fn remove6(routes: &mut Routes, given: &Given, specs: &mut Specs) -> Removal {
    let exact = remove4(routes, given, specs);
    if exact != Removal::AnotherThere || !is_ecmp(&given.spec.target, given.protocol) {
        return exact;
    }
    let siblings = routes.as_mut_slice().iter_mut().find(|other| {
        other.table == given.table
            && other.metric == given.metric
            && specs.target(other.spec).is_some_and(|target| is_ecmp(target, other.protocol))
    });
    let Some(siblings) = siblings else { return Removal::AnotherThere };
    let Some(spec) = specs.get(siblings.spec) else { return Removal::AnotherThere };
    let Some(target) = without(&spec.target, &given.spec.target) else {
        return Removal::AnotherThere;
    };
    let rest = Spec { target, mtu: spec.mtu };
    let rest = specs.acquire(rest);
    specs.release(std::mem::replace(&mut siblings.spec, rest));
    Removal::Done
}

/// A multipath target less some of its paths; `None` if they are not all in it, or nothing is left.
fn without(target: &Target, gone: &Target) -> Option<Target> {
    let Target::Multipath(paths) = target else { return None };
    let gone: Vec<Path> = match gone {
        Target::Via(path) => vec![*path],
        Target::Multipath(paths) => paths.iter().map(|(path, _)| *path).collect(),
        _ => return None,
    };
    if !gone.iter().all(|path| paths.iter().any(|(other, _)| other == path)) {
        return None;
    }
    let rest: Box<[(Path, Weight)]> =
        paths.iter().filter(|(path, _)| !gone.contains(path)).copied().collect();
    match &*rest {
        [] => None,
        [(path, _)] => Some(Target::Via(*path)),
        _ => Some(Target::Multipath(rest)),
    }
}

fn is_same(a: &RibRoute, b: &RibRoute) -> bool {
    a.rivals(b) && a.spec == b.spec && a.protocol == b.protocol
}

fn drop_one(routes: &mut Routes, which: impl Fn(&RibRoute) -> bool, specs: &mut Specs) {
    if let Some(route) = routes.take(which) {
        specs.release(route.spec);
    }
}

/// The only route there is.
fn sole(routes: &Routes) -> Option<RibRoute> {
    match routes.as_slice() {
        [only] => Some(*only),
        _ => None,
    }
}

/// Whether the one route that there was is the one that there is; several count as changed.
fn is_unchanged(before: Option<RibRoute>, routes: &Routes) -> bool {
    before.zip(sole(routes)).is_some_and(|(before, now)| is_same(&before, &now))
}
