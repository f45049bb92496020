//! What the trap asks of a tap: frames one at a time, without ever waiting.

use portcullis_packet::Offload;

/// Why a tap did not take a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// Not this one: its queue is full, the interface is down, the kernel found the frame wrong.
    Frame,
    /// None ever again: the tap was taken away.
    Gone,
}

/// What an attempt to read a frame brought.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Received {
    /// A frame of this many bytes.
    Frame {
        /// Bytes of the frame, as many as there was room for.
        len: usize,
        /// What the kernel left undone on it.
        offload: Offload,
    },
    /// Something that is no frame, or has an offload header that means nothing.
    Nonsense,
    /// No frame is waiting.
    Nothing,
    /// None will come any more: the tap was taken away.
    Gone,
}

/// A tap.
pub trait TapPort {
    /// Hands a frame to the kernel as one that came in by this interface.
    ///
    /// # Errors
    /// The kernel did not take it.
    fn send(&mut self, frame: &[u8], offload: Offload) -> Result<(), Refusal>;

    /// Reads the next frame that the kernel sends: its first bytes into `head`, and what does not fit
    /// there into `tail`.
    fn receive(&mut self, head: &mut [u8], tail: &mut [u8]) -> Received;
}
