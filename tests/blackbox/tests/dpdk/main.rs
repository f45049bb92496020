//! Interfaces on DPDK's devices, whatever the other tests run on.

mod coming_and_going;
mod mixed;
mod one_thread;
mod others;
mod shared_memory;
mod tap;

use portcullis_blackbox::Host;

/// Two hosts behind the gateway's 10.1.0.1 and 10.2.0.1, which send finished frames only: drivers on top of the kernel's
/// devices take no others.
fn configure(near: &Host, far: &Host) {
    for (host, number) in [(near, 1), (far, 2)] {
        host.run("ethtool -K eth0 tx off sg off tso off gso off gro off");
        host.configure("eth0", &[&format!("10.{number}.0.2/24")]);
        host.run(&format!("ip route add default via 10.{number}.0.1"));
    }
}
