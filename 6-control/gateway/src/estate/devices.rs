//! Devices: found, moved into the `link` namespace, and given back as they were.

use portcullis_config::Interface;
use portcullis_os::links::{Link, LinkError, LinkErrorKind, Links};
use portcullis_os::netns::NetnsHandle;
use portcullis_os::quiet;
use portcullis_packet::Mac;
use tracing::{error, info, warn};

use super::{EstateError, Record, inherit};
use crate::state::TakenDevice;

/// Names tried for a device whose own is taken.
const OTHER_NAMES: u32 = 100;

/// Gets the device of an interface into the `link` namespace, with the interface's MTU, up and
/// with no copy of its frames for the kernel there.
pub(super) fn fetch(
    record: &mut Record,
    (interface, name): (&Interface, &str),
    here: &mut Links,
    there: &mut Links,
    (home, link): (&NetnsHandle, &NetnsHandle),
) -> Result<(), EstateError> {
    if let Some(found) = there.look_for(name)? {
        info!("interface {}: device {name} is in namespace {link} already", interface.name);
        match record.state.devices.iter_mut().find(|device| device.is(name, link)) {
            Some(known) => known.recognise_by(&found),
            None => record.state.devices.push(TakenDevice::staying(&found, link, home)),
        }
        record.store()?;
    } else if let Some(found) = here.look_for(name)? {
        refuse_enslaved(interface, &found, here)?;
        let mut taken = TakenDevice { moved: true, ..TakenDevice::staying(&found, link, home) };
        // Its number may be another one over there.
        taken.index = None;
        if let Some(at) = record.state.devices.iter().position(|device| device.is(name, link)) {
            // A run that was killed after it had moved the device back did not set it up any more.
            taken.up |= record.state.devices.remove(at).up;
        }
        record.state.devices.push(taken);
        record.store()?;
        here.move_to(name, link)?;
        let found = there.find(name)?;
        if let Some(taken) = record.state.devices.last_mut() {
            taken.recognise_by(&found);
        }
        record.store()?;
    } else {
        return Err(EstateError::NoDevice {
            interface: interface.name.to_string(),
            device: name.to_owned(),
            namespace: link.name().to_owned(),
            elsewhere: inherit::whereabouts(&record.gateway, name, home),
        });
    }
    there.set_mtu(name, u32::from(interface.mtu.get()))?;
    quiet::device(link, name)?;
    there.set_up(name, true)?;
    Ok(())
}

/// To take a part out of a bridge or bond is not what was asked for, and could not be undone.
fn refuse_enslaved(
    interface: &Interface,
    device: &Link,
    here: &mut Links,
) -> Result<(), EstateError> {
    let Some(index) = device.master else { return Ok(()) };
    let master = here.list()?.into_iter().find(|link| link.index == index);
    Err(EstateError::Enslaved {
        interface: interface.name.to_string(),
        device: device.name.clone(),
        master: master.map_or_else(|| format!("device {index}"), |master| master.name),
    })
}

impl TakenDevice {
    /// A device that is in `link`, as it is now.
    fn staying(found: &Link, link: &NetnsHandle, home: &NetnsHandle) -> Self {
        Self {
            name: found.name.clone(),
            namespace: link.name().to_owned(),
            moved: false,
            home: home.inode(),
            index: Some(found.index.0),
            mac: found.mac.map(|mac| mac.to_string()),
            first_mac: found.mac.map(|Mac(mac)| mac),
            up: found.is_up(),
            mtu: found.mtu,
            promiscuous: found.is_promiscuous(),
        }
    }

    fn is(&self, name: &str, link: &NetnsHandle) -> bool {
        self.name == name && self.namespace == link.name()
    }

    fn recognise_by(&mut self, found: &Link) {
        self.index = Some(found.index.0);
        self.mac = found.mac.map(|mac| mac.to_string());
    }

    /// Where it is now: it may have been renamed.
    fn find(&self, there: &mut Links) -> Result<Option<Link>, LinkError> {
        if let Some(link) = there.look_for(&self.name)? {
            return Ok(Some(link));
        }
        let same = |link: &Link| {
            Some(link.index.0) == self.index && link.mac.map(|mac| mac.to_string()) == self.mac
        };
        Ok(there.list()?.into_iter().find(same))
    }

    /// Puts it back where and as it was. A device that is not there any more was given back.
    ///
    /// # Errors
    /// If it stays where it is.
    pub(super) fn give_back(
        &self,
        there: &mut Links,
        here: &mut Links,
        home: &NetnsHandle,
    ) -> Result<(), LinkError> {
        // It never left, somebody fetched it, or it was unplugged.
        let Some(found) = self.find(there)? else { return Ok(()) };
        if found.mtu != self.mtu {
            warn_of(there.set_mtu(&found.name, self.mtu));
        }
        let first = self.first_mac.map(Mac);
        if let Some(mac) = first.filter(|_| first != found.mac) {
            warn_of(there.set_mac(&found.name, mac));
        }
        if found.is_promiscuous() != self.promiscuous {
            warn_of(there.set_promiscuous(&found.name, self.promiscuous));
        }
        if !self.moved {
            warn_of(there.unmute(&found.name));
            warn_of(there.set_up(&found.name, self.up));
            return Ok(());
        }
        let name = self.go_home(&found, there, here, home)?;
        if self.up {
            warn_of(here.set_up(&name, true));
        }
        Ok(())
    }

    /// Moves it home, under its own name if that is free. Returns the name it has there.
    fn go_home(
        &self,
        found: &Link,
        there: &mut Links,
        here: &mut Links,
        home: &NetnsHandle,
    ) -> Result<String, LinkError> {
        let moved = if found.name == self.name {
            there.move_to(&self.name, home)
        } else {
            there.move_to_as(&found.name, home, &self.name)
        };
        let taken = match moved {
            Ok(()) => return Ok(self.name.clone()),
            Err(error @ LinkError { kind: LinkErrorKind::Exists(_), .. }) => error,
            Err(error) => return Err(error),
        };
        let free = other_names(&self.name).find(|name| matches!(here.look_for(name), Ok(None)));
        let name = free.ok_or(taken)?;
        there.move_to_as(&found.name, home, &name)?;
        error!("device {} is back as {name}: another one has its name by now", self.name);
        Ok(name)
    }
}

fn warn_of(outcome: Result<(), LinkError>) {
    if let Err(error) = outcome {
        warn!("{error}");
    }
}

/// What a device may be called instead: `eth1_1`, `eth1_2`, within the kernel's 15 bytes.
fn other_names(name: &str) -> impl Iterator<Item = String> {
    (1..OTHER_NAMES).map(move |number| format!("{name:.12}_{number}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_names_fit() {
        let names: Vec<_> = other_names("a-name-of-15-by").collect();
        assert!(names.iter().all(|name| name.len() <= 15), "{names:?}");
        assert_eq!(other_names("eth1").next().as_deref(), Some("eth1_1"));
    }
}
