//! The kinds of threads that a gateway has.

use std::fmt;

use crate::privileges::Privileges;

/// What a thread is there for. It decides which system calls the thread may make
/// ([`crate::seccomp`]) and, unless a driver needs more, what it keeps.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Role {
    /// Frames between devices and batches.
    Io,
    /// Network functions on batches.
    Pipeline,
    /// Both of these, on devices that need no rights once they are open.
    Worker,
    /// Frames between the pipelines and the taps.
    Trap,
    /// vpc-manager: rtnetlink in, snapshots out.
    Manager,
    /// Main, control socket, metrics.
    Control,
    /// The parent process, which gives devices and namespaces back.
    Supervisor,
    /// DPDK's own affairs: its start, its devices, their state.
    Dpdk,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Io,
        Self::Pipeline,
        Self::Worker,
        Self::Trap,
        Self::Manager,
        Self::Control,
        Self::Supervisor,
        Self::Dpdk,
    ];

    /// What a thread of this role keeps: packet sockets that must be opened again after their
    /// device came back for I/O, configuring `vpc` for the manager, moving devices between
    /// namespaces for the supervisor, sockets and settings of devices for DPDK's drivers, and nothing for the others.
    #[must_use]
    pub const fn privileges(self) -> Privileges {
        match self {
            Self::Io => Privileges::NET_RAW,
            Self::Manager => Privileges::NET_ADMIN,
            Self::Supervisor => Privileges::SYS_ADMIN.with(Privileges::NET_ADMIN),
            Self::Dpdk => Privileges::NET_ADMIN.with(Privileges::NET_RAW),
            Self::Pipeline | Self::Worker | Self::Trap | Self::Control => Privileges::NONE,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Io => "io",
            Self::Pipeline => "pipeline",
            Self::Worker => "worker",
            Self::Trap => "trap",
            Self::Manager => "manager",
            Self::Control => "control",
            Self::Supervisor => "supervisor",
            Self::Dpdk => "dpdk",
        })
    }
}
