//! Threads, CPUs, privileges, namespaces, links and taps of Linux.
