//! The I/O thread: one packet socket per port, batches in and out. A thread that is pipeline as well has sockets only
//! that its devices had before.

use super::{Allow, allow, allow_if};

/// Frames by what is open.
pub(super) const FRAMES: &[Allow] = &[
    // Frames in and out, many to a call; sendto flushes a transmit ring.
    allow(libc::SYS_recvmmsg),
    allow(libc::SYS_recvmsg),
    allow(libc::SYS_recvfrom),
    allow(libc::SYS_sendmmsg),
    allow(libc::SYS_sendmsg),
    allow(libc::SYS_sendto),
    // DPDK's net_tap.
    allow(libc::SYS_readv),
];

/// Sockets that are opened anew.
pub(super) const SOCKETS: &[Allow] = &[
    // A device that went away and came back gets a new socket: packet sockets and no others.
    allow_if(libc::SYS_socket, 0, &[libc::AF_PACKET as u32]),
    allow(libc::SYS_bind),
    // Ring sizes, fan-out, vnet headers, statistics, and the error that ended a socket.
    allow(libc::SYS_setsockopt),
    allow(libc::SYS_getsockopt),
    allow(libc::SYS_getsockname),
    // What the device is now: questions about an interface, and no request that changes one.
    allow_if(
        libc::SYS_ioctl,
        1,
        &[
            libc::SIOCGIFINDEX as u32,
            libc::SIOCGIFNAME as u32,
            libc::SIOCGIFHWADDR as u32,
            libc::SIOCGIFFLAGS as u32,
            libc::SIOCGIFMTU as u32,
        ],
    ),
];
