//! Connection tracking: what a packet means for its flow.

#![forbid(unsafe_code)]
