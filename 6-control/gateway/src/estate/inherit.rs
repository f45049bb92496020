//! What runs of gateways with other names left, that were cut off and never started again: a gateway
//! whose name has changed since (by default it is the host's) needs its devices all the same.

use std::collections::BTreeSet;

use portcullis_config::Config;
use portcullis_os::netns::NetnsHandle;
use portcullis_os::process::LockFile;
use tracing::{debug, info};

use super::error::Whereabouts;
use super::{EstateError, Record, is_wanted};
use crate::locks::What;
use crate::state::{State, StateFile, TakenDevice};

/// Takes over what is recorded of gateways that do not run and have something that this one wants.
pub(super) fn from_the_dead(
    record: &mut Record,
    config: &Config,
    home: &NetnsHandle,
) -> Result<(), EstateError> {
    for (gateway, file) in StateFile::others(&record.gateway) {
        let left = match file.load() {
            Ok(Some(state)) if has_something_for(config, home, &state) => state,
            Ok(_) => continue,
            Err(error) => {
                debug!("{error}");
                continue;
            }
        };
        // It runs, or somebody else is in its namespaces by now.
        let Ok(_it_does_not_run) = What::Gateway(&gateway).take() else { continue };
        let foreign = Foreign::lock(config, &left);
        if !foreign.taken.is_empty() {
            continue;
        }
        info!("gateway {gateway} was cut off and does not run: taking over what it left");
        record.state.absorb(left);
        record.store()?;
        file.remove()?;
    }
    Ok(())
}

/// The other gateway that has the device that had this name here.
pub(super) fn whereabouts(gateway: &str, device: &str, home: &NetnsHandle) -> Option<Whereabouts> {
    StateFile::others(gateway).into_iter().find_map(|(gateway, file)| {
        let state = file.load().ok()??;
        let taken = state
            .devices
            .into_iter()
            .find(|taken| came_from(home, taken) && taken.name == device)?;
        Some(Whereabouts { gateway, namespace: taken.namespace })
    })
}

fn has_something_for(config: &Config, home: &NetnsHandle, state: &State) -> bool {
    state.places().any(|place| is_ours(config, place))
        || state
            .devices
            .iter()
            .any(|device| came_from(home, device) && is_wanted(config, &device.name))
}

fn came_from(home: &NetnsHandle, device: &TakenDevice) -> bool {
    device.moved && device.home == home.inode()
}

/// Whether this gateway uses the namespace, and so has its lock.
pub(super) fn is_ours(config: &Config, namespace: &str) -> bool {
    let gateway = config.gateway();
    [gateway.link_namespace.as_str(), gateway.vpc_namespace.as_str()].contains(&namespace)
}

/// The namespaces of a state that this gateway does not use.
pub(super) struct Foreign {
    /// Those that no other gateway uses, locked.
    _free: Vec<LockFile>,
    /// Those that another one uses.
    pub(super) taken: Vec<String>,
}

impl Foreign {
    pub(super) fn lock(config: &Config, state: &State) -> Self {
        let places: BTreeSet<_> = state.places().filter(|place| !is_ours(config, place)).collect();
        let (mut free, mut taken) = (Vec::new(), Vec::new());
        for place in places {
            match What::Namespace(place).take() {
                Ok(lock) => free.push(lock),
                Err(_held) => taken.push(place.to_owned()),
            }
        }
        Self { _free: free, taken }
    }
}
