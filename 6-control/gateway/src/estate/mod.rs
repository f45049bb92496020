//! The namespaces and devices of a gateway: taken up at the start, given back at the end.
//!
//! Each step is in the [`State`] file before it is done, so that a run that is killed between any two
//! steps leaves a file that names at least all it did. The next one takes all of it over, whatever its own
//! configuration says: what it does not want it gives back at once.

mod devices;
mod error;
mod inherit;
mod namespaces;
mod taps;

use std::io;

use portcullis_config::{Config, Interface};
use portcullis_os::links::Links;
use portcullis_os::netns::{self, NetnsError, NetnsErrorKind, NetnsHandle};
use portcullis_os::quiet;
use tracing::{debug, error, info, warn};

use crate::state::{State, StateFile, TakenDevice};
pub(crate) use error::EstateError;
use inherit::Foreign;

/// What a gateway holds of the machine.
#[derive(Debug)]
pub(crate) struct Estate {
    record: Record,
    home: NetnsHandle,
    /// The namespaces that it uses. Open they are there even if their names are taken away.
    open: Vec<NetnsHandle>,
}

/// The state, and where it is written down.
#[derive(Debug)]
struct Record {
    gateway: String,
    file: StateFile,
    state: State,
}

impl Record {
    fn store(&self) -> io::Result<()> {
        self.file.store(&self.state)
    }
}

impl Estate {
    /// Makes the namespaces that are missing and moves the devices. What an earlier run left behind is
    /// taken over. If a step fails, those before it are undone. The caller has the locks of the
    /// gateway's name and namespaces.
    ///
    /// # Errors
    /// What is wrong, with the name of what it is wrong with.
    pub(crate) fn take_up(config: &Config) -> Result<Self, EstateError> {
        let gateway = config.gateway().name.as_str();
        let file = StateFile::of(gateway);
        let state = file.load()?.unwrap_or_default();
        if state.is_cut_off() {
            info!("the last run was cut off: taking over what it left");
        }
        let record = Record { gateway: gateway.to_owned(), file, state };
        let mut estate = Self { record, home: NetnsHandle::current()?, open: vec![] };
        match estate.settle(config) {
            Ok(()) => Ok(estate),
            Err(error) => {
                estate.give_back();
                Err(error)
            }
        }
    }

    fn settle(&mut self, config: &Config) -> Result<(), EstateError> {
        inherit::from_the_dead(&mut self.record, config, &self.home)?;
        self.drop_unwanted(config)?;
        let gateway = config.gateway();
        let link = namespaces::ensure(&mut self.record, gateway.link_namespace.as_str())?;
        self.open.push(link.clone());
        let vpc = namespaces::ensure(&mut self.record, gateway.vpc_namespace.as_str())?;
        self.open.push(vpc.clone());
        quiet::link(&link)?;
        quiet::vpc(&vpc)?;
        if let Err(error) = quiet::raise_neighbour_limits() {
            debug!("the limits on neighbours stay as they are: {error}");
        }
        let mut here = Links::open()?;
        let mut there = Links::open_in(&link)?;
        for interface in config.interfaces() {
            let Some(name) = interface.device.kernel() else { continue };
            devices::fetch(
                &mut self.record,
                (interface, name.as_str()),
                &mut here,
                &mut there,
                (&self.home, &link),
            )?;
        }
        taps::note(&mut self.record, config, &vpc)
    }

    /// Gives back what earlier runs had and this one does not want.
    fn drop_unwanted(&mut self, config: &Config) -> Result<(), EstateError> {
        let link = config.gateway().link_namespace.as_str();
        let wanted = |device: &TakenDevice| {
            let named = is_wanted(config, &device.name);
            named && device.namespace == link
        };
        let foreign = Foreign::lock(config, &self.record.state);
        self.leave_to_others(&foreign.taken);
        self.return_devices(|device| !wanted(device));
        taps::drop_unwanted(&mut self.record, config);
        self.remove_namespaces(|name| !inherit::is_ours(config, name));
        Ok(self.record.store()?)
    }

    /// What is in namespaces that other gateways use by now is theirs.
    fn leave_to_others(&mut self, taken: &[String]) {
        for name in taken {
            warn!(
                "another gateway uses namespace {name} by now: what the last run left there stays"
            );
        }
        let state = &mut self.record.state;
        state.namespaces.retain(|name| !taken.contains(name));
        state.devices.retain(|device| !taken.contains(&device.namespace));
        state.taps.retain(|tap| !taken.contains(&tap.namespace));
    }

    /// Gives everything back. What can't be given back is logged and stays in the record for the next
    /// run; true if nothing does.
    pub(crate) fn give_back(mut self) -> bool {
        self.return_devices(|_| true);
        for namespace in &self.open {
            taps::review(&mut self.record, namespace);
        }
        self.remove_namespaces(|_| true);
        let stored = self.record.store();
        if let Err(error) = &stored {
            error!("the record of what is to be given back: {error}");
        }
        stored.is_ok() && !self.record.state.is_cut_off()
    }

    /// The namespace of this name: the one that is used, whatever its name stands for by now.
    /// `None` if there is none any more.
    fn namespace(&self, name: &str) -> Result<Option<NetnsHandle>, NetnsError> {
        if let Some(known) = self.open.iter().find(|open| open.name() == name) {
            return Ok(Some(known.clone()));
        }
        match netns::open(name) {
            Ok(namespace) => Ok(Some(namespace)),
            Err(NetnsError {
                kind: NetnsErrorKind::Missing | NetnsErrorKind::NotANamespace { .. },
                ..
            }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn return_devices(&mut self, which: impl Fn(&TakenDevice) -> bool) {
        for device in std::mem::take(&mut self.record.state.devices) {
            let kept = !which(&device) || !self.give_back_device(&device);
            if kept {
                self.record.state.devices.push(device);
            }
        }
    }

    /// True if nothing is left to be done about the device.
    fn give_back_device(&self, device: &TakenDevice) -> bool {
        let given = self.try_give_back(device);
        if let Err(error) = &given {
            error!("device {} stays in namespace {}: {error}", device.name, device.namespace);
        }
        given.is_ok()
    }

    fn try_give_back(&self, device: &TakenDevice) -> Result<(), EstateError> {
        // A namespace that is gone gave its physical devices back and took the others along.
        let Some(namespace) = self.namespace(&device.namespace)? else { return Ok(()) };
        let mut there = Links::open_in(&namespace)?;
        Ok(device.give_back(&mut there, &mut Links::open()?, &self.home)?)
    }

    /// Takes namespaces away that were made and where no device is left.
    fn remove_namespaces(&mut self, which: impl Fn(&str) -> bool) {
        for name in std::mem::take(&mut self.record.state.namespaces) {
            let used = self.record.state.devices.iter().any(|device| device.namespace == name);
            let known = self.open.iter().find(|open| open.name() == name);
            let removed = !used && which(&name) && {
                let removed = namespaces::remove(&name, known);
                if let Err(error) = &removed {
                    warn!("namespace {name} stays: {error}");
                }
                removed.is_ok()
            };
            if !removed {
                self.record.state.namespaces.push(name);
            }
        }
    }
}

/// Whether an interface is on this device of the kernel's.
fn is_wanted(config: &Config, name: &str) -> bool {
    let kernel = |interface: &Interface| interface.device.kernel().map(|it| it.as_str() == name);
    config.interfaces().iter().filter_map(kernel).any(|is_it| is_it)
}
