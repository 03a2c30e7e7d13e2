//! The unsent bytes of one connection: small frames copied into one buffer, large payloads by
//! reference. Must not know sockets or what the bytes mean.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::Arc;

use martlet_proto::Put;

use crate::message::Message;

/// Payloads of at least so many bytes are referenced, smaller ones copied: below it a copy is
/// cheaper than another slice for the kernel.
pub(crate) const REFERENCE_BYTES_MIN: usize = 4096;

/// A buffer that grew beyond this is given back to the allocator, not to the pool.
const POOLED_BYTES_MAX: usize = 64 * 1024;

/// Bytes to send, in order.
#[derive(Debug, Default)]
pub struct Outbox {
    copied: Vec<u8>,
    /// Bytes of `copied` that were sent.
    sent: usize,
    large: VecDeque<Large>,
    /// Bytes of the front payload that were sent.
    large_sent: usize,
    /// Unsent bytes of all payloads in `large`.
    large_len: usize,
}

#[derive(Debug)]
struct Large {
    /// The payload stands before this position of `copied`.
    at: usize,
    message: Arc<Message>,
}

impl Outbox {
    /// Whether nothing is left to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sent == self.copied.len() && self.large.is_empty()
    }

    /// Unsent bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.copied.len() - self.sent + self.large_len
    }

    /// The whole rest as one slice, when it is contiguous: the usual case.
    #[must_use]
    pub fn contiguous(&self) -> Option<&[u8]> {
        self.large.is_empty().then(|| &self.copied[self.sent..])
    }

    /// Fills `slices` with the front of what is to be sent, in order; returns how many it set.
    pub fn slices<'s>(&'s self, slices: &mut [IoSlice<'s>]) -> usize {
        let mut filled = 0;
        let mut push = |bytes: &'s [u8]| {
            if bytes.is_empty() {
                return true;
            }
            let Some(slot) = slices.get_mut(filled) else { return false };
            *slot = IoSlice::new(bytes);
            filled += 1;
            true
        };
        let mut position = self.sent;
        for (i, large) in self.large.iter().enumerate() {
            let skip = if i == 0 { self.large_sent } else { 0 };
            if !push(&self.copied[position..large.at]) || !push(&large.message.payload()[skip..]) {
                return filled;
            }
            position = large.at;
        }
        push(&self.copied[position..]);
        filled
    }

    /// Appends a payload by reference.
    pub(crate) fn put_large(&mut self, message: Arc<Message>) {
        self.large_len += message.payload().len();
        self.large.push_back(Large { at: self.copied.len(), message });
    }

    /// Where frames are written.
    #[inline]
    pub(crate) fn copied(&mut self) -> &mut Vec<u8> {
        &mut self.copied
    }

    /// Takes `bytes` sent bytes off the front.
    pub(crate) fn advance(&mut self, bytes: usize) {
        self.take_off(bytes);
        self.drop_sent();
    }

    fn take_off(&mut self, mut bytes: usize) {
        assert!(bytes <= self.len(), "more was sent than there was");
        while let Some(front) = self.large.front() {
            let before = bytes.min(front.at - self.sent);
            self.sent += before;
            bytes -= before;
            if self.sent < front.at {
                return;
            }
            let payload_left = front.message.payload().len() - self.large_sent;
            let taken = bytes.min(payload_left);
            self.large_len -= taken;
            bytes -= taken;
            if taken < payload_left {
                self.large_sent += taken;
                return;
            }
            self.large_sent = 0;
            self.large.pop_front();
        }
        self.sent += bytes;
        if self.sent == self.copied.len() {
            self.copied.clear();
            self.sent = 0;
        }
    }

    /// Forgets sent bytes once they are the most, whatever else waits: a client that never takes
    /// everything must not make them pile up, and moving the rest costs no more than they did.
    fn drop_sent(&mut self) {
        if self.sent <= POOLED_BYTES_MAX || self.sent < self.copied.len() / 2 {
            return;
        }
        self.copied.drain(..self.sent);
        for large in &mut self.large {
            large.at -= self.sent;
        }
        self.sent = 0;
    }
}

impl Put for Outbox {
    #[inline]
    fn put_u8(&mut self, byte: u8) {
        self.copied.push(byte);
    }

    #[inline]
    fn put_slice(&mut self, bytes: &[u8]) {
        self.copied.extend_from_slice(bytes);
    }
}

/// Empty outboxes waiting for the next connection with something to say: a connection at rest has
/// none.
#[derive(Debug, Default)]
pub(crate) struct OutboxPool {
    // Boxed, as connections hold them: a connection at rest has one empty pointer.
    #[allow(clippy::vec_box)]
    free: Vec<Box<Outbox>>,
}

impl OutboxPool {
    /// Empty buffers kept at most: as many as are in use at once in a busy turn.
    const FREE_MAX: usize = 1024;

    #[inline]
    pub(crate) fn take(&mut self) -> Box<Outbox> {
        self.free.pop().unwrap_or_default()
    }

    #[inline]
    pub(crate) fn give(&mut self, outbox: Box<Outbox>) {
        debug_assert!(outbox.is_empty());
        if self.free.len() < Self::FREE_MAX && outbox.copied.capacity() <= POOLED_BYTES_MAX {
            self.free.push(outbox);
        }
    }
}

#[cfg(test)]
mod tests {
    use martlet_proto::{ForwardProperties, Qos};

    use super::*;
    use crate::frame_pool::FramePool;
    use crate::ids::Publisher;
    use crate::message::{NEVER, PublishView};

    fn large(payload: &[u8]) -> Arc<Message> {
        let mut view = PublishView {
            topic: "t",
            forward: ForwardProperties::default(),
            payload,
            qos: Qos::AtMostOnce,
            retain: false,
            expires_at_ms: NEVER,
            origin: Publisher::BROKER,
            body: None,
            frame: None,
            kept: None,
        };
        view.keep(&mut FramePool::default())
    }

    fn front(outbox: &Outbox) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); 8];
        let count = outbox.slices(&mut slices);
        slices[..count].iter().flat_map(|slice| slice.iter().copied()).collect()
    }

    #[test]
    fn sent_bytes_do_not_pile_up_while_a_large_payload_waits() {
        let mut outbox = Outbox::default();
        outbox.put_large(large(&[0; REFERENCE_BYTES_MIN]));
        for round in 1..=200_u8 {
            outbox.put_slice(&[round; 3000]);
            outbox.put_large(large(&[round; REFERENCE_BYTES_MIN]));
            // Never all of it: the last payload waits for the next round.
            outbox.advance(REFERENCE_BYTES_MIN + 3000);
            assert_eq!(front(&outbox), [round; REFERENCE_BYTES_MIN]);
        }
        assert!(outbox.copied.capacity() < 4 * POOLED_BYTES_MAX, "{}", outbox.copied.capacity());
    }

    #[test]
    fn a_long_rest_is_not_moved_for_every_write() {
        let mut outbox = Outbox::default();
        outbox.put_slice(&vec![7; 100 * POOLED_BYTES_MAX]);
        outbox.advance(2 * POOLED_BYTES_MAX);
        assert_eq!(outbox.sent, 2 * POOLED_BYTES_MAX, "most of it still waits");
        outbox.advance(49 * POOLED_BYTES_MAX);
        assert_eq!((outbox.sent, outbox.len()), (0, 49 * POOLED_BYTES_MAX));
    }
}
