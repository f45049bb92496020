//! The loops of the I/O and pipeline threads, and the queues between them.
