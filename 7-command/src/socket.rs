//! Which control socket to use.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use portcullis_config::GatewayName;

use crate::host;

/// Where gateways put their sockets.
const DIRECTORY: &str = "/run/portcullis";

/// How a socket's name ends.
const EXTENSION: &str = "sock";

/// It is not clear which gateway is meant.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NoSocket {
    directory: PathBuf,
    candidates: Vec<PathBuf>,
    /// The directory may not be looked into.
    forbidden: bool,
}

impl fmt::Display for NoSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let directory = self.directory.display();
        if self.forbidden {
            return write!(
                f,
                "no right to look into {directory}: gateways answer their owner (root)"
            );
        }
        if self.candidates.is_empty() {
            return write!(f, "no gateway is running here: there is no socket in {directory}");
        }
        write!(f, "several gateways are running here, say which with --socket:")?;
        self.candidates.iter().try_for_each(|path| write!(f, "\n    {}", path.display()))
    }
}

impl std::error::Error for NoSocket {}

/// The socket of a gateway of this name.
pub(crate) fn of_gateway(name: &GatewayName) -> PathBuf {
    Path::new(DIRECTORY).join(format!("{name}.{EXTENSION}"))
}

/// The socket that is given, or else that of the gateway that is meant when none is named: the one
/// called after the host, or the only one there is.
pub(crate) fn given_or_found(given: Option<&Path>) -> Result<PathBuf, NoSocket> {
    match given {
        Some(given) => Ok(given.to_owned()),
        None => find_in(Path::new(DIRECTORY), &host::name()),
    }
}

fn find_in(directory: &Path, host: &str) -> Result<PathBuf, NoSocket> {
    let forbidden =
        fs::read_dir(directory).is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied);
    let mut candidates = sockets(directory);
    let own = directory.join(format!("{host}.{EXTENSION}"));
    if candidates.contains(&own) {
        return Ok(own);
    }
    match (candidates.pop(), candidates.is_empty()) {
        (Some(only), true) => Ok(only),
        (last, _) => {
            candidates.extend(last);
            Err(NoSocket { directory: directory.to_owned(), candidates, forbidden })
        }
    }
}

/// The sockets in a directory, in order.
fn sockets(directory: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_socket()))
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == EXTENSION))
        .collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    struct Directory(PathBuf);

    impl Directory {
        fn with(name: &str, sockets: &[&str]) -> Self {
            let name = format!("pc-find-{}-{name}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir_all(&path).expect("a directory");
            for socket in sockets {
                UnixListener::bind(path.join(socket)).expect("a socket");
            }
            Self(path)
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_only_socket_is_meant() {
        let directory = Directory::with("only", &["gw1.sock"]);
        fs::write(directory.0.join("notes.sock"), "no socket").expect("a file");
        assert_eq!(find_in(&directory.0, "host"), Ok(directory.0.join("gw1.sock")));
    }

    #[test]
    fn among_several_the_one_called_after_the_host_is_meant() {
        let directory = Directory::with("own", &["gw1.sock", "host.sock"]);
        assert_eq!(find_in(&directory.0, "host"), Ok(directory.0.join("host.sock")));
    }

    #[test]
    fn among_several_others_none_is_meant_and_all_are_named() {
        let directory = Directory::with("several", &["b.sock", "a.sock"]);
        let error = find_in(&directory.0, "host").expect_err("not clear").to_string();
        let (a, b) = (directory.0.join("a.sock"), directory.0.join("b.sock"));
        assert!(error.ends_with(&format!("\n    {}\n    {}", a.display(), b.display())), "{error}");
    }

    #[test]
    fn without_any_no_gateway_is_running() {
        let error = find_in(Path::new("/nonexistent"), "host").expect_err("none").to_string();
        assert_eq!(error, "no gateway is running here: there is no socket in /nonexistent");
    }
}
