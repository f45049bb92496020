//! Everything of the configuration file that packets are judged by, as workers need it.

#![forbid(unsafe_code)]

/// Everything of the file that packets are judged by. It never changes: a changed file makes another
/// one, of another number.
#[derive(Debug, Default)]
pub struct Policy {
    /// Tells it from those before and after it. What was decided by a policy of another number is to be
    /// decided again.
    pub number: u32,
}
