//! The trap thread: frames between the pipelines and the taps.
