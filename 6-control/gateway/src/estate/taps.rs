//! The record of taps. The gateway process makes them, and they stay when it ends: in a namespace that
//! stays too they keep their addresses for the next start. What is no interface's any more goes.

use portcullis_config::Config;
use portcullis_os::links::{LinkError, Links};
use portcullis_os::netns::{self, NetnsHandle};
use tracing::{info, warn};

use super::{EstateError, Record};
use crate::state::MadeTap;

/// The kernel's kind of a tap.
const KIND: &str = "tun";

/// Removes the taps of interfaces that are no more.
pub(super) fn drop_unwanted(record: &mut Record, config: &Config) {
    let vpc = config.gateway().vpc_namespace.as_str();
    let wanted = |tap: &MadeTap| {
        tap.namespace == vpc && config.interfaces().iter().any(|i| i.name.as_str() == tap.name)
    };
    record.state.taps.retain(|tap| {
        if wanted(tap) {
            return true;
        }
        // A namespace that is gone took its taps along.
        if let Ok(namespace) = netns::open(&tap.namespace) {
            info!("removing tap {} from namespace {namespace}: no interface needs it", tap.name);
            warn_of(Links::open_in(&namespace).and_then(|mut links| remove(&mut links, &tap.name)));
        }
        false
    });
}

/// Writes down which taps the gateway process will make. Those that are there already and were not made
/// by an earlier run are somebody else's.
pub(super) fn note(
    record: &mut Record,
    config: &Config,
    vpc: &NetnsHandle,
) -> Result<(), EstateError> {
    let mut links = Links::open_in(vpc)?;
    for interface in config.interfaces() {
        let tap = MadeTap { name: interface.name.to_string(), namespace: vpc.name().to_owned() };
        if !record.state.taps.contains(&tap) && links.look_for(&tap.name)?.is_none() {
            record.state.taps.push(tap);
        }
    }
    Ok(record.store()?)
}

/// What has become of the taps at the end: in a namespace that was made they are removed, for they
/// would live on as long as any process is in it; and some may never have been made.
pub(super) fn review(record: &mut Record, vpc: &NetnsHandle) {
    let made = record.state.namespaces.iter().any(|made| made == vpc.name());
    let Ok(mut links) = Links::open_in(vpc) else { return };
    record.state.taps.retain(|tap| {
        if tap.namespace != vpc.name() {
            return true;
        }
        if made {
            warn_of(remove(&mut links, &tap.name));
            return false;
        }
        links.look_for(&tap.name).is_ok_and(|tap| tap.is_some())
    });
}

fn remove(links: &mut Links, name: &str) -> Result<(), LinkError> {
    match links.look_for(name)? {
        Some(link) if link.kind.as_deref() == Some(KIND) => links.delete(name),
        Some(_) | None => Ok(()),
    }
}

fn warn_of(outcome: Result<(), LinkError>) {
    if let Err(error) = outcome {
        warn!("{error}");
    }
}
