//! Namespaces: made if they are missing, and taken away again.
//!
//! To make one is to make a file and to mount the namespace on it; to take it away, the reverse. A run
//! that is killed in between leaves an empty file, which is nobody's.

use std::io;

use portcullis_os::netns::{self, NetnsError, NetnsErrorKind, NetnsHandle};
use tracing::warn;

use super::{EstateError, Record};

/// The namespace of this name; made, and written down before, if there is none.
pub(super) fn ensure(record: &mut Record, name: &str) -> Result<NetnsHandle, EstateError> {
    if netns::exists(name) {
        return Ok(netns::open(name)?);
    }
    let began_before = record.state.namespaces.iter().any(|made| made == name);
    if !began_before {
        record.state.namespaces.push(name.to_owned());
    }
    record.store()?;
    let made = match netns::create(name) {
        Err(error) if began_before && clear_remnant(&error)? => netns::create(name),
        made => made,
    };
    if made.is_err() && !began_before {
        record.state.namespaces.retain(|made| made != name);
    }
    Ok(made?)
}

/// Takes a namespace away that was made. `known` is the one that was, if it is still open: another
/// of its name stays.
pub(super) fn remove(name: &str, known: Option<&NetnsHandle>) -> Result<(), EstateError> {
    if let (Some(known), Ok(now)) = (known, netns::open(name))
        && now.inode() != known.inode()
    {
        warn!("namespace {name} is not the one that was made here: it stays");
        return Ok(());
    }
    match netns::delete(name) {
        Err(error) if error.kind == NetnsErrorKind::Missing => Ok(()),
        Err(error) if clear_remnant(&error)? => Ok(()),
        deleted => Ok(deleted?),
    }
}

/// If the name is taken by an empty file, as one that was killed half way leaves it: removes that.
fn clear_remnant(error: &NetnsError) -> io::Result<bool> {
    let NetnsErrorKind::NotANamespace { path } = &error.kind else { return Ok(false) };
    let file = std::fs::symlink_metadata(path)?;
    if !file.is_file() || file.len() > 0 {
        return Ok(false);
    }
    std::fs::remove_file(path)?;
    Ok(true)
}
