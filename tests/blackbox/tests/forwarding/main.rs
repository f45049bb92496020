//! Packets through the forwarder, seen from the hosts on either side.

mod answers;
mod equal_paths;
mod links;
mod reachability;
mod refused;
mod sizes;
mod throughput;
