//! Start, stop, murder, and what the processes are allowed to do meanwhile.

mod devices;
mod interrupted;
mod privileges;
mod refusals;
