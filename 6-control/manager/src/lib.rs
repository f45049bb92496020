//! The vpc-manager: the kernel's tables mirrored into the dataplane's.
