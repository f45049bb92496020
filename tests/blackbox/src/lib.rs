//! Black-box tests in network namespaces.
