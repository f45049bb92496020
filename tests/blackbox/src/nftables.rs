//! A [`Policy`] for a kernel that forwards: what the gateway is compared with.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use crate::host::Host;
use crate::policy::{Action, Firewall, Masquerade, Policy, PortForward, Rule};

/// The kernel's own words for ICMP errors about what a firewall refuses.
const REJECT: [&str; 2] =
    ["meta l4proto tcp reject with tcp reset", "reject with icmpx admin-prohibited"];

impl Policy {
    /// The ruleset of a kernel that does the same, in place of the one that it has.
    #[must_use]
    pub fn nftables(&self) -> String {
        let mut text = String::from("table inet gateway\ndelete table inet gateway\n");
        text.push_str("table inet gateway {\n");
        chain(&mut text, "before", "nat hook prerouting priority dstnat", &self.before());
        chain(&mut text, "after", "nat hook postrouting priority srcnat", &self.after());
        if let Some(firewall) = &self.firewall {
            let through = firewall.chain(|rule| rule.to.as_deref() != Some("gateway"));
            let inward = firewall.chain(|rule| rule.to.as_deref().is_none_or(|to| to == "gateway"));
            let through = [through, last(firewall.default)].concat();
            // What a host needs to be a neighbour at all is no business of rules.
            let neighbour =
                vec!["icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept".into()];
            let inward = [neighbour, inward, last(firewall.gateway_default)].concat();
            chain(&mut text, "through", "filter hook forward priority filter", &through);
            chain(&mut text, "inward", "filter hook input priority filter", &inward);
        }
        text.push_str("}\n");
        text
    }

    /// Addresses that belong to the kernel though no interface has them.
    fn external(&self) -> impl Iterator<Item = String> {
        let pools = self.masquerades.iter().filter_map(|it| it.pool.as_deref()).flat_map(each);
        let forwards = self.forwards.iter().map(|it| it.address.clone());
        let statics = self.statics.iter().map(|it| it.external.clone());
        pools.chain(forwards).chain(statics)
    }

    /// Has a kernel do it, in place of what it did before. Flows are forgotten, as the gateway
    /// evaluates its rules again.
    #[track_caller]
    pub(crate) fn install(&self, host: &Host) {
        if let Some(firewall) = &self.firewall {
            let loose = u8::from(firewall.tcp_pickup);
            host.run(&format!("sysctl -qw net.netfilter.nf_conntrack_tcp_loose={loose}"));
        }
        host.run_words(&["nft", &self.nftables()]);
        // The kernel answers ARP for addresses that are routed to itself. It does not so with
        // neighbour discovery: networks of IPv6 are to be routed here.
        for address in self.external().filter(|address| !address.contains(':')) {
            host.run(&format!("ip route replace local {address} dev lo"));
        }
        host.run("conntrack -F");
    }

    fn before(&self) -> Vec<String> {
        let statics = self.statics.iter().map(|it| {
            let (ip, on, external, internal) =
                (family(&it.external), &it.on, &it.external, &it.internal);
            format!("iifname {on} {ip} daddr {external} dnat {ip} prefix to {internal}")
        });
        self.forwards.iter().flat_map(forward).chain(statics).collect()
    }

    fn after(&self) -> Vec<String> {
        let statics = self.statics.iter().map(|it| {
            let (ip, on, external, internal) =
                (family(&it.external), &it.on, &it.external, &it.internal);
            format!("oifname {on} {ip} saddr {internal} snat {ip} prefix to {external}")
        });
        let masquerades = self.masquerades.iter().map(masquerade);
        // An inside host that uses an outside address is seen under an outside address
        // (RFC 4787, REQ-9 a).
        let hairpins = self.masquerades.iter().flat_map(|it| {
            self.forwards.iter().map(|forward| {
                let (source, out, address) = (&it.source, &it.out, &forward.address);
                format!(
                    "ct status dnat oifname != {out} ip saddr {source} \
                     ct original ip daddr {address} snat ip to {address}"
                )
            })
        });
        statics.chain(hairpins).chain(masquerades).collect()
    }
}

/// The addresses of a range, or the one that it is.
fn each(range: &str) -> Vec<String> {
    let address =
        |text: &str| text.parse::<Ipv4Addr>().unwrap_or_else(|error| panic!("{text}: {error}"));
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let numbers = address(first).to_bits()..=address(last).to_bits();
    numbers.map(|number| Ipv4Addr::from_bits(number).to_string()).collect()
}

fn chain(text: &mut String, name: &str, hook: &str, lines: &[String]) {
    writeln!(text, "chain {name} {{\ntype {hook}; policy accept").expect("a string takes all");
    for line in lines {
        writeln!(text, "{line}").expect("a string takes all");
    }
    text.push_str("}\n");
}

fn masquerade(it: &Masquerade) -> String {
    let Masquerade { source, out, .. } = it;
    let random = if it.fully_random { " fully-random" } else { "" };
    // RFC 4787, REQ-2: one address for all flows of a host.
    let paired = if it.fully_random { "fully-random" } else { "persistent" };
    let selection = format!("oifname {out} ip saddr {source}");
    // Ports are of protocols that have some.
    match (&it.pool, &it.ports) {
        (None, None) => format!("{selection} masquerade{random}"),
        (None, Some(ports)) => format!(
            "{selection} meta l4proto {{ tcp, udp }} masquerade to :{ports}{random}\n\
             {selection} masquerade{random}"
        ),
        (Some(pool), None) => format!("{selection} snat ip to {pool} {paired}"),
        (Some(pool), Some(ports)) => format!(
            "{selection} meta l4proto {{ tcp, udp }} snat ip to {pool}:{ports} {paired}\n\
             {selection} snat ip to {pool} {paired}"
        ),
    }
}

/// A line for each port, from wherever its packets come: inside hosts may use the outside address.
fn forward(it: &PortForward) -> impl Iterator<Item = String> {
    it.ports.clone().map(|port| {
        let PortForward { protocol, address, to, .. } = it;
        let inside = it.inside_port(port);
        format!("ip daddr {address} {protocol} dport {port} dnat ip to {to}:{inside}")
    })
}

fn family(address: &str) -> &'static str {
    if address.contains(':') { "ip6" } else { "ip" }
}

fn last(action: Action) -> Vec<String> {
    match action {
        Action::Accept => vec!["accept".to_owned()],
        Action::Drop => vec!["drop".to_owned()],
        Action::Reject => REJECT.map(str::to_owned).to_vec(),
    }
}

impl Firewall {
    fn chain(&self, of_chain: impl Fn(&Rule) -> bool) -> Vec<String> {
        let mut lines =
            vec!["ct state established,related accept".to_owned(), "ct state invalid drop".into()];
        for rule in self.rules.iter().filter(|rule| of_chain(rule)) {
            lines.extend(rule.nftables());
        }
        lines
    }
}

impl Rule {
    /// A line for each family, service and answer.
    fn nftables(&self) -> Vec<String> {
        let mut zones = String::new();
        if let Some(from) = &self.from {
            zones = format!("iifname {from} ");
        }
        if let Some(to) = self.to.as_deref().filter(|&to| to != "gateway") {
            write!(zones, "oifname {to} ").expect("a string takes all");
        }
        let mut lines = Vec::new();
        for addresses in self.address_words() {
            let family = addresses.split_whitespace().next();
            for service in self.service_words(family) {
                for action in last(self.action) {
                    lines.push(format!("{zones}{addresses}{service}{action}"));
                }
            }
        }
        lines
    }

    /// What is asked of addresses, once for each family that it can hold for.
    fn address_words(&self) -> Vec<String> {
        if self.source.is_empty() && self.destination.is_empty() {
            return vec![String::new()];
        }
        let of_family = |ip: &str| {
            let mut text = String::new();
            for (field, all) in [("saddr", &self.source), ("daddr", &self.destination)] {
                let some: Vec<_> =
                    all.iter().map(String::as_str).filter(|it| family(it) == ip).collect();
                match (all.is_empty(), some.is_empty()) {
                    (true, _) => {}
                    (false, true) => return None,
                    (false, false) => {
                        write!(text, "{ip} {field} {{ {} }} ", some.join(", ")).ok()?;
                    }
                }
            }
            Some(text)
        };
        ["ip", "ip6"].into_iter().filter_map(of_family).collect()
    }

    /// What is asked of the payload, for a family of addresses if there is only one.
    fn service_words(&self, family: Option<&str>) -> Vec<String> {
        if self.services.is_empty() {
            return vec![String::new()];
        }
        self.services.iter().flat_map(|service| service_words(service, family)).collect()
    }
}

fn service_words(service: &str, family: Option<&str>) -> Vec<String> {
    let (protocol, detail) = match service.split_once('/') {
        Some((protocol, detail)) => (protocol, Some(detail)),
        None => (service, None),
    };
    // ICMP without more is that of both versions.
    let icmp: &[(&str, &str)] = match protocol {
        "icmp" => &[("icmp", "ip"), ("icmpv6", "ip6")],
        "icmpv6" => &[("icmpv6", "ip6")],
        _ => &[],
    };
    let icmp = icmp.iter().filter(|(_, of)| family.is_none_or(|family| family == *of));
    match (protocol, detail) {
        ("icmp" | "icmpv6", Some(kind)) => {
            icmp.map(|(icmp, _)| format!("{icmp} type {kind} ")).collect()
        }
        ("icmp" | "icmpv6", None) => {
            icmp.map(|(icmp, _)| format!("meta l4proto {icmp} ")).collect()
        }
        (_, Some(ports)) => vec![format!("{protocol} dport {ports} ")],
        (_, None) => vec![format!("meta l4proto {protocol} ")],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_a_line_for_each_family_and_service() {
        let rule = Rule::new("some", Action::Accept)
            .between("wan", "lan")
            .source(&["192.0.2.0/24", "2001:db8::/32"])
            .services(&["tcp/80-90", "icmp"]);
        assert_eq!(
            rule.nftables(),
            [
                "iifname wan oifname lan ip saddr { 192.0.2.0/24 } tcp dport 80-90 accept",
                "iifname wan oifname lan ip saddr { 192.0.2.0/24 } meta l4proto icmp accept",
                "iifname wan oifname lan ip6 saddr { 2001:db8::/32 } tcp dport 80-90 accept",
                "iifname wan oifname lan ip6 saddr { 2001:db8::/32 } meta l4proto icmpv6 accept",
            ]
        );
    }

    #[test]
    fn a_rule_whose_addresses_are_of_one_family_is_not_for_the_other() {
        let rule = Rule::new("some", Action::Drop).source(&["192.0.2.1"]).destination(&["::1"]);
        assert_eq!(rule.nftables(), Vec::<String>::new());
    }
}
