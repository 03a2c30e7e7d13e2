//! Owns the retained messages of one shard: topic -> value, found by topic or by filter.
//! Must not know messages or when they expire; a value is whatever its owner keeps for a topic.
//!
//! A topic is found by one hash. A scan goes through the topics in a canonical order in which every
//! subtree is contiguous (see `retained/order.rs`) and jumps over what cannot match, so it costs as
//! much as the topics that match or nearly match.

mod order;
mod seek;

use crate::index::directory::Directory;
use crate::index::hash::{NONE, Seed, reserve_one, text_bytes};
use crate::index::level::is_wildcard;
use order::{Order, Position, compare};
use seek::{Verdict, judge, literal_prefix};

/// Retained values by topic name.
#[derive(Debug)]
pub struct RetainedStore<T> {
    seed: Seed,
    slots: Vec<Slot<T>>,
    free: u32,
    directory: Directory,
    order: Order,
    len: usize,
    text_bytes: usize,
}

#[derive(Debug)]
enum Slot<T> {
    Free { next: u32 },
    Used { topic: Box<str>, value: T },
}

/// How far a scan has come. A new one starts at the beginning. It belongs to one filter and one
/// store, but borrows from neither.
#[derive(Debug, Clone, Default)]
pub struct Cursor {
    /// Every topic before it has been dealt with.
    bound: String,
    started: bool,
    done: bool,
    steps: u64,
}

/// The canonical order of topics: to add many, add them in it.
pub(crate) fn compare_topics(a: &str, b: &str) -> core::cmp::Ordering {
    compare(a.as_bytes(), b.as_bytes())
}

/// Whether a scan is finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScanEnd {
    /// Everything that matches has been visited.
    Done,
    /// The budget is used up: go on with the same cursor.
    More,
}

impl<T: Clone> RetainedStore<T> {
    /// An empty store whose hashing is fixed by `seed`. Allocates nothing.
    pub fn new(seed: u64) -> Self {
        Self {
            seed: Seed::new(seed),
            slots: Vec::new(),
            free: NONE,
            directory: Directory::default(),
            order: Order::default(),
            len: 0,
            text_bytes: 0,
        }
    }

    /// Keeps `value` for `topic` and returns the one that was kept before.
    pub fn insert(&mut self, topic: &str, value: T) -> Option<T> {
        let hash = self.seed.text(topic.as_bytes());
        if let Some(slot) = self.find(topic, hash) {
            let Slot::Used { value: old, .. } = &mut self.slots[slot as usize] else {
                unreachable!("a slot in the directory is in use");
            };
            return Some(core::mem::replace(old, value)); // [MQTT-3.3.1-5]
        }
        let position = self.lower_bound(topic);
        let slot = self.take_slot(Slot::Used { topic: topic.into(), value });
        self.directory.insert(hash, slot);
        self.order.insert(position, slot);
        self.text_bytes += text_bytes(topic.len());
        self.len += 1;
        None
    }

    /// Forgets the value of `topic` and returns it.
    pub fn remove(&mut self, topic: &str) -> Option<T> {
        let hash = self.seed.text(topic.as_bytes());
        let slot = self.find(topic, hash)?;
        let ordered = self.order.remove(self.lower_bound(topic));
        assert_eq!(ordered, slot, "the order knows every topic");
        self.directory.remove(hash, slot);
        self.text_bytes -= text_bytes(topic.len());
        self.len -= 1;
        let freed = Slot::Free { next: self.free };
        let Slot::Used { value, .. } = core::mem::replace(&mut self.slots[slot as usize], freed)
        else {
            unreachable!("a slot in the directory is in use");
        };
        self.free = slot;
        if self.len == 0 {
            // Gives the memory of what once was a large store back.
            self.slots = Vec::new();
            self.directory = Directory::default();
            self.free = NONE;
        }
        Some(value)
    }

    /// The value of `topic`.
    #[inline]
    pub fn get(&self, topic: &str) -> Option<&T> {
        let slot = self.find(topic, self.seed.text(topic.as_bytes()))?;
        Some(self.slot(slot).1)
    }

    /// The number of topics.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no topic.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Every topic with its value, in the canonical order; topics that begin with `$` as well.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.order.iter().map(|slot| self.slot(slot))
    }

    /// Visits topics that match the valid `filter` (section 4.7), in the canonical order, going on
    /// from `cursor`.
    ///
    /// Takes at most `budget` steps; a step visits a topic or jumps over topics that do not match.
    /// The store may change between the calls of a scan: a topic that is there all the time is
    /// visited exactly once, one that comes or goes at most once.
    pub fn scan(
        &self,
        filter: &str,
        cursor: &mut Cursor,
        budget: usize,
        visit: &mut dyn FnMut(&str, &T),
    ) -> ScanEnd {
        if cursor.done {
            return ScanEnd::Done;
        }
        if budget == 0 {
            return ScanEnd::More;
        }
        if !is_wildcard(filter) {
            cursor.steps += 1;
            cursor.done = true;
            let slot = self.find(filter, self.seed.text(filter.as_bytes()));
            if let Some((topic, value)) = slot.map(|slot| self.slot(slot)) {
                visit(topic, value);
            }
            return ScanEnd::Done;
        }
        if !cursor.started {
            cursor.started = true;
            cursor.bound.push_str(literal_prefix(filter));
        }
        self.scan_wildcard(filter, cursor, budget, visit)
    }

    /// Bytes on the heap without what the values own: capacity included, and for texts what a usual
    /// allocator rounds them up to.
    pub fn heap_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Slot<T>>()
            + self.directory.heap_bytes()
            + self.order.heap_bytes()
            + self.text_bytes
    }

    /// Checks that the parts agree with each other. Costs a pass over everything: for tests and the
    /// simulator.
    ///
    /// # Panics
    /// If they do not.
    pub fn check_invariants(&self) {
        self.order.check_invariants();
        let mut last: Option<&str> = None;
        let mut len = 0;
        for slot in self.order.iter() {
            let (topic, _) = self.slot(slot);
            assert!(last.is_none_or(|last| compare(last.as_bytes(), topic.as_bytes()).is_lt()));
            assert_eq!(self.find(topic, self.seed.text(topic.as_bytes())), Some(slot));
            last = Some(topic);
            len += 1;
        }
        assert_eq!(len, self.len);
    }

    fn scan_wildcard(
        &self,
        filter: &str,
        cursor: &mut Cursor,
        budget: usize,
        visit: &mut dyn FnMut(&str, &T),
    ) -> ScanEnd {
        let mut position = self.lower_bound(&cursor.bound);
        for _ in 0..budget {
            let Some(slot) = self.order.get(position) else {
                return cursor.finish();
            };
            cursor.steps += 1;
            let (topic, value) = self.slot(slot);
            match judge(filter, topic, &mut cursor.bound) {
                Verdict::Match => {
                    visit(topic, value);
                    position = self.order.next(position);
                }
                Verdict::Seek => {
                    let bound = cursor.bound.as_bytes();
                    position = self.order.seek(position, |slot| self.is_before(slot, bound));
                }
                Verdict::End => return cursor.finish(),
            }
        }
        let Some(slot) = self.order.get(position) else {
            return cursor.finish();
        };
        cursor.bound.clear();
        cursor.bound.push_str(self.slot(slot).0);
        ScanEnd::More
    }

    #[inline]
    fn find(&self, topic: &str, hash: u64) -> Option<u32> {
        self.directory.find(hash, |slot| *self.slot(slot).0 == *topic)
    }

    #[inline]
    fn slot(&self, slot: u32) -> (&str, &T) {
        match &self.slots[slot as usize] {
            Slot::Used { topic, value } => (topic, value),
            Slot::Free { .. } => unreachable!("a slot in the directory or the order is in use"),
        }
    }

    #[inline]
    fn is_before(&self, slot: u32, bound: &[u8]) -> bool {
        compare(self.slot(slot).0.as_bytes(), bound).is_lt()
    }

    fn lower_bound(&self, bound: &str) -> Position {
        if bound.is_empty() {
            return self.order.start();
        }
        self.order.lower_bound(|slot| self.is_before(slot, bound.as_bytes()))
    }

    fn take_slot(&mut self, used: Slot<T>) -> u32 {
        if self.free == NONE {
            reserve_one(&mut self.slots);
            self.slots.push(used);
            let id = self.slots.len() - 1;
            return u32::try_from(id).ok().filter(|&id| id != NONE).expect("less than 2^32 topics");
        }
        let slot = self.free;
        let Slot::Free { next } = self.slots[slot as usize] else {
            unreachable!("the free list holds free slots");
        };
        self.free = next;
        self.slots[slot as usize] = used;
        slot
    }
}

impl Cursor {
    /// A scan that goes on with `topic`, which its filter matches.
    pub fn at(topic: &str) -> Self {
        Self { bound: topic.to_owned(), started: true, done: false, steps: 0 }
    }

    /// Steps taken so far, see [`RetainedStore::scan`].
    pub fn steps(&self) -> u64 {
        self.steps
    }

    fn finish(&mut self) -> ScanEnd {
        self.bound = String::new();
        (self.started, self.done) = (true, true);
        ScanEnd::Done
    }
}
