//! Another configuration for a manager that runs.

use std::sync::Arc;

use ipnet::IpNet;
use portcullis_packet::IfIndex;
use portcullis_policy::Policy;
use thiserror::Error;

use crate::handle::Gone;
use crate::request::{StaticAction, StaticRoute};

/// All of a configuration that may change while the gateway runs. It takes the place of what was
/// configured before, whole.
#[derive(Clone, Debug)]
pub struct Change {
    /// What packets are judged by.
    pub policy: Arc<Policy>,
    /// All static routes.
    pub routes: Vec<StaticRoute>,
    /// All addresses of each interface, by [`IfIndex`].
    pub addresses: Vec<Vec<IpNet>>,
    /// The MTU of each interface; `None`: whatever its device has.
    pub mtus: Vec<Option<u16>>,
}

/// Why another configuration is not in effect.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum ApplyError {
    /// It is for other interfaces. Nothing was changed.
    #[error("it has addresses and MTUs for {said} interfaces, and the gateway has {have}")]
    Interfaces {
        /// Interfaces of the change.
        said: usize,
        /// Interfaces of the gateway.
        have: usize,
    },
    /// A static route is over an interface that is not there. Nothing was changed.
    #[error("a static route is over interface number {}, and there is no such one", .0.0)]
    NoSuchInterface(IfIndex),
    /// The manager is gone.
    #[error(transparent)]
    Gone(#[from] Gone),
}

impl Change {
    /// Whether it is one for so many interfaces.
    pub(crate) fn check(&self, have: usize) -> Result<(), ApplyError> {
        let unequal = [self.addresses.len(), self.mtus.len()].into_iter().find(|n| *n != have);
        if let Some(said) = unequal {
            return Err(ApplyError::Interfaces { said, have });
        }
        let routers = self.routes.iter().flat_map(|route| match &route.action {
            StaticAction::Via(routers) => routers.as_slice(),
            StaticAction::Blackhole | StaticAction::Unreachable | StaticAction::Prohibit => &[],
        });
        let mut named = routers.filter_map(|router| router.on_link);
        match named.find(|interface| interface.slot() >= have) {
            Some(interface) => Err(ApplyError::NoSuchInterface(interface)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Router;

    #[test]
    fn a_change_for_other_interfaces_is_refused() {
        let route = |interface| StaticRoute {
            to: "192.0.2.0/24".parse().expect("a network"),
            action: StaticAction::Via(vec![Router {
                address: "10.0.0.2".parse().expect("an address"),
                on_link: Some(IfIndex(interface)),
            }]),
        };
        let change = |interfaces, interface| Change {
            policy: Arc::default(),
            routes: vec![route(interface)],
            addresses: vec![vec![]; interfaces],
            mtus: vec![None; 2],
        };
        assert_eq!(change(2, 1).check(2), Ok(()));
        let interfaces = ApplyError::Interfaces { said: 3, have: 2 };
        assert_eq!(change(3, 1).check(2), Err(interfaces));
        assert_eq!(change(2, 1).check(1), Err(ApplyError::Interfaces { said: 2, have: 1 }));
        assert_eq!(change(2, 2).check(2), Err(ApplyError::NoSuchInterface(IfIndex(2))));
    }
}
