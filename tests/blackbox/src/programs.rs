//! The workspace's own programs, built when they are first needed.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;

use crate::driver::{Driver, driver};
use crate::lab::target;

/// Where the `portcullis` command lies, once it has been built. `PORTCULLIS_BIN` names another one
/// to test, an installed one for example.
///
/// # Panics
///
/// If it can't be built.
#[track_caller]
#[must_use]
pub fn binary(release: bool) -> PathBuf {
    let is_given = std::env::var_os("PORTCULLIS_BIN").is_some();
    // What is measured is what most users build; all else can have DPDK.
    if release && driver() == Driver::AfPacket && !is_given {
        built("portcullis", "portcullis", &[], true)
    } else {
        binary_with_dpdk(release)
    }
}

/// The same, with DPDK.
#[track_caller]
pub(crate) fn binary_with_dpdk(release: bool) -> PathBuf {
    match std::env::var_os("PORTCULLIS_BIN") {
        Some(program) => program.into(),
        None => built("portcullis", "portcullis", &["--features", "dpdk"], release),
    }
}

/// Where the traffic generator lies, once it has been built.
#[track_caller]
pub(crate) fn load() -> PathBuf {
    built("portcullis-blackbox", "portcullis-load", &[], true)
}

#[track_caller]
fn built(
    package: &'static str,
    program: &'static str,
    features: &[&str],
    release: bool,
) -> PathBuf {
    static BUILT: Mutex<BTreeSet<(&str, usize, bool)>> = Mutex::new(BTreeSet::new());
    let mut built = BUILT.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if !built.contains(&(program, features.len(), release)) {
        let profile = if release { "release" } else { "dev" };
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
        command.args(["build", "--quiet", "--package", package, "--bin", program]);
        command.args(features).args(["--profile", profile]).current_dir(env!("CARGO_MANIFEST_DIR"));
        // Building from nothing takes longer than any command of a test may.
        let output = command.output().expect("cargo can be run");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        built.insert((program, features.len(), release));
    }
    target().join(if release { "release" } else { "debug" }).join(program)
}
