//! The names: files in `/run/netns`.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    MountPropagationFlags, UnmountFlags, mount_bind, mount_bind_recursive, mount_change, unmount,
};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use super::handle::on_helper;
use super::{NetnsError, NetnsErrorKind, NetnsHandle};

/// Where `ip netns` keeps its names.
const DIRECTORY: &str = "/run/netns";

/// `NSFS_MAGIC` of `linux/magic.h`: the file system of namespaces.
const NSFS_MAGIC: rustix::fs::FsWord = 0x6e73_6673;

/// `NS_GET_NSTYPE` of ioctl_ns(2): which kind of namespace a descriptor is, as its `CLONE_` flag.
const NS_GET_NSTYPE: libc::c_ulong = 0xb703;

/// Makes a namespace and gives it a name. Its loopback is down, it has no other device.
///
/// # Errors
/// If the name is taken or no file name, or rights are missing.
pub fn create(name: &str) -> Result<NetnsHandle, NetnsError> {
    let failed = |kind| NetnsError { action: "create", name: name.to_owned(), kind };
    let path = path_of(name).map_err(failed)?;
    prepare_directory().map_err(failed)?;
    // Owned by nobody else, and the mark that the name is ours to mount on: O_EXCL decides between
    // two who try at once.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::CREATE | OFlags::EXCL;
    rustix::fs::open(&path, flags, Mode::empty()).map_err(|errno| {
        failed(match errno {
            Errno::EXIST if is_namespace(&path) => NetnsErrorKind::Exists,
            Errno::EXIST => NetnsErrorKind::NotANamespace { path: path.display().to_string() },
            errno => NetnsErrorKind::of("make the file", errno),
        })
    })?;
    let mounted = on_helper(|| {
        // SAFETY: the file table is not unshared (no CLONE_FILES), so every thread keeps seeing
        // the same descriptors.
        unsafe { unshare_unsafe(UnshareFlags::NEWNET) }
            .map_err(|errno| NetnsErrorKind::of("unshare", errno))?;
        mount_bind("/proc/thread-self/ns/net", &path)
            .map_err(|errno| NetnsErrorKind::of("mount", errno))
    })
    .and_then(|result| result);
    if let Err(kind) = mounted {
        let _removed = rustix::fs::unlink(&path);
        return Err(failed(kind));
    }
    open(name)
}

/// Opens the namespace of this name.
///
/// # Errors
/// If there is none, or the file of this name is no network namespace.
pub fn open(name: &str) -> Result<NetnsHandle, NetnsError> {
    let failed = |kind| NetnsError { action: "open", name: name.to_owned(), kind };
    let path = path_of(name).map_err(failed)?;
    let fd = open_file(&path).map_err(|errno| {
        failed(match errno {
            Errno::NOENT => NetnsErrorKind::Missing,
            errno => NetnsErrorKind::of("open the file", errno),
        })
    })?;
    if !is_network_namespace(&fd) {
        return Err(failed(NetnsErrorKind::NotANamespace { path: path.display().to_string() }));
    }
    NetnsHandle::new(fd, name).map_err(|errno| failed(NetnsErrorKind::of("stat", errno)))
}

/// Whether there is a namespace of this name.
#[must_use]
pub fn exists(name: &str) -> bool {
    path_of(name).is_ok_and(|path| is_namespace(&path))
}

/// Takes the name away. The namespace itself goes when the last thread, socket and handle in it do;
/// virtual devices in it end with it, and physical ones return to the host's namespace.
///
/// # Errors
/// If there is none of this name, the file is no namespace, or rights are missing.
pub fn delete(name: &str) -> Result<(), NetnsError> {
    let failed = |kind| NetnsError { action: "delete", name: name.to_owned(), kind };
    // Checked first: nothing that is no namespace is unmounted or removed.
    open(name).map_err(|error| failed(error.kind))?;
    let path = path_of(name).map_err(failed)?;
    unmount(&path, UnmountFlags::DETACH)
        .map_err(|errno| failed(NetnsErrorKind::of("unmount", errno)))?;
    rustix::fs::unlink(&path).map_err(|errno| failed(NetnsErrorKind::of("remove the file", errno)))
}

/// The names of all namespaces, in order.
///
/// # Errors
/// If the directory exists and cannot be read.
pub fn list() -> Result<Vec<String>, NetnsError> {
    let entries = match std::fs::read_dir(DIRECTORY) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            let errno = Errno::from_io_error(&error).unwrap_or(Errno::IO);
            let kind = NetnsErrorKind::of("read /run/netns", errno);
            return Err(NetnsError { action: "list", name: "of any name".to_owned(), kind });
        }
    };
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| exists(name))
        .collect();
    names.sort_unstable();
    Ok(names)
}

fn path_of(name: &str) -> Result<PathBuf, NetnsErrorKind> {
    let is_file_name =
        !matches!(name, "" | "." | "..") && name.len() <= 255 && !name.contains(['/', '\0']);
    if is_file_name { Ok(Path::new(DIRECTORY).join(name)) } else { Err(NetnsErrorKind::BadName) }
}

/// Makes the directory if need be, and a shared mount of it as `ip netns` does: then what is
/// unmounted in one mount namespace goes away in the others, instead of keeping devices alive
/// there.
fn prepare_directory() -> Result<(), NetnsErrorKind> {
    let mode = Mode::RWXU | Mode::RGRP | Mode::XGRP | Mode::ROTH | Mode::XOTH;
    match rustix::fs::mkdir(DIRECTORY, mode) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(NetnsErrorKind::of("make /run/netns", errno)),
    }
    // `ip netns` takes the same lock: two that bind the directory at once would hide mounts.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(DIRECTORY, flags, Mode::empty())
        .map_err(|errno| NetnsErrorKind::of("open /run/netns", errno))?;
    rustix::fs::flock(&directory, FlockOperation::LockExclusive)
        .map_err(|errno| NetnsErrorKind::of("lock /run/netns", errno))?;
    let share =
        || mount_change(DIRECTORY, MountPropagationFlags::SHARED | MountPropagationFlags::REC);
    match share() {
        // Not a mount point yet.
        Err(Errno::INVAL) => mount_bind_recursive(DIRECTORY, DIRECTORY)
            .and_then(|()| share())
            .map_err(|errno| NetnsErrorKind::of("share /run/netns", errno)),
        other => other.map_err(|errno| NetnsErrorKind::of("share /run/netns", errno)),
    }
}

fn is_namespace(path: &Path) -> bool {
    open_file(path).is_ok_and(|fd| is_network_namespace(&fd))
}

fn open_file(path: &Path) -> rustix::io::Result<OwnedFd> {
    // Non-blocking: the name may be taken by a FIFO.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    rustix::fs::open(path, flags, Mode::empty())
}

fn is_network_namespace(fd: &OwnedFd) -> bool {
    // The request is asked of namespaces only: it may mean something else to another file.
    if !rustix::fs::fstatfs(fd).is_ok_and(|fs| fs.f_type == NSFS_MAGIC) {
        return false;
    }
    use std::os::fd::AsRawFd;
    // SAFETY: NS_GET_NSTYPE takes no argument and writes no memory; the descriptor is open.
    let kind = unsafe { libc::ioctl(fd.as_raw_fd(), NS_GET_NSTYPE) };
    kind == libc::CLONE_NEWNET
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_file_names_are_names() {
        for name in ["", ".", "..", "a/b", "../x", "a\0b", &"x".repeat(256)] {
            assert_eq!(open(name).unwrap_err().kind, NetnsErrorKind::BadName, "{name:?}");
        }
        assert_eq!(open("pc-no-such-netns").unwrap_err().kind, NetnsErrorKind::Missing);
    }
}
