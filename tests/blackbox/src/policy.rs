//! What is translated and what is let through, written once for the gateway and for nftables.

use std::fmt::Write as _;
use std::ops::RangeInclusive;

/// NAT and firewall: [`Policy::toml`] for the gateway, [`Policy::nftables`] for a kernel that
/// forwards.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// Many inside hosts share few addresses.
    pub masquerades: Vec<Masquerade>,
    /// Ports of outside addresses that lead to inside hosts.
    pub forwards: Vec<PortForward>,
    /// Outside networks that stand for inside ones.
    pub statics: Vec<StaticNat>,
    /// The firewall; none lets everything through.
    pub firewall: Option<Firewall>,
}

/// Who may send to a mapping of a masquerade. The kernel lets in only what was sent to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Filtering {
    /// Anyone.
    #[default]
    EndpointIndependent,
    /// Any port of an address that was sent to.
    AddressDependent,
}

/// A masquerade.
#[derive(Clone, Debug)]
pub struct Masquerade {
    /// The network of the inside hosts.
    pub source: String,
    /// The interface that translated packets leave by.
    pub out: String,
    /// The shared addresses; the interface's own one if none.
    pub pool: Option<String>,
    /// The shared ports; the default's if none.
    pub ports: Option<String>,
    /// Who may send to a mapping.
    pub filtering: Filtering,
    /// Whether the kernel takes a port at random for each flow: what a NAT must not do (RFC 4787,
    /// REQ-1). The gateway can't be told to.
    pub fully_random: bool,
}

impl Masquerade {
    /// What is behind `source`, by the address of the interface `out`.
    #[must_use]
    pub fn new(source: &str, out: &str) -> Self {
        Self {
            source: source.to_owned(),
            out: out.to_owned(),
            pool: None,
            ports: None,
            filtering: Filtering::default(),
            fully_random: false,
        }
    }
}

/// A port forwarding.
#[derive(Clone, Debug)]
pub struct PortForward {
    /// The interface that the outside sends to.
    pub on: String,
    /// `tcp` or `udp`.
    pub protocol: String,
    /// The outside address.
    pub address: String,
    /// Its ports.
    pub ports: RangeInclusive<u16>,
    /// The inside host.
    pub to: String,
    /// The first of its ports; the others follow.
    pub to_port: u16,
}

impl PortForward {
    /// The port of the inside host that an outside port leads to.
    #[must_use]
    pub fn inside_port(&self, outside: u16) -> u16 {
        self.to_port + (outside - self.ports.start())
    }
}

/// A network that stands for another one of the same size.
#[derive(Clone, Debug)]
pub struct StaticNat {
    /// The interface outside of which the external network is.
    pub on: String,
    /// As it is outside.
    pub external: String,
    /// As it is inside.
    pub internal: String,
}

/// What becomes of a flow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// It is let through.
    Accept,
    /// It is dropped without an answer.
    Drop,
    /// It is dropped, and its sender is told.
    Reject,
}

impl Action {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Drop => "drop",
            Self::Reject => "reject",
        }
    }
}

/// The zone firewall. Zones have the names of the interfaces.
#[derive(Clone, Debug)]
pub struct Firewall {
    /// What becomes of forwarded flows that no rule names.
    pub default: Action,
    /// The same for flows to the gateway itself.
    pub gateway_default: Action,
    /// Whether TCP connections are taken up in their middle.
    pub tcp_pickup: bool,
    /// The rules; the first that matches decides.
    pub rules: Vec<Rule>,
}

impl Firewall {
    /// A firewall that lets through what rules name, and everything to the gateway itself.
    #[must_use]
    pub fn of(rules: Vec<Rule>) -> Self {
        let (default, gateway_default) = (Action::Drop, Action::Accept);
        Self { default, gateway_default, tcp_pickup: true, rules }
    }
}

/// A rule; what is empty matches everything.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// The zone that flows come from.
    pub from: Option<String>,
    /// The zone that they go to; `gateway` is the gateway itself.
    pub to: Option<String>,
    /// Where they come from.
    pub source: Vec<String>,
    /// Where they go, after translation.
    pub destination: Vec<String>,
    /// What they are: `tcp/443`, `udp/5000-5010`, `icmp`.
    pub services: Vec<String>,
    /// What becomes of them.
    pub action: Action,
    /// Whether they are logged; the kernel has no log of a namespace's own.
    pub log: bool,
}

impl Rule {
    /// A rule for everything.
    #[must_use]
    pub fn new(name: &str, action: Action) -> Self {
        Self {
            name: name.to_owned(),
            from: None,
            to: None,
            source: Vec::new(),
            destination: Vec::new(),
            services: Vec::new(),
            action,
            log: false,
        }
    }

    /// The same for flows from one zone to another.
    #[must_use]
    pub fn between(mut self, from: &str, to: &str) -> Self {
        (self.from, self.to) = (Some(from.to_owned()), Some(to.to_owned()));
        self
    }

    /// The same for some sources only.
    #[must_use]
    pub fn source(mut self, networks: &[&str]) -> Self {
        self.source = networks.iter().map(|&network| network.to_owned()).collect();
        self
    }

    /// The same for some destinations only.
    #[must_use]
    pub fn destination(mut self, networks: &[&str]) -> Self {
        self.destination = networks.iter().map(|&network| network.to_owned()).collect();
        self
    }

    /// The same for some services only.
    #[must_use]
    pub fn services(mut self, services: &[&str]) -> Self {
        self.services = services.iter().map(|&service| service.to_owned()).collect();
        self
    }

    /// The same with each flow logged.
    #[must_use]
    pub fn logged(mut self) -> Self {
        self.log = true;
        self
    }
}

impl Policy {
    pub(crate) fn is_empty(&self) -> bool {
        let Self { masquerades, forwards, statics, firewall } = self;
        masquerades.is_empty() && forwards.is_empty() && statics.is_empty() && firewall.is_none()
    }

    /// The sections of portcullis.toml.
    #[must_use]
    pub fn toml(&self) -> String {
        let mut text = String::new();
        let mut line = |line: &str| writeln!(text, "{line}").expect("a string takes every line");
        for it in &self.masquerades {
            line("[[nat.masquerade]]");
            line(&format!("source = [{:?}]", it.source));
            line(&format!("out = {:?}", it.out));
            if let Some(pool) = &it.pool {
                line(&format!("pool = [{pool:?}]"));
            }
            if let Some(ports) = &it.ports {
                line(&format!("ports = {ports:?}"));
            }
            if it.filtering == Filtering::AddressDependent {
                line("filtering = \"address-dependent\"");
            }
            assert!(!it.fully_random, "only the kernel allocates ports like this");
        }
        for it in &self.forwards {
            let destination = format!("{}:{}", it.address, range(&it.ports));
            let inside = it.to_port..=it.inside_port(*it.ports.end());
            line("[[nat.forward]]");
            line(&format!("in = {:?}", it.on));
            line(&format!("protocol = {:?}", it.protocol));
            line(&format!("destination = {destination:?}"));
            line(&format!("to = {:?}", format!("{}:{}", it.to, range(&inside))));
        }
        for it in &self.statics {
            line("[[nat.static]]");
            line(&format!("on = {:?}", it.on));
            line(&format!("external = {:?}", it.external));
            line(&format!("internal = {:?}", it.internal));
        }
        if let Some(firewall) = &self.firewall {
            line("[firewall]");
            line(&format!("default = {:?}", firewall.default.name()));
            line(&format!("gateway-default = {:?}", firewall.gateway_default.name()));
            line(&format!("tcp-pickup = {}", firewall.tcp_pickup));
            for rule in &firewall.rules {
                rule.toml(&mut line);
            }
        }
        text
    }
}

impl Rule {
    fn toml(&self, line: &mut impl FnMut(&str)) {
        line("[[firewall.rule]]");
        line(&format!("name = {:?}", self.name));
        for (key, zone) in [("from", &self.from), ("to", &self.to)] {
            if let Some(zone) = zone {
                line(&format!("{key} = {zone:?}"));
            }
        }
        for (key, values) in [
            ("source", &self.source),
            ("destination", &self.destination),
            ("service", &self.services),
        ] {
            if !values.is_empty() {
                line(&format!("{key} = {values:?}"));
            }
        }
        line(&format!("action = {:?}", self.action.name()));
        if self.log {
            line("log = true");
        }
    }
}

fn range(ports: &RangeInclusive<u16>) -> String {
    if ports.start() == ports.end() {
        ports.start().to_string()
    } else {
        format!("{}-{}", ports.start(), ports.end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forwarded_range_has_the_same_size_on_both_sides() {
        let forward = PortForward {
            on: "wan".into(),
            protocol: "udp".into(),
            address: "203.0.113.1".into(),
            ports: 5000..=5010,
            to: "10.1.0.2".into(),
            to_port: 6000,
        };
        let text = Policy { forwards: vec![forward], ..Policy::default() }.toml();
        assert!(text.contains("destination = \"203.0.113.1:5000-5010\""), "{text}");
        assert!(text.contains("to = \"10.1.0.2:6000-6010\""), "{text}");
    }

    #[test]
    fn what_a_rule_leaves_out_is_left_out() {
        let rule = Rule::new("web", Action::Accept).between("wan", "lan").services(&["tcp/80"]);
        let firewall = Some(Firewall::of(vec![rule]));
        let text = Policy { firewall, ..Policy::default() }.toml();
        assert!(text.contains("service = [\"tcp/80\"]\naction = \"accept\""), "{text}");
        assert!(!text.contains("source") && !text.contains("log ="), "{text}");
    }
}
