//! The wire layer from outside: against plain reference computations, properties, and etherparse as
//! somebody else's parser.

mod answers;
mod anywhere;
mod checksum;
mod common;
mod corpus;
mod dissect;
mod exercise;
mod flow_hash;
mod fragment;
mod icmp_error;
mod offload;
mod rewrite;
mod translate;
mod views;
