//! What a run of the gateway has taken or made, written down before it is done: whoever comes after a
//! run that was killed finds all of it, and puts it back.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Where run-time files are.
pub const RUN_DIRECTORY: &str = "/run/portcullis";

/// A network device that was moved from where it was.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct MovedDevice {
    /// Its name, in both namespaces.
    pub(crate) name: String,
    /// Whether it was up.
    pub(crate) up: bool,
    /// The MTU it had.
    pub(crate) mtu: u32,
}

/// All that is to be undone.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct State {
    /// Namespaces that were made.
    pub(crate) namespaces: Vec<String>,
    /// The namespace of the devices.
    pub(crate) link_namespace: String,
    /// Devices that were moved there.
    pub(crate) devices: Vec<MovedDevice>,
}

/// The file that the state is kept in.
#[derive(Debug)]
pub(crate) struct StateFile {
    path: PathBuf,
}

impl StateFile {
    /// That of the gateway with this name.
    #[must_use]
    pub(crate) fn of(gateway: &str) -> Self {
        Self { path: Path::new(RUN_DIRECTORY).join(format!("{gateway}.state")) }
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
            Err(error) => return Err(self.named(error)),
        };
        serde_json::from_str(&text).map(Some).map_err(|error| self.named(error.into()))
    }

    /// Writes the state, whole or not at all.
    ///
    /// # Errors
    /// If it can't be written.
    pub(crate) fn store(&self, state: &State) -> io::Result<()> {
        let text = serde_json::to_string_pretty(state)?;
        let aside = self.path.with_extension("state.new");
        std::fs::write(&aside, text)
            .and_then(|()| std::fs::rename(&aside, &self.path))
            .map_err(|error| self.named(error))
    }

    /// Nothing is left to be undone.
    ///
    /// # Errors
    /// If the file can't be removed.
    pub(crate) fn remove(&self) -> io::Result<()> {
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.named(error)),
            _ => Ok(()),
        }
    }

    fn named(&self, error: io::Error) -> io::Error {
        io::Error::new(error.kind(), format!("{}: {error}", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> StateFile {
        let unique =
            format!("portcullis-state-{}-{:?}", std::process::id(), std::thread::current().id());
        StateFile { path: std::env::temp_dir().join(unique) }
    }

    #[test]
    fn what_was_stored_is_loaded_and_what_was_removed_is_not_there() {
        let file = file();
        assert_eq!(file.load().expect("no file is no error"), None);
        let device = MovedDevice { name: "eth1".into(), up: true, mtu: 9000 };
        let state = State {
            namespaces: vec!["link".into()],
            link_namespace: "link".into(),
            devices: vec![device],
        };
        file.store(&state).expect("a writable directory");
        assert_eq!(file.load().expect("a state"), Some(state));
        file.remove().expect("it was there");
        file.remove().expect("gone already is gone");
        assert_eq!(file.load().expect("no file is no error"), None);
    }

    #[test]
    fn a_file_that_holds_something_else_is_an_error_that_names_it() {
        let file = file();
        std::fs::write(&file.path, "{").expect("a writable directory");
        let error = file.load().expect_err("no state").to_string();
        file.remove().expect("it was there");
        assert!(error.contains("portcullis-state-"), "{error}");
    }
}
