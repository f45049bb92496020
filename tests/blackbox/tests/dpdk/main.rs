//! Interfaces on DPDK's devices, whatever the other tests run on.

mod coming_and_going;
mod mixed;
mod one_thread;
mod others;
mod shared_memory;
mod tap;

use portcullis_blackbox::Host;

/// A host behind the gateway's 10.`number`.0.1 and 2001:db8:`number`::1.
fn configure(host: &Host, number: u8) {
    let addresses = [format!("10.{number}.0.2/24"), format!("2001:db8:{number}::2/64")];
    host.configure("eth0", &addresses.each_ref().map(String::as_str));
    host.run(&format!("ip route add default via 10.{number}.0.1"));
    host.run(&format!("ip -6 route add default via 2001:db8:{number}::1"));
}

/// Finished frames only: drivers on top of the kernel's devices take no others.
fn without_offloads(host: &Host, device: &str) {
    host.run(&format!("ethtool -K {device} tx off sg off tso off gso off gro off"));
}
