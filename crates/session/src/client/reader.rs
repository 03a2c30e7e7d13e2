//! Puts packets together that arrive in pieces. Knows frames, not packets.

use alloc::vec::Vec;
use core::mem;

use martlet_proto::{DecodeError, Frame, Framing, frame};

/// A buffer up to this size is kept for the next incomplete packet.
const CAPACITY_KEPT: usize = 4096;

/// The beginning of a packet whose rest has not arrived. Grows with what really arrives, never
/// with what a header announces, and never beyond the largest packet allowed.
#[derive(Debug)]
pub(super) struct Reader {
    partial: Vec<u8>,
    packet_size_max: usize,
}

impl Reader {
    pub(super) const fn new(packet_size_max: usize) -> Self {
        Self { partial: Vec::new(), packet_size_max }
    }

    /// Takes the pieces kept so far and as much of `bytes` as completes one packet. `None` when
    /// nothing is kept, or the packet is still incomplete (then all of `bytes` is taken).
    pub(super) fn complete(&mut self, bytes: &mut &[u8]) -> Result<Option<Vec<u8>>, DecodeError> {
        if self.partial.is_empty() {
            return Ok(None);
        }
        loop {
            let wanted = match frame(&self.partial, self.packet_size_max)? {
                Framing::Complete(_) => return Ok(Some(mem::take(&mut self.partial))),
                Framing::Incomplete { total: Some(total) } => total - self.partial.len(),
                Framing::Incomplete { total: None } => 1,
            };
            let Some((piece, rest)) = bytes.split_at_checked(wanted) else {
                self.partial.extend_from_slice(bytes);
                *bytes = &[];
                return Ok(None);
            };
            self.partial.extend_from_slice(piece);
            *bytes = rest;
        }
    }

    /// The next packet at the front of `bytes`; keeps the rest when it is incomplete.
    pub(super) fn next<'a>(
        &mut self,
        bytes: &mut &'a [u8],
    ) -> Result<Option<Frame<'a>>, DecodeError> {
        match frame(bytes, self.packet_size_max)? {
            Framing::Complete(frame) => {
                *bytes = &bytes[frame.len..];
                Ok(Some(frame))
            }
            Framing::Incomplete { .. } => {
                self.partial.extend_from_slice(bytes);
                *bytes = &[];
                Ok(None)
            }
        }
    }

    /// Gives the buffer of [`Reader::complete`] back for reuse.
    pub(super) fn reuse(&mut self, mut buffer: Vec<u8>) {
        if buffer.capacity() <= CAPACITY_KEPT {
            buffer.clear();
            self.partial = buffer;
        }
    }
}
