//! Namespaces in which the kernel keeps its hands off the packets.
//!
//! In `link` the devices are there for their frames alone: no IPv6, no forwarding, no answers, and
//! each device drops the kernel's own copy of what it received ([`device`]). Packet sockets have
//! theirs by then: taps come before the ingress hook on the way up.
//!
//! In `vpc` the kernel is the gateway's control plane: it has the addresses and answers for them,
//! but what is not for itself is not its to forward, and it believes the gateway about where
//! packets came from.

mod hook;
mod sysctl;

use crate::links::{LinkError, Links};
use crate::netns::{NetnsError, NetnsHandle, run_in};
pub use sysctl::SysctlError;
use sysctl::{Setting, raise, set_all};

/// Makes a namespace quiet, before devices are moved into it: they take over what `default` says.
///
/// # Errors
/// A setting that can neither be made nor is as it should be already.
pub fn link(netns: &NetnsHandle) -> Result<(), QuietError> {
    in_namespace(netns, || set_all(LINK))
}

/// Makes a namespace the home of a control plane, before taps are made in it.
///
/// # Errors
/// A setting that can neither be made nor is as it should be already.
pub fn vpc(netns: &NetnsHandle) -> Result<(), QuietError> {
    in_namespace(netns, || set_all(VPC))
}

/// Makes room for a gateway's neighbours in the kernel's tables. Their limits are the whole host's,
/// and can be set in its first network namespace only: call this from a thread that is there.
///
/// # Errors
/// A limit that cannot be raised; a gateway can do with the smaller tables, until they are full.
pub fn raise_neighbour_limits() -> Result<(), QuietError> {
    for &(key, least) in NEIGHBOUR_TABLES {
        raise(key, least)?;
    }
    Ok(())
}

fn in_namespace(
    netns: &NetnsHandle,
    work: impl FnOnce() -> Result<(), SysctlError> + Send,
) -> Result<(), QuietError> {
    run_in(netns, work)?.map_err(|error| error.inside(netns))?;
    Ok(())
}

/// A namespace or a device that could not be made quiet.
#[derive(Debug, thiserror::Error)]
pub enum QuietError {
    /// The namespace could not be entered.
    #[error(transparent)]
    Namespace(#[from] NetnsError),
    /// A setting could not be made.
    #[error(transparent)]
    Sysctl(#[from] SysctlError),
    /// The device does not drop the kernel's copies.
    #[error(transparent)]
    Link(#[from] LinkError),
}

/// Lets a device of `netns` drop the kernel's own copy of all that it receives; see
/// [`Links::mute`].
///
/// # Errors
/// As [`Links::mute`].
pub fn device(netns: &NetnsHandle, name: &str) -> Result<(), QuietError> {
    Ok(Links::open_in(netns)?.mute(name)?)
}

/// Settings of the `link` namespace, below `/proc/sys/net`.
const LINK: &[Setting] = &[
    // No link-local addresses, router solicitations or multicast reports on the wire.
    ("ipv6/conf/all/disable_ipv6", "1"),
    ("ipv6/conf/default/disable_ipv6", "1"),
    ("ipv6/conf/all/forwarding", "0"),
    ("ipv4/ip_forward", "0"),
    // Answer no ARP request at all, even if somebody puts an address onto a device.
    ("ipv4/conf/all/arp_ignore", "8"),
    ("ipv4/icmp_echo_ignore_all", "1"),
];

/// Settings of the `vpc` namespace, below `/proc/sys/net`.
const VPC: &[Setting] = &[
    // The dataplane forwards. What is punted here is for this host or for nobody.
    ("ipv4/ip_forward", "0"),
    ("ipv6/conf/all/forwarding", "0"),
    ("ipv6/conf/default/forwarding", "0"),
    // Routes and addresses come from the file, from FRR and from the operator, not from strangers.
    ("ipv6/conf/all/accept_ra", "0"),
    ("ipv6/conf/default/accept_ra", "0"),
    ("ipv6/conf/all/accept_redirects", "0"),
    ("ipv6/conf/default/accept_redirects", "0"),
    ("ipv4/conf/all/accept_redirects", "0"),
    ("ipv4/conf/default/accept_redirects", "0"),
    ("ipv6/conf/all/disable_ipv6", "0"),
    ("ipv6/conf/default/disable_ipv6", "0"),
    // Where a packet may come from was decided before it was punted; asymmetric routes are legal.
    ("ipv4/conf/all/rp_filter", "0"),
    ("ipv4/conf/default/rp_filter", "0"),
    // A tap that is set down and up again keeps its IPv6 addresses, as it does its IPv4 ones.
    ("ipv6/conf/all/keep_addr_on_down", "1"),
    ("ipv6/conf/default/keep_addr_on_down", "1"),
];

/// Below the first number nothing is collected, above the last nothing is learnt (arp(7)). The
/// kernel's are 128, 512 and 1024, for all namespaces together: a gateway of a few large prefixes
/// has more neighbours. They are raised, never lowered.
const NEIGHBOUR_TABLES: &[(&str, u64)] = &[
    ("ipv4/neigh/default/gc_thresh3", 131_072),
    ("ipv4/neigh/default/gc_thresh2", 65_536),
    ("ipv4/neigh/default/gc_thresh1", 16_384),
    ("ipv6/neigh/default/gc_thresh3", 131_072),
    ("ipv6/neigh/default/gc_thresh2", 65_536),
    ("ipv6/neigh/default/gc_thresh1", 16_384),
];
