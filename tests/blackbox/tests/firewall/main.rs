//! The zone firewall, seen from the hosts on either side.

mod attacks;
mod bounds;
mod change;
mod fragments;
mod logging;
mod rules;
mod see;
mod spoofing;
mod state;

use portcullis_blackbox::{Action, Firewall, Forwarder, Lab, Policy, Rule, Site, SiteOptions};

/// A site whose inside is routed, not translated, behind these rules.
fn guarded(lab: &Lab, forwarder: Forwarder, rules: Vec<Rule>) -> Site {
    with_firewall(lab, forwarder, Firewall::of(rules))
}

fn with_firewall(lab: &Lab, forwarder: Forwarder, firewall: Firewall) -> Site {
    let policy = policy(firewall);
    let options = SiteOptions { policy, routed: true, ..SiteOptions::default() };
    Site::with(lab, forwarder, &options)
}

fn policy(firewall: Firewall) -> Policy {
    Policy { firewall: Some(firewall), ..Policy::default() }
}

/// What inside hosts begin goes out.
fn out() -> Rule {
    Rule::new("out", Action::Accept).between("lan", "wan")
}

/// A service is reached from outside.
fn inward(name: &str, services: &[&str]) -> Rule {
    Rule::new(name, Action::Accept).between("wan", "lan").services(services)
}
