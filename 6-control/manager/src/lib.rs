//! The vpc-manager: the kernel's tables in `vpc` mirrored into the dataplane's.
//!
//! ```text
//!  netlink ─► listen ─► mirror ─► cycle ─► FIBs, snapshots
//!     ▲                  │  ▲
//!     └── manager ◄──────┘  └── ports, configure, resolve: what the kernel is asked for
//! ```
//!
//! | module | what |
//! |---|---|
//! | `event`, `request` | what the kernel says, and what it is asked for, in our own words |
//! | `netlink` | the same as bytes, and the sockets |
//! | `mirrored`, `resync` | tables kept by announcements, and read again when some were lost |
//! | `rib` | routes: what is said, by whom, which of them counts |
//! | `next_hops` | ids, and what stands at them |
//! | `mirror` | all of the kernel's tables together, and what they come to |
//! | `cycle`, `fib` | in which order what is written, so that no worker sees half of it |
//! | `ports` | device and tap of an interface follow each other |
//! | `foreign` | devices that no kernel knows, as if one did |
//! | `configure`, `change` | addresses and static routes of the configuration file, and of the next one |
//! | `resolve` | neighbours that workers wait for or use |
//! | `show`, `handle` | questions from other threads |
//! | `manager` | the thread around all this, the only part with sockets, timers and a clock |
//!
//! All but `manager`, `listen` and the sockets is without I/O: events and the time go in, changes
//! and requests come out.

#![forbid(unsafe_code)]

mod change;
mod configure;
mod cycle;
mod event;
mod fib;
mod foreign;
mod handle;
mod listen;
mod manager;
mod mirror;
mod mirrored;
mod netlink;
mod next_hops;
mod ports;
mod request;
mod resolve;
mod resync;
mod rib;
mod setup;
mod show;

pub use change::{ApplyError, Change};
pub use event::Protocol;
pub use foreign::{DeviceChange, DeviceReport, DeviceReports, ForeignDevices};
pub use handle::{Gone, Handle, RouteStream, Status};
pub use listen::ListenCounters;
pub use manager::{Manager, ManagerError};
pub use request::{Router, StaticAction, StaticRoute};
pub use setup::{
    Dataplane, DeviceSetup, InterfaceSetup, LinkSockets, Resolve, ResolveQueue, Setup,
};
