//! Promises: something that happens when a number of things have come about. Must not know what
//! the things are.

use super::Then;

/// A promise; its number is used again once it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PromiseId(pub(crate) u32);

#[derive(Debug, Clone, Copy)]
struct Promise {
    /// Things that have not come about.
    left: u32,
    then: Then,
    /// One of the things was refused.
    refused: bool,
    /// Another promise that waits for this one.
    follower: Option<PromiseId>,
}

/// A promise that has been kept.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) then: Then,
    pub(super) refused: bool,
    pub(super) follower: Option<PromiseId>,
}

/// All promises of a shard.
#[derive(Debug, Default)]
pub(super) struct Promises {
    slots: Vec<Option<Promise>>,
    free: Vec<u32>,
}

impl Promises {
    /// A number for a promise that may be made.
    pub(super) fn reserve(&mut self) -> PromiseId {
        PromiseId(self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            (self.slots.len() - 1) as u32
        }))
    }

    /// It was not made after all.
    pub(super) fn give_back(&mut self, id: PromiseId) {
        self.free.push(id.0);
    }

    pub(super) fn make(&mut self, id: PromiseId, left: u32, then: Then, refused: bool) {
        let slot = &mut self.slots[id.0 as usize];
        debug_assert!(slot.is_none(), "a number is one promise");
        *slot = Some(Promise { left, then, refused, follower: None });
    }

    /// `follower` is released once when `id` is kept.
    pub(super) fn chain(&mut self, id: PromiseId, follower: PromiseId) {
        let mut at = id;
        loop {
            let promise = self.slots[at.0 as usize].as_mut().expect("a promise that is not kept");
            match promise.follower {
                Some(next) => at = next,
                None => {
                    promise.follower = Some(follower);
                    return;
                }
            }
        }
    }

    /// One thing has come about; the promise if that was the last.
    pub(super) fn release(&mut self, id: PromiseId, refused: bool) -> Option<Kept> {
        let slot = &mut self.slots[id.0 as usize];
        let promise = slot.as_mut().expect("a promise that is not kept");
        promise.left -= 1;
        promise.refused |= refused;
        if promise.left > 0 {
            return None;
        }
        let Promise { then, refused, follower, .. } = *promise;
        *slot = None;
        self.free.push(id.0);
        Some(Kept { then, refused, follower })
    }
}
