//! Settings below `/proc/sys/net`, of the namespace that the calling thread is in.

use std::io;
use std::path::{Path, PathBuf};

use crate::netns::NetnsHandle;

/// A file below `/proc/sys/net`, and what is to be in it.
pub(super) type Setting = (&'static str, &'static str);

/// A setting that could not be made.
#[derive(Debug, thiserror::Error)]
#[error("namespace {namespace}: cannot set net/{key} to {value}: {source}")]
pub struct SysctlError {
    /// Where.
    pub namespace: String,
    /// The file.
    pub key: &'static str,
    /// What should be in it.
    pub value: String,
    /// Why not.
    pub source: io::Error,
}

impl SysctlError {
    pub(super) fn inside(mut self, netns: &NetnsHandle) -> Self {
        self.namespace = netns.name().to_owned();
        self
    }
}

/// Makes all settings. Those of IPv6 are left out where the kernel has none.
pub(super) fn set_all(settings: &[Setting]) -> Result<(), SysctlError> {
    let ipv6 = path_of("ipv6/conf").exists();
    for &(key, value) in settings.iter().filter(|(key, _)| ipv6 || !key.starts_with("ipv6/")) {
        set(key, value)?;
    }
    Ok(())
}

/// Sets a number that is smaller than `least` to `least`.
pub(super) fn raise(key: &'static str, least: u64) -> Result<(), SysctlError> {
    let now = read(key).map_err(|source| refused(key, &least.to_string(), source))?;
    if now.parse().is_ok_and(|now: u64| now >= least) {
        return Ok(());
    }
    set(key, &least.to_string())
}

fn set(key: &'static str, value: &str) -> Result<(), SysctlError> {
    // In a container `/proc/sys` may be read-only, and as it should be.
    if read(key).is_ok_and(|now| now == value) {
        return Ok(());
    }
    std::fs::write(path_of(key), value).map_err(|source| refused(key, value, source))
}

fn read(key: &str) -> io::Result<String> {
    Ok(std::fs::read_to_string(path_of(key))?.trim().to_owned())
}

fn path_of(key: &str) -> PathBuf {
    Path::new("/proc/sys/net").join(key)
}

fn refused(key: &'static str, value: &str, source: io::Error) -> SysctlError {
    let namespace = "of this thread".to_owned();
    SysctlError { namespace, key, value: value.to_owned(), source }
}
