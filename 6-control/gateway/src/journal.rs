//! What the firewall and the NAT have to say to the log: a line for each decision of a rule that is to be
//! logged, and for each block of ports that is given out or comes back (RFC 6888, REQ-13 and 14).

use std::sync::Arc;
use std::time::Duration;

use portcullis_api::IpProtocol;
use portcullis_dataplane::Receiver;
use portcullis_firewall::Action;
use portcullis_nat::BlockEvent;
use portcullis_packet::IfIndex;
use portcullis_pipeline::{Event, RuleEvent};
use portcullis_policy::Policy;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

/// How often events are fetched.
const FETCH: Duration = Duration::from_millis(50);

/// Writes events into the log.
pub(crate) struct Journal {
    pub(crate) events: Vec<Receiver<Event>>,
    pub(crate) interfaces: Vec<String>,
    pub(crate) policy: watch::Receiver<Arc<Policy>>,
}

impl Journal {
    /// Writes until the process ends.
    pub(crate) async fn write(mut self) {
        let mut turn = interval(FETCH);
        turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            turn.tick().await;
            let policy = Arc::clone(&self.policy.borrow());
            for events in &mut self.events {
                while let Some(event) = events.take() {
                    match event {
                        Event::Rule(event) => rule(&self.interfaces, &policy, &event),
                        Event::Block(event) => block(&event),
                    }
                }
            }
        }
    }
}

fn rule(interfaces: &[String], policy: &Policy, event: &RuleEvent) {
    let name = |index: IfIndex| interfaces.get(index.slot()).map_or("gateway", String::as_str);
    let rule = policy.rules.as_ref().map_or("none", |rules| rules.name(event.rule));
    let protocol = IpProtocol(event.protocol);
    let (input, output) = (name(event.rx), name(event.tx));
    let RuleEvent { src, dst, ports, .. } = event;
    let is_icmp = event.protocol == 1 || event.protocol == 58;
    let (source_port, destination_port) = (ports.src, ports.dst);
    let reason = event.reason.map_or("", |reason| reason.name());
    let text = match event.action {
        Action::Accept => "accepted",
        Action::Drop => "dropped",
        Action::Reject => "rejected",
    };
    let (kind, code) = (ports.dst >> 8, ports.dst & 0xff);
    match (event.action, is_icmp) {
        (Action::Accept, false) => {
            info!(rule, %protocol, %src, source_port, %dst, destination_port, input, output, "{text}");
        }
        (Action::Accept, true) => {
            info!(rule, %protocol, %src, %dst, kind, code, input, output, "{text}");
        }
        (Action::Drop | Action::Reject, false) => {
            warn!(rule, reason, %protocol, %src, source_port, %dst, destination_port, input, output, "{text}");
        }
        (Action::Drop | Action::Reject, true) => {
            warn!(rule, reason, %protocol, %src, %dst, kind, code, input, output, "{text}");
        }
    }
}

fn block(event: &BlockEvent) {
    let BlockEvent { allocated, protocol, inside, external, first_port, last_port } = *event;
    let protocol = IpProtocol(protocol.0);
    let text = if allocated { "ports given to" } else { "ports given back by" };
    info!(%protocol, %inside, %external, first_port, last_port, "{text} {inside}");
}
