//! The wire layer from outside: against plain reference computations, properties, and etherparse as
//! somebody else's parser.

mod checksum;
mod common;
mod icmp_error;
mod views;
