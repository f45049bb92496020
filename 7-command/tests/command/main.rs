//! The command as its users meet it: the built binary, its exit codes and every word it says.

mod canned;
mod change;
mod documentation;
mod offline;
mod show;
mod support;
