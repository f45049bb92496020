//! What one thread may do, and taking the rest from it for good.
//!
//! Linux keeps capabilities, securebits, `no_new_privs` and seccomp filters per thread
//! (capabilities(7), seccomp(2)); so a process can have threads of different rights as long as no
//! library call hands one thread's change on to all others. Uid 0 stays: with `NO_ROOT` locked it
//! is an owner of files and nothing more.

use std::fmt;

use rustix::io::Errno;
use rustix::thread::{self, CapabilitiesSecureBits, CapabilitySet, CapabilitySets};

/// The capabilities that a thread keeps, effective and permitted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Privileges(CapabilitySet);

impl Privileges {
    /// None at all.
    pub const NONE: Self = Self(CapabilitySet::empty());
    /// Open packet sockets.
    pub const NET_RAW: Self = Self(CapabilitySet::NET_RAW);
    /// Configure the network of the namespace the thread is in.
    pub const NET_ADMIN: Self = Self(CapabilitySet::NET_ADMIN);
    /// Lock memory, for devices that reach into it.
    pub const IPC_LOCK: Self = Self(CapabilitySet::IPC_LOCK);
    /// Make, enter and leave namespaces, and move devices between them.
    pub const SYS_ADMIN: Self = Self(CapabilitySet::SYS_ADMIN);

    /// These and those of `other`.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0.union(other.0))
    }

    /// Whether all of `other` are among these.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0.contains(other.0)
    }

    /// As the kernel counts them in `/proc`: bit n is capability n.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0.bits()
    }

    /// From the bits that `/proc` shows.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(CapabilitySet::from_bits_retain(bits))
    }

    /// What the calling thread may do now (its effective set).
    ///
    /// # Errors
    /// What `capget` answers.
    pub fn of_this_thread() -> rustix::io::Result<Self> {
        Ok(Self(thread::capabilities(None)?.effective))
    }
}

impl fmt::Display for Privileges {
    /// `none`, or the names with their commas: `CAP_NET_ADMIN,CAP_NET_RAW`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        let mut separator = "";
        for (name, _) in self.0.iter_names() {
            write!(f, "{separator}CAP_{name}")?;
            separator = ",";
        }
        let unnamed = self.0.difference(CapabilitySet::all_named());
        if unnamed.is_empty() { Ok(()) } else { write!(f, "{separator}{:#x}", unnamed.bits()) }
    }
}

/// Lists the capabilities that have a name, which `CapabilitySet::all` does not.
trait Named {
    fn all_named() -> Self;
}

impl Named for CapabilitySet {
    fn all_named() -> Self {
        Self::all().iter_names().map(|(_, capability)| capability).collect()
    }
}

/// A step of [`cut_to`] that failed, or did not do what it should.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CutError {
    /// What is to be kept is not there.
    #[error("{missing} cannot be kept: this process was started without it")]
    NotHeld {
        /// What is wanted and missing.
        missing: Privileges,
    },
    /// The kernel refused a step.
    #[error("cannot {step}: {}", reason(*.errno))]
    Refused {
        /// What was tried.
        step: &'static str,
        /// What the kernel said.
        errno: Errno,
    },
    /// All steps went well and yet something is left.
    #[error("{what} is {found} after the cut, not {expected}")]
    Left {
        /// Which set or flag.
        what: &'static str,
        /// What was read back.
        found: String,
        /// What it should be.
        expected: String,
    },
}

fn reason(errno: Errno) -> String {
    if errno == Errno::PERM {
        "not permitted (dropping rights for good needs CAP_SETPCAP)".to_owned()
    } else {
        errno.to_string()
    }
}

/// Flags and locks that keep uid 0 from ever meaning more than its owner's files, and capabilities
/// from coming back through `execve` or a change of uid.
const LOCKED: CapabilitiesSecureBits = CapabilitiesSecureBits::NO_ROOT
    .union(CapabilitiesSecureBits::NO_ROOT_LOCKED)
    .union(CapabilitiesSecureBits::NO_SETUID_FIXUP)
    .union(CapabilitiesSecureBits::NO_SETUID_FIXUP_LOCKED)
    .union(CapabilitiesSecureBits::KEEP_CAPS_LOCKED)
    .union(CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE)
    .union(CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE_LOCKED);

/// Leaves the calling thread `keep` in its effective and permitted sets, and nothing in the
/// inheritable, ambient and bounding ones; sets `no_new_privs`; locks all of it. Reads everything
/// back before it says that it is done.
///
/// # Errors
/// A step that the kernel refuses. The thread may then be in a state between: end it.
pub fn cut_to(keep: Privileges) -> Result<(), CutError> {
    let refused = |step| move |errno| CutError::Refused { step, errno };
    let held = thread::capabilities(None).map_err(refused("read the capabilities"))?;
    let missing = keep.0.difference(held.permitted);
    if !missing.is_empty() {
        return Err(CutError::NotHeld { missing: Privileges(missing) });
    }
    thread::clear_ambient_capability_set().map_err(refused("clear the ambient set"))?;
    // Securebits and bounding set first: both need CAP_SETPCAP, which the last step takes away.
    thread::set_capabilities_secure_bits(LOCKED).map_err(refused("lock the securebits"))?;
    for capability in bounding_set() {
        thread::remove_capability_from_bounding_set(capability)
            .map_err(refused("empty the bounding set"))?;
    }
    thread::set_no_new_privs(true).map_err(refused("set no_new_privs"))?;
    let sets = CapabilitySets {
        effective: keep.0,
        permitted: keep.0,
        inheritable: CapabilitySet::empty(),
    };
    thread::set_capabilities(None, sets).map_err(refused("drop capabilities"))?;
    read_back(keep)
}

fn read_back(keep: Privileges) -> Result<(), CutError> {
    let refused = |errno| CutError::Refused { step: "read the capabilities back", errno };
    let sets = thread::capabilities(None).map_err(refused)?;
    let bounding = bounding_set().collect();
    let ambient = CapabilitySet::all_named()
        .iter()
        .filter(|&capability| thread::capability_is_in_ambient_set(capability) == Ok(true))
        .collect();
    for (what, found, expected) in [
        ("the effective set", sets.effective, keep),
        ("the permitted set", sets.permitted, keep),
        ("the inheritable set", sets.inheritable, Privileges::NONE),
        ("the ambient set", ambient, Privileges::NONE),
        ("the bounding set", bounding, Privileges::NONE),
    ] {
        if found != expected.0 {
            let (found, expected) = (Privileges(found).to_string(), expected.to_string());
            return Err(CutError::Left { what, found, expected });
        }
    }
    let bits = thread::capabilities_secure_bits().map_err(refused)?;
    if bits != LOCKED {
        let (found, expected) = (format!("{bits:?}"), format!("{LOCKED:?}"));
        return Err(CutError::Left { what: "the set of securebits", found, expected });
    }
    if !thread::no_new_privs().map_err(refused)? {
        let (found, expected) = ("off".to_owned(), "on".to_owned());
        return Err(CutError::Left { what: "no_new_privs", found, expected });
    }
    Ok(())
}

/// What is in the bounding set of the calling thread. The kernel answers `EINVAL` for a number
/// beyond its last capability, and may have more of them than this code has names for.
fn bounding_set() -> impl Iterator<Item = CapabilitySet> {
    (0..u64::BITS)
        .map(|number| CapabilitySet::from_bits_retain(1 << number))
        .filter(|&capability| thread::capability_is_in_bounding_set(capability) == Ok(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn privileges_are_printed_by_name() {
        assert_eq!(Privileges::NONE.to_string(), "none");
        let both = Privileges::NET_RAW.with(Privileges::NET_ADMIN);
        assert_eq!(both.to_string(), "CAP_NET_ADMIN,CAP_NET_RAW");
        assert_eq!(Privileges::from_bits(1 << 60).to_string(), "0x1000000000000000");
    }
}
