//! Memory of large frames, used again when nobody holds them any more: a payload of 64 KiB would else
//! be mapped and unmapped for each message. Must not know what is in a frame.

use std::collections::VecDeque;
use std::sync::Arc;

/// Memory kept for the next large frames. What a busy turn of large messages needs.
const KEPT_BYTES_MAX: usize = 8 << 20;

/// Frames larger than this are not kept: rare, and each would displace many.
const FRAME_BYTES_MAX: usize = 1 << 20;

/// Memory set aside at once for a packet whose bytes are still to come: no peer makes the broker hold
/// much more than it has sent.
const RESERVE_BYTES_MAX: usize = 256 * 1024;

/// Frames handed out before, oldest first. The pool holds one reference of each; when it is the last
/// one, the memory is free.
#[derive(Debug, Default)]
pub(crate) struct FramePool {
    frames: VecDeque<Arc<Vec<u8>>>,
    bytes: usize,
}

impl FramePool {
    /// An empty buffer, with room for a frame of `len` bytes unless that is very large.
    pub(crate) fn take(&mut self, len: usize) -> Vec<u8> {
        // The oldest one is free, or held for long: then it is not worth keeping.
        while let Some(oldest) = self.frames.pop_front() {
            self.bytes -= oldest.capacity();
            if let Some(mut buffer) = Arc::into_inner(oldest) {
                buffer.clear();
                buffer.reserve_exact(len.min(RESERVE_BYTES_MAX));
                return buffer;
            }
        }
        Vec::with_capacity(len.min(RESERVE_BYTES_MAX))
    }

    /// Shares a filled buffer, which comes back when its last user is done.
    pub(crate) fn share(&mut self, frame: Vec<u8>) -> Arc<Vec<u8>> {
        let bytes = frame.capacity();
        let frame = Arc::new(frame);
        if bytes <= FRAME_BYTES_MAX && self.bytes + bytes <= KEPT_BYTES_MAX {
            self.bytes += bytes;
            self.frames.push_back(Arc::clone(&frame));
        }
        frame
    }

    /// Gives the memory back that nobody has needed of late.
    pub(crate) fn trim(&mut self) {
        self.frames.clear();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again_only_when_nobody_holds_it() {
        let mut pool = FramePool::default();
        let mut buffer = pool.take(5000);
        buffer.extend_from_slice(&[7; 5000]);
        let address = buffer.as_ptr();
        let held = pool.share(buffer);
        drop(held);
        let again = pool.take(5000);
        assert_eq!(again.as_ptr(), address);
        let held = pool.share(again);
        let other = pool.take(5000);
        assert_ne!(other.as_ptr(), held.as_ptr());
    }
}
