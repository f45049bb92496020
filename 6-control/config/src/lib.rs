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
//! there is one list of keys.

#![forbid(unsafe_code)]

mod address;
mod check;
mod cpu_list;
mod decode;
mod diagnostic;
mod document;
mod gateway;
mod interface;
mod links;
mod name;
mod raw;
mod render;
mod route;
mod schema;
mod source;
mod suggest;

pub use address::InterfaceAddress;
pub use check::Expected;
pub use cpu_list::CpuList;
pub use diagnostic::{Diagnostic, Report};
pub use document::{Config, Host, LoadError, MAX_FILE_BYTES};
pub use gateway::{Gateway, MAX_WORKERS, Workers};
pub use interface::{Driver, Interface, MAX_INTERFACES, Mtu};
pub use name::{DeviceName, GatewayName, InterfaceName, NamespaceName, ZoneName};
pub use route::{MAX_NEXT_HOPS, NextHop, NextHops, Route, RouteAction};
pub use schema::schema;
