//! The order of the layers, habit by habit.

use std::fs;
use std::path::{Path, PathBuf};

use portcullis_layers::{Layer, Member, members};

/// Crates that may hold `unsafe` blocks, each with its reason beside it.
const UNSAFE_ALLOWED: [&str; 5] = [
    "portcullis-packet",
    "portcullis-os",
    "portcullis-drivers",
    "portcullis-dataplane",
    "portcullis-dpdk",
];

/// What gives a crate sockets, clocks, threads or system calls.
const OPERATING_SYSTEM: [&str; 10] = [
    "libc",
    "linux-raw-sys",
    "mio",
    "netlink-packet-core",
    "netlink-packet-route",
    "netlink-sys",
    "nix",
    "rustix",
    "socket2",
    "tokio",
];

/// The same in the standard library, by path.
const STANDARD_LIBRARY: [&str; 10] = [
    "std::env",
    "std::fs",
    "std::io",
    "std::os",
    "std::process",
    "std::thread",
    "Instant::now",
    "SystemTime",
    "TcpStream",
    "UdpSocket",
];

fn pure() -> Vec<Member> {
    let pure: Vec<_> = members()
        .into_iter()
        .filter(|member| member.layer().is_some_and(|layer| layer <= Layer::LAST_PURE))
        .collect();
    assert!(pure.len() >= 4, "found only {} crates in the lower layers", pure.len());
    pure
}

#[test]
fn a_crate_depends_on_its_own_layer_and_those_below_only() {
    let members = members();
    for member in &members {
        let Some(layer) = member.layer() else { continue };
        for below in members.iter().filter(|other| member.asks_for.contains(&other.name)) {
            assert!(
                below.layer().is_some_and(|below| below <= layer),
                "{} ({}) depends on {} ({})",
                member.name,
                member.folder.display(),
                below.name,
                below.folder.display(),
            );
        }
    }
}

#[test]
fn every_layer_from_one_to_seven_has_a_crate() {
    let members = members();
    for number in 1..=7 {
        assert!(
            members.iter().any(|member| {
                member.layer() == Layer::of_folder(Path::new(&format!("{number}-x")))
            }),
            "no crate in layer {number}"
        );
    }
}

#[test]
fn the_lower_three_layers_link_nothing_that_knows_the_operating_system() {
    for member in pure() {
        for name in OPERATING_SYSTEM {
            assert!(!member.links.contains(name), "{} links {name}", member.name);
        }
    }
}

#[test]
fn the_lower_three_layers_use_no_clock_thread_file_or_socket_of_the_standard_library() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for member in pure() {
        for file in sources(&root.join(&member.folder).join("src")) {
            let source = fs::read_to_string(&file).expect("a readable source file");
            // Tests may use threads; by convention they close a file.
            let product = source.split("#[cfg(test)]").next().unwrap_or_default();
            let code = product.lines().filter(|line| !line.trim_start().starts_with("//"));
            for line in code {
                for path in STANDARD_LIBRARY {
                    assert!(!line.contains(path), "{}: {path}: {line}", file.display());
                }
            }
        }
    }
}

#[test]
fn unsafe_code_is_forbidden_in_every_crate_but_the_four_that_talk_to_memory_and_the_system() {
    for member in members() {
        if member.layer().is_none() || UNSAFE_ALLOWED.contains(&member.name.as_str()) {
            continue;
        }
        for root in &member.roots {
            let source = fs::read_to_string(root).expect("a readable source file");
            assert!(
                source.lines().any(|line| line.trim() == "#![forbid(unsafe_code)]"),
                "{} does not forbid unsafe code",
                root.display()
            );
        }
    }
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs")
            && path.file_name().is_some_and(|name| name != "tests.rs")
        {
            found.push(path);
        }
    }
    found
}
