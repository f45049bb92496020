//! Single cases that are worth a name.
