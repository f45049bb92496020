//! Sockets in the file system that a process left there which had no time to tidy up.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::net::UnixStream;
use std::path::Path;

/// Removes a socket that nobody has any more, so that a device can have its name: net_memif, as server, takes what is there for
/// another server's. One that somebody has stays, and does not notice.
pub fn remove_stale_socket(path: &Path) {
    // Whoever has one of net_memif's is told nothing: they are of another kind (EPROTOTYPE). A file that is no socket refuses
    // as well, so that is asked first.
    let is_socket = fs::symlink_metadata(path)
        .is_ok_and(|it| std::os::unix::fs::FileTypeExt::is_socket(&it.file_type()));
    let refuses = || {
        UnixStream::connect(path).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
    };
    if is_socket && refuses() {
        match fs::remove_file(path) {
            Ok(()) => tracing::info!("{} was left by a process that is gone", path.display()),
            Err(error) => tracing::warn!("{}: {error}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixDatagram, UnixListener};

    use super::*;

    #[test]
    fn a_socket_goes_once_nobody_has_it() {
        let folder = std::env::temp_dir().join(format!("pc-stale-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let (same, other, file) = (folder.join("same"), folder.join("other"), folder.join("file"));
        let owners = (UnixListener::bind(&same), UnixDatagram::bind(&other));
        fs::write(&file, "").expect("a file");
        let there = || [&same, &other, &file].map(|path| path.exists());
        let remove = || [&same, &other, &file].map(|path| remove_stale_socket(path));
        remove();
        assert_eq!(there(), [true, true, true], "somebody has them");
        drop(owners);
        remove();
        assert_eq!(there(), [false, false, true]);
        fs::remove_dir_all(&folder).expect("its own folder");
    }
}
