//! How strictly the source of a packet is compared with where it came in (RFC 3704, BCP 84).

/// What a source address must have for its packet to be taken: ingress filtering by reverse path.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AntiSpoofing {
    /// The route back to the source leaves by the interface that the packet came in by, or one of several
    /// of equal cost does (RFC 3704, 2.2; with several, 2.3). For networks that are reached one way only.
    Strict,
    /// There is a route back to the source, by whatever interface; a default route counts as one
    /// (RFC 3704, 2.4). For networks whose traffic takes one way in and another out.
    Loose,
    /// Nothing.
    Off,
}
