//! Owns the coarse interest of others (shards, or nodes of a cluster) in topics, and what one shard
//! announces of its own. Must not know who the others are or how changes travel.
//!
//! The rule: the map may name somebody who is not interested, but must never leave out somebody who
//! is. Filters with wildcards are kept exactly; an exact filter is one bit in the bucket of its
//! hash.

use hashbrown::HashTable;

use crate::index::hash::{NONE, Seed, reserve_one, text_bytes};
use crate::index::level::is_wildcard;
use crate::index::trie::{Place, Trie};

/// The number of hash buckets for exact filters.
pub const BUCKETS: usize = 1 << 16;

/// The largest number of others: their numbers are `0..64`.
pub const OTHERS_MAX: u16 = 64;

/// A set of up to 64 shards or nodes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct ShardSet(u64);

impl ShardSet {
    /// Nobody.
    pub const EMPTY: ShardSet = ShardSet(0);

    /// Adds a member.
    ///
    /// # Panics
    /// If `member` is not below [`OTHERS_MAX`].
    #[inline]
    pub fn insert(&mut self, member: u16) {
        assert!(member < OTHERS_MAX);
        self.0 |= 1 << member;
    }

    /// Takes a member out; one that is not there stays out.
    #[inline]
    pub fn remove(&mut self, member: u16) {
        if member < OTHERS_MAX {
            self.0 &= !(1 << member);
        }
    }

    /// Whether `member` is in the set.
    #[inline]
    pub fn contains(self, member: u16) -> bool {
        member < OTHERS_MAX && self.0 >> member & 1 == 1
    }

    /// Whether nobody is in the set.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The number of members.
    #[inline]
    pub fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// The members of either set.
    #[inline]
    #[must_use]
    pub fn union(self, other: ShardSet) -> ShardSet {
        ShardSet(self.0 | other.0)
    }

    /// The members, ascending.
    #[inline]
    pub fn iter(self) -> impl Iterator<Item = u16> {
        let mut rest = self.0;
        core::iter::from_fn(move || {
            if rest == 0 {
                return None;
            }
            let member = rest.trailing_zeros();
            rest &= rest - 1;
            Some(member as u16)
        })
    }
}

/// One change of what a shard or node is interested in. Applied in the order in which it was
/// announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InterestChange {
    /// The first subscription to this filter with wildcards.
    AddWildcard(Box<str>),
    /// The last subscription to this filter with wildcards is gone.
    RemoveWildcard(Box<str>),
    /// The first subscription to an exact filter of this hash bucket.
    AddBucket(u32),
    /// The last subscription to the exact filters of this hash bucket is gone.
    RemoveBucket(u32),
}

/// The hash bucket of an exact filter or of a topic.
#[inline]
fn bucket(seed: &Seed, text: &str) -> usize {
    (seed.text(text.as_bytes()) >> 48) as usize
}

/// What the others are interested in.
#[derive(Debug)]
pub struct InterestMap {
    seed: Seed,
    wildcards: Trie,
    sets: Vec<WildcardSet>,
    free: u32,
    buckets: Buckets,
}

/// Who is interested in one wildcard filter; a free one has nobody.
#[derive(Debug)]
struct WildcardSet {
    interested: ShardSet,
    place: Place,
    next_free: u32,
}

impl InterestMap {
    /// An empty map. Every map and every [`OwnInterest`] that feeds it has to have the same `seed`.
    pub fn new(seed: u64) -> Self {
        let seed = Seed::new(seed);
        let wildcards = Trie::new(seed.clone());
        Self { seed, wildcards, sets: Vec::new(), free: NONE, buckets: Buckets::default() }
    }

    /// Takes over a change that `from` announced. Doing it twice is doing it once.
    ///
    /// # Panics
    /// If `from` is not below [`OTHERS_MAX`] or a bucket not below [`BUCKETS`].
    pub fn apply(&mut self, from: u16, change: &InterestChange) {
        assert!(from < OTHERS_MAX);
        match change {
            InterestChange::AddWildcard(filter) => self.add_wildcard(from, filter),
            InterestChange::RemoveWildcard(filter) => {
                if let Some(id) = self.wildcards.find(filter) {
                    self.remove_from_set(from, id);
                }
            }
            InterestChange::AddBucket(bucket) => self.buckets.insert(*bucket as usize, from),
            InterestChange::RemoveBucket(bucket) => self.buckets.remove(*bucket as usize, from),
        }
    }

    /// Everybody who may have a subscription that matches `topic`: nobody who has one is missing.
    #[inline]
    pub fn interested(&self, topic: &str) -> ShardSet {
        let mut interested = ShardSet::EMPTY;
        if self.buckets.used > 0 {
            interested = self.buckets.get(bucket(&self.seed, topic));
        }
        self.wildcards.walk(topic, |id| {
            interested = interested.union(self.sets[id as usize].interested);
        });
        interested
    }

    /// Forgets everything that `from` announced.
    pub fn clear(&mut self, from: u16) {
        for id in 0..self.sets.len() {
            // The list is emptied when the last set of it goes.
            if self.sets.get(id).is_some_and(|set| set.interested.contains(from)) {
                self.remove_from_set(from, id as u32);
            }
        }
        if self.buckets.used > 0 {
            for bucket in 0..BUCKETS {
                self.buckets.remove(bucket, from);
            }
        }
    }

    /// Bytes on the heap, capacity included.
    pub fn heap_bytes(&self) -> usize {
        self.wildcards.heap_bytes()
            + self.sets.capacity() * size_of::<WildcardSet>()
            + self.buckets.heap_bytes()
    }

    fn add_wildcard(&mut self, from: u16, filter: &str) {
        let place = self.wildcards.ensure(filter);
        let mut id = self.wildcards.get(place);
        if id == NONE {
            id = self.take_set(place);
            self.wildcards.set(place, id);
        }
        self.sets[id as usize].interested.insert(from);
    }

    fn take_set(&mut self, place: Place) -> u32 {
        let set = WildcardSet { interested: ShardSet::EMPTY, place, next_free: NONE };
        if self.free == NONE {
            reserve_one(&mut self.sets);
            self.sets.push(set);
            return (self.sets.len() - 1) as u32; // not more than the trie has nodes, twice
        }
        let id = self.free;
        self.free = self.sets[id as usize].next_free;
        self.sets[id as usize] = set;
        id
    }

    fn remove_from_set(&mut self, from: u16, id: u32) {
        let set = &mut self.sets[id as usize];
        set.interested.remove(from);
        if !set.interested.is_empty() {
            return;
        }
        set.next_free = self.free;
        self.free = id;
        self.wildcards.remove(set.place);
        if self.wildcards.len() == 0 {
            self.sets = Vec::new();
            self.free = NONE;
        }
    }
}

/// Who is interested in the exact filters of each hash bucket. Up to 8 others fit in a table of 64
/// KiB, which stays in the processor's cache; more need one of 512 KiB. There is none while nobody
/// is interested.
#[derive(Debug, Default)]
struct Buckets {
    table: BucketTable,
    /// The number of buckets in which somebody is interested.
    used: u32,
}

#[derive(Debug, Default)]
enum BucketTable {
    #[default]
    Nobody,
    Narrow(Box<[u8]>),
    Wide(Box<[u64]>),
}

impl Buckets {
    #[inline]
    fn get(&self, bucket: usize) -> ShardSet {
        match &self.table {
            BucketTable::Nobody => ShardSet::EMPTY,
            BucketTable::Narrow(sets) => ShardSet(u64::from(sets[bucket])),
            BucketTable::Wide(sets) => ShardSet(sets[bucket]),
        }
    }

    fn put(&mut self, bucket: usize, set: ShardSet) {
        match (&mut self.table, u8::try_from(set.0)) {
            (BucketTable::Narrow(sets), Ok(set)) => sets[bucket] = set,
            (BucketTable::Wide(sets), _) => sets[bucket] = set.0,
            (table, narrow) => {
                let wide = |sets: &[u8]| sets.iter().copied().map(u64::from).collect();
                *table = match (&*table, narrow) {
                    (BucketTable::Nobody, Ok(_)) => {
                        BucketTable::Narrow(vec![0; BUCKETS].into_boxed_slice())
                    }
                    (BucketTable::Narrow(sets), _) => BucketTable::Wide(wide(sets)),
                    _ => BucketTable::Wide(vec![0; BUCKETS].into_boxed_slice()),
                };
                self.put(bucket, set);
            }
        }
    }

    fn insert(&mut self, bucket: usize, from: u16) {
        assert!(bucket < BUCKETS);
        let mut set = self.get(bucket);
        self.used += u32::from(set.is_empty());
        set.insert(from);
        self.put(bucket, set);
    }

    fn remove(&mut self, bucket: usize, from: u16) {
        assert!(bucket < BUCKETS);
        let mut set = self.get(bucket);
        if !set.contains(from) {
            return;
        }
        set.remove(from);
        self.put(bucket, set);
        self.used -= u32::from(set.is_empty());
        if self.used == 0 {
            self.table = BucketTable::Nobody;
        }
    }

    fn heap_bytes(&self) -> usize {
        match &self.table {
            BucketTable::Nobody => 0,
            BucketTable::Narrow(sets) => size_of_val(&**sets),
            BucketTable::Wide(sets) => size_of_val(&**sets),
        }
    }
}

/// What one shard announces: it counts its filters, and only the first and the last of a kind make
/// a change.
#[derive(Debug)]
pub struct OwnInterest {
    seed: Seed,
    wildcards: HashTable<Counted>,
    /// The number of exact filters in each bucket; empty while there are none.
    buckets: Vec<u32>,
    exact: usize,
    text_bytes: usize,
}

#[derive(Debug)]
struct Counted {
    filter: Box<str>,
    count: u32,
}

impl OwnInterest {
    /// Nothing announced yet. The seed has to be that of the maps which will take the changes over.
    pub fn new(seed: u64) -> Self {
        let seed = Seed::new(seed);
        Self { seed, wildcards: HashTable::new(), buckets: Vec::new(), exact: 0, text_bytes: 0 }
    }

    /// Counts a filter; the change to announce if it was the first of its kind.
    pub fn add(&mut self, filter: &str) -> Option<InterestChange> {
        if is_wildcard(filter) {
            return self.add_wildcard(filter);
        }
        if self.buckets.is_empty() {
            self.buckets = vec![0; BUCKETS];
        }
        self.exact += 1;
        let bucket = bucket(&self.seed, filter);
        self.buckets[bucket] += 1;
        (self.buckets[bucket] == 1).then_some(InterestChange::AddBucket(bucket as u32))
    }

    /// Takes back one count of a filter; the change to announce if it was the last of its kind.
    ///
    /// # Panics
    /// If the filter was not added as often: the caller's bug.
    pub fn remove(&mut self, filter: &str) -> Option<InterestChange> {
        if is_wildcard(filter) {
            return self.remove_wildcard(filter);
        }
        let bucket = bucket(&self.seed, filter);
        let count = self.buckets.get_mut(bucket).filter(|count| **count > 0);
        let count = count.expect("a filter is taken back only after it was added");
        *count -= 1;
        let was_last = *count == 0;
        self.exact -= 1;
        if self.exact == 0 {
            self.buckets = Vec::new();
        }
        was_last.then_some(InterestChange::RemoveBucket(bucket as u32))
    }

    /// Bytes on the heap, capacity included.
    pub fn heap_bytes(&self) -> usize {
        self.wildcards.allocation_size()
            + self.text_bytes
            + self.buckets.capacity() * size_of::<u32>()
    }

    fn add_wildcard(&mut self, filter: &str) -> Option<InterestChange> {
        let seed = &self.seed;
        let hash = seed.text(filter.as_bytes());
        if let Some(known) = self.wildcards.find_mut(hash, |known| *known.filter == *filter) {
            known.count += 1;
            return None;
        }
        self.text_bytes += text_bytes(filter.len());
        let counted = Counted { filter: filter.into(), count: 1 };
        self.wildcards.insert_unique(hash, counted, |known| seed.text(known.filter.as_bytes()));
        Some(InterestChange::AddWildcard(filter.into()))
    }

    fn remove_wildcard(&mut self, filter: &str) -> Option<InterestChange> {
        let hash = self.seed.text(filter.as_bytes());
        let found = self.wildcards.find_entry(hash, |known| *known.filter == *filter);
        let mut found = found.expect("a filter is taken back only after it was added");
        found.get_mut().count -= 1;
        if found.get().count > 0 {
            return None;
        }
        let (counted, _) = found.remove();
        self.text_bytes -= text_bytes(filter.len());
        if self.wildcards.is_empty() {
            self.wildcards = HashTable::new();
        }
        Some(InterestChange::RemoveWildcard(counted.filter))
    }
}
