//! The trap thread on real taps. These tests need root: each runs the thread in a namespace that ends
//! with it.

mod crossing;
mod fairness;
mod lifetime;
mod offload;
mod support;
