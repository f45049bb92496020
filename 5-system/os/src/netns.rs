//! Network namespaces with names, in the manner of `ip netns` (ip-netns(8)): the name is a file in
//! `/run/netns` onto which the namespace is bind-mounted. Namespaces made here are seen by `ip`,
//! and the other way round.
//!
//! The calling thread never leaves its own namespace: what must be done inside another one is done
//! by a helper thread ([`run_in`]) that ends with it.

mod error;
mod handle;
mod store;

pub use error::{NetnsError, NetnsErrorKind};
pub use handle::{NetnsHandle, run_in};
pub use store::{create, delete, exists, list, open};
