//! The Debian packages that tests, demo and benchmarks use: the one list of them.

use std::process::{Command, Stdio};

use crate::run::run;

/// What the laboratory uses, and what the feature `dpdk` is built with.
pub(crate) const LAB: &[&str] = &[
    "conntrack",
    "coturn",
    "dpdk-dev",
    "ethtool",
    "frr",
    "iperf3",
    "iproute2",
    "iputils-arping",
    "iputils-ping",
    "iputils-tracepath",
    "libc6-dev",
    "libdpdk-dev",
    "nftables",
    "pkg-config",
    "procps",
    "python3-scapy",
    "stun-client",
    "tcpdump",
    "traceroute",
    "tshark",
    "util-linux",
];

/// What only the benchmarks use: testpmd, l3fwd's source, what the plain loop is built with, and what
/// counts instructions.
pub(crate) const BENCH: &[&str] =
    &["dpdk", "dpdk-dev", "dpdk-doc", "gcc", "libdpdk-dev", "pkg-config", "valgrind"];

/// What `cargo xtask pci` uses: QEMU, what the guest's kernel is got and started with, and what runs in the guest.
pub(crate) const PCI: &[&str] = &[
    "busybox-static",
    "cpio",
    "iperf3",
    "iproute2",
    "iputils-ping",
    "kmod",
    "libc6-dev",
    "libdpdk-dev",
    "pkg-config",
    "python3-scapy",
    "qemu-system-x86",
    "tcpdump",
    "util-linux",
];

/// Installs what is missing of a list.
pub(crate) fn install(packages: &[&str]) -> Result<(), String> {
    let missing: Vec<&str> = packages.iter().copied().filter(|name| !is_installed(name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("installing {}", missing.join(" "));
    // Some of them are services that Debian starts when it installs them (coturn is one): the
    // laboratory starts what it needs itself. Told so, systemctl leaves a systemd that runs alone;
    // where none runs nothing is started anyway.
    let apt = ["SYSTEMD_OFFLINE=1", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"];
    run("env", &[&apt[..], &["update"]].concat())?;
    let install = ["install", "--yes", "--no-install-recommends"];
    run("env", &[&apt[..], &install, &missing].concat())
}

fn is_installed(package: &str) -> bool {
    let query = Command::new("dpkg-query")
        .args(["--show", "--showformat=${db:Status-Status}", package])
        .stderr(Stdio::null())
        .output();
    query.is_ok_and(|query| query.stdout == b"installed")
}
