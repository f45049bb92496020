//! Views of headers, checksums, segmentation and fragmentation.

#![forbid(unsafe_code)]
