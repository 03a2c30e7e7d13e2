//! Owns the subscribers of one filter: one without an allocation, any number with removal in
//! constant time. Must not know filters.

use hashbrown::HashTable;

use super::Subscriber;
use super::hash::Seed;

/// From this number on the position of each key is kept in a table.
const TABLE_FROM: usize = 32;
/// Below this number the table is dropped; the gap keeps a list at the limit from building it again
/// and again.
const TABLE_UNTIL: usize = 16;

/// The subscribers of one filter, or a free slot.
#[derive(Debug)]
pub(super) enum Subscribers {
    /// The slot is free; the next free one.
    Free { next: u32 },
    /// The usual case.
    One(Subscriber),
    /// Two or more, or one that was more before.
    Many(Box<Many>),
}

/// A list with an index of keys once it is long.
#[derive(Debug, Default)]
pub(super) struct Many {
    list: Vec<Subscriber>,
    /// Positions in the list, by key; empty while the list is short.
    positions: HashTable<u32>,
}

impl Subscribers {
    /// All of them, in an order that only the sequence of changes decides.
    #[inline]
    pub(super) fn as_slice(&self) -> &[Subscriber] {
        match self {
            Self::Free { .. } => &[],
            Self::One(one) => core::slice::from_ref(one),
            Self::Many(many) => &many.list,
        }
    }

    /// The subscriber with this key.
    pub(super) fn get(&self, seed: &Seed, key: u32) -> Option<&Subscriber> {
        match self {
            Self::Free { .. } => None,
            Self::One(one) => (one.key == key).then_some(one),
            Self::Many(many) => many.position(seed, key).map(|at| &many.list[at]),
        }
    }

    /// Adds a subscriber or replaces the one with the same key, which is returned.
    pub(super) fn insert(&mut self, seed: &Seed, subscriber: Subscriber) -> Option<Subscriber> {
        match self {
            Self::Free { .. } => *self = Self::One(subscriber),
            Self::One(one) if one.key == subscriber.key => {
                return Some(core::mem::replace(one, subscriber));
            }
            Self::One(one) => {
                let list = vec![*one, subscriber];
                *self = Self::Many(Box::new(Many { list, positions: HashTable::new() }));
            }
            Self::Many(many) => return many.insert(seed, subscriber),
        }
        None
    }

    /// Takes the subscriber with this key out. The slot is freed by the caller when none is left.
    pub(super) fn remove(&mut self, seed: &Seed, key: u32) -> Option<Subscriber> {
        match self {
            Self::Free { .. } => None,
            Self::One(one) if one.key != key => None,
            Self::One(one) => {
                let one = *one;
                *self = Self::Free { next: super::hash::NONE };
                Some(one)
            }
            Self::Many(many) => {
                let removed = many.remove(seed, key)?;
                if let [last] = many.list[..] {
                    *self = Self::One(last);
                }
                Some(removed)
            }
        }
    }

    /// Bytes on the heap, capacity included.
    pub(super) fn heap_bytes(&self) -> usize {
        match self {
            Self::Free { .. } | Self::One(_) => 0,
            Self::Many(many) => {
                size_of::<Many>()
                    + many.list.capacity() * size_of::<Subscriber>()
                    + many.positions.allocation_size()
            }
        }
    }
}

impl Many {
    fn position(&self, seed: &Seed, key: u32) -> Option<usize> {
        if self.positions.is_empty() {
            return self.list.iter().position(|subscriber| subscriber.key == key);
        }
        let found = self.positions.find(hash(seed, key), |&at| self.list[at as usize].key == key);
        found.map(|&at| at as usize)
    }

    fn insert(&mut self, seed: &Seed, subscriber: Subscriber) -> Option<Subscriber> {
        if let Some(at) = self.position(seed, subscriber.key) {
            return Some(core::mem::replace(&mut self.list[at], subscriber));
        }
        self.list.push(subscriber);
        let indexed = self.positions.len();
        if indexed > 0 || self.list.len() > TABLE_FROM {
            for at in indexed..self.list.len() {
                self.index(seed, at);
            }
        }
        None
    }

    fn index(&mut self, seed: &Seed, at: usize) {
        let list = &self.list;
        let by_key = |&at: &u32| hash(seed, list[at as usize].key);
        let at = u32::try_from(at).expect("a list is no longer than the number of keys");
        self.positions.insert_unique(by_key(&at), at, by_key);
    }

    fn remove(&mut self, seed: &Seed, key: u32) -> Option<Subscriber> {
        let at = self.position(seed, key)?;
        let last = self.list.len() - 1;
        if !self.positions.is_empty() {
            let list = &self.list;
            let entry = self.positions.find_entry(hash(seed, key), |&p| p as usize == at);
            entry.expect("every listed key has a position").remove();
            if at != last {
                let moved = hash(seed, list[last].key);
                let position = self.positions.find_mut(moved, |&p| p as usize == last);
                *position.expect("every listed key has a position") = at as u32;
            }
        }
        let removed = self.list.swap_remove(at);
        self.give_back(seed);
        Some(removed)
    }

    /// Gives memory back after a removal, so seldom that a removal costs constant time on average.
    fn give_back(&mut self, seed: &Seed) {
        let len = self.list.len();
        if len < TABLE_UNTIL {
            self.positions = HashTable::new();
        }
        if self.list.capacity() > 16 && len * 4 <= self.list.capacity() {
            let list = &mut self.list;
            list.shrink_to(len * 2);
            let list = &self.list;
            if !self.positions.is_empty() {
                self.positions.shrink_to(len * 2, |&at| hash(seed, list[at as usize].key));
            }
        }
    }
}

#[inline]
fn hash(seed: &Seed, key: u32) -> u64 {
    seed.words(u64::from(key), 0)
}
