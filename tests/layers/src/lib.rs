//! Pins the order of the layers.
