//! The whole pipeline, without threads, devices and a clock.

mod allocations;
mod answer;
mod conservation;
mod errors;
mod flows;
mod gateway;
mod host;
mod hosts;
mod kernel;
mod limits;
mod link;
mod reasons;
mod rng;
mod world;
