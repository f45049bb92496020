//! Lock files: one gateway per name.
//!
//! The lock is `flock(2)`'s and ends with its process, however that ends; the file stays, with the
//! number of the process that has it, or had it last.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// A lock that is held, until this is dropped.
#[derive(Debug)]
pub struct LockFile {
    path: PathBuf,
    _file: File,
}

/// A lock that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody has it.
    #[error("{what} is taken by {holder} (it holds {path})")]
    Held {
        /// What the lock stands for.
        what: String,
        /// The file.
        path: PathBuf,
        /// Who has it.
        holder: Holder,
    },
    /// The file cannot be opened, locked or written.
    #[error("cannot {step} {path}: {source}")]
    File {
        /// What was tried.
        step: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it did not work.
        source: io::Error,
    },
}

/// Who has a lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Holder {
    /// This process.
    Process(u32),
    /// One that has not said who it is, yet.
    Unknown,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process(pid) => write!(f, "process {pid}"),
            Self::Unknown => f.write_str("another process"),
        }
    }
}

impl LockFile {
    /// Takes the lock, and writes this process's number into its file. Does not wait. `what` is
    /// what the lock stands for, in words: `gateway gw1`.
    ///
    /// # Errors
    /// [`LockError::Held`] says by whom.
    pub fn take(path: &Path, what: &str) -> Result<Self, LockError> {
        let failed = |step| {
            let path = path.to_owned();
            move |source| LockError::File { step, path, source }
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(path)
            .map_err(failed("open"))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let holder = holder(&mut file);
                return Err(LockError::Held {
                    what: what.to_owned(),
                    path: path.to_owned(),
                    holder,
                });
            }
            Err(errno) => return Err(failed("lock")(errno.into())),
        }
        write_pid(&mut file).map_err(failed("write"))?;
        Ok(Self { path: path.to_owned(), _file: file })
    }

    /// Its file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

fn holder(file: &mut File) -> Holder {
    let mut text = String::new();
    // Process numbers have ten digits at most; the file may be anything.
    match file.take(16).read_to_string(&mut text) {
        Ok(_) => text.trim().parse().map_or(Holder::Unknown, Holder::Process),
        Err(_) => Holder::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct TestFile(PathBuf);

    impl TestFile {
        fn new(purpose: &str) -> Self {
            let name = format!("pcos-lock-{purpose}-{}", std::process::id());
            Self(std::env::temp_dir().join(name))
        }
    }

    impl Drop for TestFile {
        fn drop(&mut self) {
            let _removed = std::fs::remove_file(&self.0);
        }
    }

    #[test]
    fn a_second_gateway_is_told_who_has_the_lock_until_it_is_free() {
        let file = TestFile::new("second");
        let lock = LockFile::take(&file.0, "gateway gw1").unwrap();
        assert_eq!(lock.path(), file.0);
        let error = LockFile::take(&file.0, "gateway gw1").unwrap_err();
        let own = std::process::id();
        let path = file.0.display();
        let said = format!("gateway gw1 is taken by process {own} (it holds {path})");
        assert_eq!(error.to_string(), said);
        drop(lock);
        drop(LockFile::take(&file.0, "gateway gw1").unwrap());
    }

    #[test]
    fn what_a_longer_number_left_behind_does_not_show() {
        let file = TestFile::new("longer");
        std::fs::write(&file.0, "123456789012345\nand more").unwrap();
        let _lock = LockFile::take(&file.0, "gateway gw1").unwrap();
        let text = std::fs::read_to_string(&file.0).unwrap();
        assert_eq!(text, format!("{}\n", std::process::id()));
    }

    #[test]
    fn a_holder_that_has_not_written_its_number_is_another_process() {
        let file = TestFile::new("unknown");
        let lock = LockFile::take(&file.0, "gateway gw1").unwrap();
        for text in ["", "not a number", "-1"] {
            std::fs::write(&file.0, text).unwrap();
            let error = LockFile::take(&file.0, "gateway gw1").unwrap_err();
            assert!(matches!(error, LockError::Held { holder: Holder::Unknown, .. }), "{text}");
        }
        drop(lock);
    }

    #[test]
    fn a_directory_that_is_missing_is_an_error_with_the_path() {
        let error = LockFile::take(Path::new("/nowhere/portcullis.lock"), "x").unwrap_err();
        assert!(error.to_string().starts_with("cannot open /nowhere/portcullis.lock: "), "{error}");
    }
}
