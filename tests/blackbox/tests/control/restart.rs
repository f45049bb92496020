//! The gateway goes and comes back under a control plane that stays.

use std::time::Duration;

use portcullis_blackbox::{Daemon, Forwarder, Lab};

use crate::{FAR_BGP, GATEWAY_BGP, Routed};

/// From the first answer on the control socket until traffic flows. BGP's own timers are far longer.
const AT_ONCE: Duration = Duration::from_secs(3);

/// A namespace that was there before the gateway stays after it, and with it FRR.
fn routed(lab: &Lab) -> Routed {
    let _vpc = lab.host("vpc");
    let routed = Routed::new(lab, Forwarder::Portcullis, &[Daemon::Bgp], GATEWAY_BGP, FAR_BGP);
    routed.pair.near.reaches_within(Duration::from_secs(40), "10.77.0.1");
    routed
}

#[test]
fn a_gateway_that_was_stopped_forwards_frrs_routes_again_at_once() {
    let lab = Lab::new("a_gateway_that_was_stopped_forwards_frrs_routes_again_at_once");
    let mut routed = routed(&lab);
    let portcullis = routed.pair.gateway.portcullis();
    assert!(portcullis.stop().success(), "{}", portcullis.log());
    portcullis.start_again();
    routed.pair.near.reaches_within(AT_ONCE, "10.77.0.1");
}

#[test]
fn a_gateway_that_was_killed_forwards_frrs_routes_again_at_once() {
    let lab = Lab::new("a_gateway_that_was_killed_forwards_frrs_routes_again_at_once");
    let mut routed = routed(&lab);
    let portcullis = routed.pair.gateway.portcullis();
    portcullis.signal_pid(portcullis.gateway_pid(), "KILL");
    portcullis.signal("KILL");
    portcullis.end();
    portcullis.start_again();
    routed.pair.near.reaches_within(AT_ONCE, "10.77.0.1");
}
