//! The configuration file, `portcullis.toml`.
//!
//! Text becomes a [`Config`] in three steps, each in a file of its own, and a `Config` can only be
//! made this way: what holds for the file as a whole holds for every `Config` there is.
//!
//! 1. [`decode`]: the TOML document becomes the [`raw`] types, whose fields are the file's keys.
//! 2. [`check`]: one value at a time becomes a type that cannot be wrong: a [`Mtu`], a [`CpuList`].
//! 3. [`check`] again: what must hold between values: names are unique, subnets apart, next hops reachable.
//!
//! No step stops at the first error. All write [`Diagnostic`]s into one [`Report`], which shows each
//! with its place in the file, what was found there and what was expected instead.
//!
//! The way back, [`Config::to_toml`], goes through the same raw types, and so does the [`schema`]:
//! there is one list of keys. [`Config::changes`] says in words, by the same keys, what another file
//! would change.

#![forbid(unsafe_code)]

mod address;
mod check;
mod cpu_list;
mod decode;
mod device;
mod diagnostic;
mod diff;
mod document;
mod dpdk;
mod firewall;
mod gateway;
mod icmp;
mod interface;
mod limits;
mod links;
mod name;
mod nat;
mod overlap;
mod range;
mod raw;
mod render;
mod route;
mod schema;
mod service;
mod sets;
mod source;
mod suggest;
mod word;

pub use address::InterfaceAddress;
pub use check::Expected;
pub use cpu_list::CpuList;
pub use device::{Device, DeviceArguments};
pub use diagnostic::{Diagnostic, Report};
pub use diff::{Change, ChangeKind};
pub use document::{Config, Host, LoadError, MAX_FILE_BYTES};
pub use dpdk::{Dpdk, MAX_DPDK_MEMORY};
pub use firewall::{Action, Firewall, Rule, Zone};
pub use gateway::{Gateway, MAX_WORKERS, ThreadsPerWorker, Workers};
pub use icmp::IcmpVersion;
pub use interface::{AntiSpoofing, Driver, Interface, MAX_INTERFACES, Mtu};
pub use limits::{Limits, MAX_FLOWS, MAX_TIMEOUT, Timeouts};
pub use name::{
    DeviceName, GatewayName, InterfaceName, NamespaceName, RuleName, SetName, ZoneName,
};
pub use nat::{
    Endpoint, Filtering, Forward, ForwardProtocol, MAX_POOL_ADDRESSES, Masquerade, Nat,
    PortBlockSize, Static,
};
pub use range::AddressRange;
pub use route::{MAX_NEXT_HOPS, NextHop, NextHops, Route, RouteAction};
pub use schema::schema;
pub use service::{Protocol, Service, Transport};
pub use sets::{Addresses, Listed, MAX_EXPANDED, NamedSet, Services};
