//! What a run of the gateway has taken or made, written down before it is done: whoever comes after a
//! run that was killed finds all of it, and puts it back.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Where run-time files are.
pub const RUN_DIRECTORY: &str = "/run/portcullis";

/// How a state file's name ends.
const EXTENSION: &str = "state";

/// A network device that is used, and how it was before.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct TakenDevice {
    /// Its name.
    pub(crate) name: String,
    /// The namespace that it is used in.
    pub(crate) namespace: String,
    /// Whether it was moved there. If not it stays there.
    pub(crate) moved: bool,
    /// The number of the starter's namespace, from where it was moved. Names mean devices only together
    /// with a namespace.
    pub(crate) home: u64,
    /// Its number there, once it is there.
    pub(crate) index: Option<u32>,
    /// Its MAC address. With the number it is known again under another name.
    pub(crate) mac: Option<String>,
    /// The MAC address it had.
    #[serde(default)]
    pub(crate) first_mac: Option<[u8; 6]>,
    /// Whether it was up.
    pub(crate) up: bool,
    /// The MTU it had.
    pub(crate) mtu: u32,
    /// Whether it received frames for any address.
    #[serde(default)]
    pub(crate) promiscuous: bool,
}

/// A tap that was made.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct MadeTap {
    /// Its name.
    pub(crate) name: String,
    /// The namespace that it is in.
    pub(crate) namespace: String,
}

/// All that is to be undone, now or later.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(crate) struct State {
    /// Namespaces that were made.
    pub(crate) namespaces: Vec<String>,
    /// Devices that are used.
    pub(crate) devices: Vec<TakenDevice>,
    /// Taps that were made. In a namespace that stays they stay, until there is no such interface any
    /// more.
    pub(crate) taps: Vec<MadeTap>,
}

impl State {
    /// Whether a run left this that did not come to its end. Only taps outlive one that did.
    pub(crate) fn is_cut_off(&self) -> bool {
        !self.namespaces.is_empty() || !self.devices.is_empty()
    }

    fn is_empty(&self) -> bool {
        !self.is_cut_off() && self.taps.is_empty()
    }

    /// All namespaces that are mentioned.
    pub(crate) fn places(&self) -> impl Iterator<Item = &str> {
        let of_devices = self.devices.iter().map(|device| &device.namespace);
        let of_taps = self.taps.iter().map(|tap| &tap.namespace);
        self.namespaces.iter().chain(of_devices).chain(of_taps).map(String::as_str)
    }

    /// Takes over what another gateway left. What both have is this one's.
    pub(crate) fn absorb(&mut self, other: Self) {
        for name in other.namespaces {
            if !self.namespaces.contains(&name) {
                self.namespaces.push(name);
            }
        }
        for device in other.devices {
            let same =
                |ours: &TakenDevice| ours.name == device.name && ours.namespace == device.namespace;
            if !self.devices.iter().any(same) {
                self.devices.push(device);
            }
        }
        for tap in other.taps {
            if !self.taps.contains(&tap) {
                self.taps.push(tap);
            }
        }
    }
}

/// The file that the state is kept in.
#[derive(Debug)]
pub(crate) struct StateFile {
    path: PathBuf,
}

impl StateFile {
    /// That of the gateway with this name.
    pub(crate) fn of(gateway: &str) -> Self {
        Self { path: Path::new(RUN_DIRECTORY).join(format!("{gateway}.{EXTENSION}")) }
    }

    /// Those of all other gateways, by name.
    pub(crate) fn others(gateway: &str) -> Vec<(String, Self)> {
        let entries = std::fs::read_dir(RUN_DIRECTORY).into_iter().flatten().flatten();
        let paths = entries.map(|entry| entry.path());
        let mut found: Vec<_> = paths
            .filter(|path| path.extension().is_some_and(|extension| extension == EXTENSION))
            .filter_map(|path| Some((path.file_stem()?.to_str()?.to_owned(), Self { path })))
            .filter(|(name, _)| name != gateway)
            .collect();
        found.sort_by(|one, other| one.0.cmp(&other.0));
        found
    }

    /// What an earlier run left. A file that can't be read is an error: to go on without it would
    /// strand what it lists.
    ///
    /// # Errors
    /// If there is a file, and no state in it.
    pub(crate) fn load(&self) -> io::Result<Option<State>> {
        let text = match std::fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.named(&error)),
        };
        let said = |error| {
            let help =
                "it lists what the last run left: give that back by hand, then remove the file";
            let error = format!("it can't be understood ({error}); {help}");
            self.named(&io::Error::new(io::ErrorKind::InvalidData, error))
        };
        serde_json::from_str(&text).map(Some).map_err(said)
    }

    /// Writes the state, whole or not at all; a state of nothing is no file.
    ///
    /// # Errors
    /// If it can't be written.
    pub(crate) fn store(&self, state: &State) -> io::Result<()> {
        if state.is_empty() {
            return self.remove();
        }
        let text = serde_json::to_string_pretty(state)?;
        let aside = self.path.with_extension("state.new");
        // Without fsync: the file system is in memory, and what is listed does not outlive it.
        let write = || {
            let mut options = OpenOptions::new();
            let mut file =
                options.write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
            file.write_all(text.as_bytes())?;
            std::fs::rename(&aside, &self.path)
        };
        write().map_err(|error| self.named(&error))
    }

    /// Nothing is left to be undone.
    ///
    /// # Errors
    /// If the file can't be removed.
    pub(crate) fn remove(&self) -> io::Result<()> {
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.named(&error)),
            _ => Ok(()),
        }
    }

    fn named(&self, error: &io::Error) -> io::Error {
        io::Error::new(error.kind(), format!("{}: {error}", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn file() -> StateFile {
        let unique =
            format!("portcullis-state-{}-{:?}", std::process::id(), std::thread::current().id());
        StateFile { path: std::env::temp_dir().join(unique) }
    }

    fn device(name: &str) -> TakenDevice {
        TakenDevice {
            name: name.into(),
            namespace: "link".into(),
            moved: true,
            home: 4_026_531_840,
            index: Some(7),
            mac: Some("02:00:00:00:00:01".into()),
            promiscuous: false,
            first_mac: None,
            up: true,
            mtu: 9000,
        }
    }

    fn state() -> State {
        State {
            namespaces: vec!["link".into()],
            devices: vec![device("eth1")],
            taps: vec![MadeTap { name: "wan".into(), namespace: "vpc".into() }],
        }
    }

    #[test]
    fn what_was_stored_is_loaded_and_nothing_is_no_file() {
        let file = file();
        assert_eq!(file.load().expect("no file is no error"), None);
        file.store(&state()).expect("a writable directory");
        assert_eq!(file.load().expect("a state"), Some(state()));
        let mode = std::fs::metadata(&file.path).expect("the file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        file.store(&State::default()).expect("it can be removed");
        file.remove().expect("gone already is gone");
        assert_eq!(file.load().expect("no file is no error"), None);
    }

    #[test]
    fn a_file_that_holds_something_else_is_an_error_that_names_it_and_says_what_to_do() {
        let file = file();
        std::fs::write(&file.path, "{").expect("a writable directory");
        let error = file.load().expect_err("no state").to_string();
        file.remove().expect("it was there");
        assert!(error.contains("portcullis-state-") && error.contains("by hand"), "{error}");
    }

    #[test]
    fn only_taps_outlive_a_run_that_came_to_its_end() {
        assert!(state().is_cut_off());
        let rest = State { namespaces: vec![], devices: vec![], ..state() };
        assert!(!rest.is_cut_off() && !rest.is_empty());
    }

    #[test]
    fn what_another_left_is_added_once() {
        let mut ours = state();
        let theirs = State { devices: vec![device("eth1"), device("eth2")], ..state() };
        ours.absorb(theirs.clone());
        ours.absorb(theirs);
        assert_eq!(ours, State { devices: vec![device("eth1"), device("eth2")], ..state() });
        assert_eq!(ours.places().collect::<Vec<_>>(), ["link", "link", "link", "vpc"]);
    }
}
