//! The namespaces and devices of a gateway: taken up at the start, given back at the end.
//!
//! Each step is in the [`State`] file before it is done, so that a run that is killed between any two
//! steps leaves a file that names at least all it did.

use std::io;

use portcullis_config::{Config, Interface};
use portcullis_os::links::{LinkError, Links};
use portcullis_os::netns::{self, NetnsError, NetnsHandle};
use portcullis_os::quiet::{self, QuietError};
use tracing::{debug, error, info, warn};

use crate::state::{MovedDevice, State, StateFile};

/// What a gateway holds of the machine.
#[derive(Debug)]
pub(crate) struct Estate {
    file: StateFile,
    state: State,
    home: NetnsHandle,
    link: NetnsHandle,
    vpc: NetnsHandle,
    taps: Vec<String>,
}

/// Why a gateway could not take up its namespaces and devices.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EstateError {
    /// A namespace.
    #[error(transparent)]
    Namespace(#[from] NetnsError),
    /// A device.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// A namespace could not be made quiet.
    #[error(transparent)]
    Quiet(#[from] QuietError),
    /// The state file.
    #[error("the record of what is to be given back: {0}")]
    State(#[from] io::Error),
    /// The device of an interface is nowhere.
    #[error(
        "interface {interface}: there is no device `{device}`, neither here nor in namespace {namespace}"
    )]
    NoDevice {
        /// The interface.
        interface: String,
        /// Its device.
        device: String,
        /// Where it was looked for, beside the starter's namespace.
        namespace: String,
    },
}

impl Estate {
    /// Makes the namespaces that are missing and moves the devices. What an earlier run left behind is
    /// taken over. If a step fails, those before it are undone.
    ///
    /// # Errors
    /// What is wrong, with the name of what it is wrong with.
    pub(crate) fn take_up(config: &Config) -> Result<Self, EstateError> {
        let gateway = config.gateway();
        let file = StateFile::of(gateway.name.as_str());
        let left = file.load()?;
        if left.is_some() {
            info!("the last run was cut off: taking over what it left");
        }
        let mut state = left.unwrap_or_default();
        let link_name = gateway.link_namespace.as_str();
        if !state.devices.is_empty() && state.link_namespace != link_name {
            give_back_from(&state.link_namespace, &mut state.devices);
        }
        state.link_namespace = link_name.to_owned();
        let home = NetnsHandle::current()?;
        let mut made = Made { file: &file, state: &mut state };
        let link = made.namespace(link_name);
        let vpc = link
            .and_then(|link| made.namespace(gateway.vpc_namespace.as_str()).map(|vpc| (link, vpc)));
        let (link, vpc) = match vpc {
            Ok(both) => both,
            Err(error) => {
                undo_namespaces(&file, &state);
                return Err(error);
            }
        };
        let taps = config.interfaces().iter().map(|i| i.name.to_string()).collect();
        let mut estate = Self { file, state, home, link, vpc, taps };
        match estate.settle(config) {
            Ok(()) => Ok(estate),
            Err(error) => {
                estate.give_back();
                Err(error)
            }
        }
    }

    fn settle(&mut self, config: &Config) -> Result<(), EstateError> {
        quiet::link(&self.link)?;
        quiet::vpc(&self.vpc)?;
        if let Err(error) = quiet::raise_neighbour_limits() {
            debug!("the limits on neighbours stay as they are: {error}");
        }
        let mut here = Links::open()?;
        let mut there = Links::open_in(&self.link)?;
        self.drop_unwanted(config, &mut there);
        for interface in config.interfaces() {
            self.fetch(interface, &mut here, &mut there)?;
        }
        Ok(())
    }

    /// Gives back devices that the last run had and this one does not want.
    fn drop_unwanted(&mut self, config: &Config, there: &mut Links) {
        let wanted = |device: &MovedDevice| {
            config.interfaces().iter().any(|i| i.device.as_str() == device.name)
        };
        let (keep, unwanted) = self.state.devices.drain(..).partition(wanted);
        self.state.devices = keep;
        for device in unwanted {
            if give_back(&device, there, &self.home) == Returned::Failed {
                self.state.devices.push(device);
            }
        }
    }

    /// Gets the device of an interface into the `link` namespace, with the interface's MTU, up and
    /// with no copy of its frames for the kernel there.
    fn fetch(
        &mut self,
        interface: &Interface,
        here: &mut Links,
        there: &mut Links,
    ) -> Result<(), EstateError> {
        let name = interface.device.as_str();
        if there.look_for(name)?.is_some() {
            info!(
                "interface {}: device {name} is in namespace {} already",
                interface.name, self.link
            );
        } else if let Some(link) = here.look_for(name)? {
            self.state.devices.retain(|device| device.name != name);
            self.state.devices.push(MovedDevice {
                name: name.to_owned(),
                up: link.is_up(),
                mtu: link.mtu,
            });
            self.file.store(&self.state)?;
            here.move_to(name, &self.link)?;
        } else {
            return Err(EstateError::NoDevice {
                interface: interface.name.to_string(),
                device: name.to_owned(),
                namespace: self.link.name().to_owned(),
            });
        }
        there.set_mtu(name, u32::from(interface.mtu.get()))?;
        quiet::device(&self.link, name)?;
        there.set_up(name, true)?;
        Ok(())
    }

    /// Gives everything back. What can't be given back is logged and stays in the record for the next
    /// run; true if nothing does.
    pub(crate) fn give_back(mut self) -> bool {
        match Links::open_in(&self.link) {
            Ok(mut there) => {
                let home = &self.home;
                self.state
                    .devices
                    .retain(|device| give_back(device, &mut there, home) == Returned::Failed);
            }
            Err(error) if self.state.devices.is_empty() => {
                warn!("namespace {}: {error}", self.link);
            }
            Err(error) => error!("devices stay in namespace {}: {error}", self.link),
        }
        if !self.state.devices.is_empty() {
            if let Err(error) = self.file.store(&self.state) {
                error!("the record of what is to be given back: {error}");
            }
            return false;
        }
        if self.state.namespaces.iter().any(|made| made == self.vpc.name()) {
            self.remove_taps();
        }
        undo_namespaces(&self.file, &self.state)
    }

    /// Taps are persistent. In a namespace that is about to go they would live on as long as any
    /// process is in it.
    fn remove_taps(&self) {
        let Ok(mut links) = Links::open_in(&self.vpc) else { return };
        for tap in &self.taps {
            if let Ok(Some(link)) = links.look_for(tap)
                && link.kind.as_deref() == Some("tun")
                && let Err(error) = links.delete(tap)
            {
                warn!("{error}");
            }
        }
    }
}

/// Makes namespaces, and writes down which.
struct Made<'s> {
    file: &'s StateFile,
    state: &'s mut State,
}

impl Made<'_> {
    fn namespace(&mut self, name: &str) -> Result<NetnsHandle, EstateError> {
        if netns::exists(name) {
            return Ok(netns::open(name)?);
        }
        if !self.state.namespaces.iter().any(|made| made == name) {
            self.state.namespaces.push(name.to_owned());
        }
        self.file.store(self.state)?;
        Ok(netns::create(name)?)
    }
}

#[derive(PartialEq, Eq)]
enum Returned {
    Home,
    Failed,
}

fn give_back(device: &MovedDevice, there: &mut Links, home: &NetnsHandle) -> Returned {
    let name = &device.name;
    match there.look_for(name) {
        Ok(Some(_)) => {}
        // It never left, somebody fetched it, or it was unplugged.
        Ok(None) => return Returned::Home,
        Err(error) => {
            error!("device {name}: {error}");
            return Returned::Failed;
        }
    }
    if let Err(error) = there.set_mtu(name, device.mtu) {
        warn!("{error}");
    }
    if let Err(error) = there.move_to(name, home) {
        error!("device {name} stays behind: {error}");
        return Returned::Failed;
    }
    if device.up {
        let up = Links::open().and_then(|mut here| here.set_up(name, true));
        if let Err(error) = up {
            warn!("{error}");
        }
    }
    Returned::Home
}

fn give_back_from(namespace: &str, devices: &mut Vec<MovedDevice>) {
    let home = NetnsHandle::current();
    let there = netns::open(namespace).ok().and_then(|link| Links::open_in(&link).ok());
    if let (Ok(home), Some(mut there)) = (home, there) {
        devices.retain(|device| give_back(device, &mut there, &home) == Returned::Failed);
    }
}

/// Removes the namespaces that were made, and then the record. True if all went well.
fn undo_namespaces(file: &StateFile, state: &State) -> bool {
    let mut well = true;
    for name in &state.namespaces {
        if netns::exists(name)
            && let Err(error) = netns::delete(name)
        {
            error!("{error}");
            well = false;
        }
    }
    if well && let Err(error) = file.remove() {
        error!("{error}");
        well = false;
    }
    well
}
