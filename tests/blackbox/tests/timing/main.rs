//! How fast, how soon, how cheap. These tests run what is built for speed, one at a time.

mod idle;
mod routes;
