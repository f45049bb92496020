//! The manager against a real kernel: namespaces, taps and routes of its own. Needs root. Each test
//! uses names of its own and takes away what it made, also when it fails.

mod change;
mod links;
mod load;
mod neighbors;
mod restart;
mod routes;
mod support;
