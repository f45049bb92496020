//! The control socket in the file system.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixSocket};

/// Clients that may wait to be accepted.
const BACKLOG: u32 = 32;

/// A listening socket that only its owner may connect to. Its file is removed with it.
#[derive(Debug)]
pub struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
    /// Device and inode of the file, to remove no other one's.
    identity: (u64, u64),
}

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Somebody answers at this path.
    #[error("a gateway is running already: something answers at {}", .0.display())]
    InUse(PathBuf),
    /// There is a file of this name that is no socket.
    #[error("{} is there already, and is no socket", .0.display())]
    NotASocket(PathBuf),
    /// The system refused.
    #[error("the control socket {} can't be made: {source}", path.display())]
    Refused {
        /// Its path.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl ControlSocket {
    /// Makes the socket, and the directory for it. A socket that a gateway left behind when it was
    /// killed is replaced. To be called inside of a tokio runtime.
    ///
    /// # Errors
    /// Somebody answers at this path, or the system refuses.
    pub fn bind(path: &Path) -> Result<Self, SocketError> {
        let refused = |source| SocketError::Refused { path: path.to_owned(), source };
        clear(path)?;
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            DirBuilder::new().recursive(true).mode(0o755).create(parent).map_err(refused)?;
        }
        let listener = listen(path).map_err(refused)?;
        let metadata = fs::symlink_metadata(path).map_err(refused)?;
        let identity = (metadata.dev(), metadata.ino());
        Ok(Self { listener, path: path.to_owned(), identity })
    }

    /// The listener, for [`serve`](super::serve).
    #[must_use]
    pub fn listener(&self) -> &UnixListener {
        &self.listener
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == self.identity);
        if ours {
            // A file that stays behind is replaced by the next start.
            _ = fs::remove_file(&self.path);
        }
    }
}

/// Removes a socket at which nobody answers.
fn clear(path: &Path) -> Result<(), SocketError> {
    let refused = |source| SocketError::Refused { path: path.to_owned(), source };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(refused(error)),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(SocketError::NotASocket(path.to_owned()));
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(SocketError::InUse(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(refused)
        }
        Err(error) => Err(refused(error)),
    }
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    let socket = UnixSocket::new_stream()?;
    // bind(2) gives the file the mode that the socket itself has: there is no moment at which
    // others could connect, and no umask, which is the whole process's, has to be changed.
    let itself = File::from(socket.as_fd().try_clone_to_owned()?);
    itself.set_permissions(Permissions::from_mode(0o600))?;
    socket.bind(path)?;
    socket.listen(BACKLOG)
}
