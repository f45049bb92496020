//! Tests that need root: they make namespaces and devices, and give up rights. Each uses names of
//! its own and takes away what it made, also when it fails.

mod links;
mod netns;
mod proc;
mod process;
mod quiet;
mod roles;
mod support;
mod tap;
mod threads;
