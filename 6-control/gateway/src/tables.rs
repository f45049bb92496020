//! The dataplane's tables at the start, and what the manager is told of the configuration.

use std::net::IpAddr;
use std::os::fd::AsFd;
use std::sync::Arc;

use ipnet::IpNet;
use portcullis_config::{Config, InterfaceName, NextHop, RouteAction};
use portcullis_dataplane::Questions;
use portcullis_manager::{
    Dataplane, DeviceSetup, ForeignDevices, InterfaceSetup, LinkSockets, Resolve, Router, Setup,
    StaticAction, StaticRoute,
};
use portcullis_packet::IfIndex;
use portcullis_policy::Policy;
use portcullis_routing::Snapshot;
use portcullis_tables::Subscriber;

use crate::assemble::{AssembleError, Device};

/// Tables that nobody writes yet.
pub(crate) struct Tables {
    dataplane: Dataplane,
    interfaces: Vec<InterfaceSetup>,
    routes: Vec<StaticRoute>,
    policy: Arc<Policy>,
}

impl Tables {
    /// Tables without routes, for these devices.
    pub(crate) fn new(config: &Config, devices: &[Device]) -> Result<Self, AssembleError> {
        let interfaces: Vec<_> = config
            .interfaces()
            .iter()
            .zip(devices)
            .map(|(interface, device)| InterfaceSetup {
                name: interface.name.as_str().into(),
                device: match &device.kernel {
                    Some(name) => DeviceSetup::Kernel(name.as_str().into()),
                    None => DeviceSetup::Foreign,
                },
                mac: device.mac,
                mtu: Some(interface.mtu.get()),
                addresses: own_addresses(interface),
                offload: device.offload,
            })
            .collect();
        let routes = static_routes(config);
        let policy = Arc::default();
        Ok(Self { dataplane: Dataplane::new()?, interfaces, routes, policy })
    }

    /// What the first packets are to be judged by.
    pub(crate) fn judge_by(&mut self, policy: Arc<Policy>) {
        self.policy = policy;
    }

    /// A pipeline's view of them.
    pub(crate) fn subscribe(&mut self) -> Subscriber<Snapshot> {
        self.dataplane.publisher.subscribe()
    }

    /// Hands the tables to the manager.
    pub(crate) fn into_setup(
        self,
        link: LinkSockets,
        foreign: Option<ForeignDevices>,
        mut questions: Questions,
    ) -> Result<Setup, AssembleError> {
        let doorbell = questions.doorbell().as_fd().try_clone_to_owned()?;
        questions.doorbell().arm();
        let queue = move || {
            // The bell rings only for who is about to sleep: so say that, and look once more.
            let question = questions.take().or_else(|| {
                questions.doorbell().arm();
                questions.take()
            });
            question.map(|question| (question.interface, question.address))
        };
        Ok(Setup {
            interfaces: self.interfaces,
            routes: self.routes,
            policy: self.policy,
            dataplane: self.dataplane,
            link: Some(link),
            foreign,
            resolve: Some(Resolve { queue: Box::new(queue), doorbell }),
            receive_buffer: Setup::RECEIVE_BUFFER,
        })
    }
}

/// The static routes of a configuration, as the manager wants them.
pub(crate) fn static_routes(config: &Config) -> Vec<StaticRoute> {
    config.routes().iter().map(|route| static_route(config, route)).collect()
}

/// The addresses of each interface, likewise.
pub(crate) fn addresses(config: &Config) -> Vec<Vec<IpNet>> {
    config.interfaces().iter().map(own_addresses).collect()
}

fn own_addresses(interface: &portcullis_config::Interface) -> Vec<IpNet> {
    interface.addresses.iter().map(|address| address.as_net()).collect()
}

fn static_route(config: &Config, route: &portcullis_config::Route) -> StaticRoute {
    let interface = |name: &InterfaceName| {
        let place = config.interfaces().iter().position(|interface| interface.name == *name);
        place.and_then(|slot| u16::try_from(slot).ok()).map(IfIndex)
    };
    let action = match &route.action {
        RouteAction::Via(next_hops) => {
            let router = |hop: &NextHop| {
                // Link-local addresses are on every link: theirs has to be named as well.
                let named = hop.on_link || is_link_local(hop.address);
                let on_link = named.then(|| interface(&hop.interface)).flatten();
                Router { address: hop.address, on_link }
            };
            StaticAction::Via(next_hops.iter().map(router).collect())
        }
        RouteAction::Blackhole => StaticAction::Blackhole,
        RouteAction::Unreachable => StaticAction::Unreachable,
        RouteAction::Prohibit => StaticAction::Prohibit,
    };
    StaticRoute { to: route.to, action }
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}
