//! Which routes, which neighbours.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// Which routes; all conditions must hold.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteFilter {
    /// The one by which packets to this address are forwarded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<IpAddr>,
    /// The one to this network, and those to networks inside of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<IpNet>,
    /// Those of a routing protocol: `kernel`, `static`, `bgp`, `ospf`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
}

/// Which neighbours.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NeighborFilter {
    /// Those on this interface.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
}

impl RouteFilter {
    /// Whether a route is one that was asked for, as far as the route alone can tell: whether it
    /// is the longest match of [`Self::to`], only the table knows.
    #[must_use]
    pub fn admits(&self, prefix: &IpNet, protocol: &str) -> bool {
        self.to.is_none_or(|address| prefix.contains(&address))
            && self.prefix.is_none_or(|outer| outer.contains(prefix))
            && self.protocol.as_deref().is_none_or(|wanted| wanted == protocol)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_of_routes_hold_together() {
        let prefix: IpNet = "10.1.0.0/16".parse().expect("a prefix");
        let all = RouteFilter::default();
        assert!(all.admits(&prefix, "bgp"));
        let bgp_in_10 = RouteFilter {
            prefix: "10.0.0.0/8".parse().ok(),
            protocol: Some("bgp".into()),
            ..RouteFilter::default()
        };
        assert!(bgp_in_10.admits(&prefix, "bgp"));
        assert!(!bgp_in_10.admits(&prefix, "static"));
        assert!(!bgp_in_10.admits(&"0.0.0.0/0".parse().expect("a prefix"), "bgp"));
    }
}
