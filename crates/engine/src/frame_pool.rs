//! Memory of large frames, used again when nobody holds them any more: a payload of 64 KiB would
//! else be mapped and unmapped for each message. Must not know what is in a frame.

use std::collections::VecDeque;
use std::sync::Arc;

/// Memory kept for the next large frames. What a busy turn of large messages needs.
const KEPT_BYTES_MAX: usize = 16 << 20;

/// Frames larger than this are not kept: rare, and each would displace many.
const FRAME_BYTES_MAX: usize = 1 << 20;

/// Memory set aside at once for a packet whose bytes are still to come: no peer makes the broker
/// hold much more than it has sent.
const RESERVE_BYTES_MAX: usize = 256 * 1024;

/// Frames looked at for one that fits; behind them a new one is made.
const LOOKS_MAX: usize = 8;

/// Frames below this are not told apart.
const SMALL_BYTES: usize = 4096;

/// Frames handed out before, oldest first. The pool holds one reference of each; when it is the
/// last one, the memory is free.
#[derive(Debug, Default)]
pub(crate) struct FramePool {
    frames: VecDeque<Arc<Vec<u8>>>,
    bytes: usize,
}

impl FramePool {
    /// An empty buffer, with room for a frame of `len` bytes unless that is very large.
    pub(crate) fn take(&mut self, len: usize) -> Vec<u8> {
        let reserve = len.min(RESERVE_BYTES_MAX);
        for _ in 0..LOOKS_MAX {
            let Some(oldest) = self.frames.pop_front() else { break };
            // On its way through another shard, or held for long: `trim` forgets those.
            if Arc::strong_count(&oldest) > 1 {
                self.frames.push_back(oldest);
                continue;
            }
            self.bytes -= oldest.capacity();
            let Some(mut buffer) = Arc::into_inner(oldest) else { continue };
            // A small message that is kept would keep all of a large buffer.
            if buffer.capacity() > 2 * len.max(SMALL_BYTES) {
                self.share(buffer);
                continue;
            }
            buffer.clear();
            buffer.reserve_exact(reserve);
            return buffer;
        }
        Vec::with_capacity(reserve)
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

    #[test]
    fn a_small_frame_does_not_hold_a_large_buffer() {
        let mut pool = FramePool::default();
        let mut buffer = pool.take(5000);
        buffer.extend_from_slice(&vec![7; 1 << 20]);
        drop(pool.share(buffer));
        assert!(pool.take(5000).capacity() <= 2 * 5000);
        // The large one is still there for the next large frame.
        assert!(pool.take(1 << 20).capacity() >= 1 << 20);
    }

    #[test]
    fn frames_that_are_held_make_room_for_free_ones_and_are_forgotten_by_and_by() {
        let mut pool = FramePool::default();
        let held: Vec<_> = (0..3).map(|_| pool.share(vec![0; 5000])).collect();
        let free = pool.share(vec![0; 5000]);
        let address = free.as_ptr();
        drop(free);
        let again = pool.take(5000);
        assert_eq!(again.as_ptr(), address);
        assert_eq!((pool.frames.len(), pool.bytes), (3, 3 * 5000));
        pool.trim();
        assert_eq!((pool.frames.len(), pool.bytes), (0, 0));
        drop(held);
    }
}
