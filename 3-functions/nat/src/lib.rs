//! Network address translation: what the configuration says of it ([`NatPolicy`]), what one worker remembers of
//! masquerading ([`Masquerading`]), and which worker a packet belongs to ([`Steering`]).
//!
//! Nothing here touches a packet: addresses and ports come in, addresses and ports go out. IPv4 addresses are
//! `u32`, IPv6 addresses `u128`, in host order.
//!
//! | RFC | what |
//! |---|---|
//! | 4787, 5382, 5508, 7857 | behaviour of NATs for UDP, TCP and ICMP |
//! | 6056 | ports that nobody can guess |
//! | 6296 | NPTv6, prefix translation without state |
//! | 6888 | NATs with many subscribers: limits, blocks of ports, rest for freed ports |

#![forbid(unsafe_code)]

mod masquerading;
mod npt;
mod policy;
mod ports;
mod random;
mod ranges;
mod spec;
mod steering;

pub use masquerading::{
    BlockEvent, Lookup, MapError, Mapped, MappingId, MappingView, Masquerading, MasqueradingConfig,
    PoolStatistics,
};
pub use npt::Npt;
pub use policy::{Destination4, DestinationKind, Masquerade, MasqueradeId, NatPolicy, Source4};
pub use spec::{Filtering, ForwardSpec, MasqueradeSpec, NatSpec, Static4Spec, Static6Spec};
pub use steering::Steering;
