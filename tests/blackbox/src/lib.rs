//! A laboratory of network namespaces: plain Linux hosts, FRR, and a forwarder between them.
//!
//! The tests of this crate see the gateway from outside only: they run the `portcullis` command,
//! send packets, and read `/proc`. The demo and the benchmarks use the same laboratory.
//!
//! * A [`Lab`] owns namespaces whose names start with a prefix of its own, so that labs run side by
//!   side and beside a gateway that is at work. Whatever happens to the process that made it, the
//!   namespaces and all that runs in them are gone afterwards.
//! * A [`Host`] is one namespace.
//! * A [`Gateway`] is what is tested, behind a [`Forwarder`]: the kernel stands in for Portcullis
//!   wherever both must behave alike, which proves the test itself.
//!
//! Functions here panic, as tests do, with the command that failed and what it said.

mod capture;
mod command;
mod dial;
mod driver;
mod forwarder;
mod frr;
mod host;
mod interrupt;
mod iperf;
mod lab;
mod load;
mod nftables;
mod ping;
mod policy;
mod portcullis;
mod proc;
mod programs;
mod relay;
mod scapy;
mod show;
mod site;
mod stream;
mod stun;
mod testpmd;
mod topology;
mod trace;
mod wait;

pub use capture::Capture;
pub use command::{Background, Finished};
pub use dial::{Answer, Dial, Outcome, Reflector};
pub use driver::{
    joins_fragments, largest_datagram, locks_memory, on_one_thread, second_device, sees_the_wire,
    takes_devices, takes_jumbo_frames, uses_dpdk,
};
pub use forwarder::{AntiSpoofing, Forwarder, Gateway, Plan, Port};
pub use frr::{Daemon, Frr};
pub use host::{Host, link};
pub use interrupt::{interrupted, unwind_on_interrupts};
pub use iperf::{Iperf, IperfServer, Transport};
pub use lab::Lab;
pub use load::{Flood, Latency, Target};
pub use ping::{Ping, RunningPing};
pub use policy::{Action, Filtering, Firewall, Masquerade, Policy, PortForward, Rule, StaticNat};
pub use portcullis::Portcullis;
pub use proc::{Task, tasks};
pub use programs::binary;
pub use relay::join;
pub use site::{Site, SiteOptions};
pub use stream::NumberedStream;
pub use stun::{Behaviour, NatDiscovery, StunServer, StunVerdict, stun};
pub use topology::{Pair, PairOptions};
pub use trace::{PathMtu, tracepath, traceroute};
pub use wait::{alone, wait_until};

/// Makes tests of functions that take a [`Forwarder`]: one each for Portcullis and, to prove the
/// test itself, for the kernel.
#[macro_export]
macro_rules! by_portcullis_as_by_the_kernel {
    ($($test:ident,)+) => {
        mod portcullis {
            $(#[test] fn $test() { super::$test($crate::Forwarder::Portcullis); })+
        }
        mod kernel {
            $(#[test] fn $test() { super::$test($crate::Forwarder::Kernel); })+
        }
    };
}
