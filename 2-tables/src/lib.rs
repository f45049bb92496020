//! Lookup tables: longest prefix match, ECMP buckets, neighbours, and how a table is published.

#![forbid(unsafe_code)]
