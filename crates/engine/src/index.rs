//! Owns the exact index of one shard's subscriptions: topic filter -> subscribers, and which
//! filters match a topic. Must not know sessions, messages or what a subscriber's key stands for.
//!
//! An exact filter is found by one hash of the topic. Filters with wildcards are in a trie whose
//! walk follows only levels that match, so routing does not cost more when more subscriptions exist
//! that do not match.

pub(crate) mod directory;
pub(crate) mod hash;
pub(crate) mod level;
mod subscribers;
pub(crate) mod trie;

use directory::Directory;
use hash::{NONE, Seed, reserve_one, text_bytes};
use level::is_wildcard;
use subscribers::Subscribers;
use trie::Trie;

/// A topic filter in the index. Dense; used again for another filter after its last subscriber has
/// left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilterId(u32);

impl FilterId {
    /// A number below the largest number of filters that the index ever held at once: fit for
    /// indexing a table.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// One subscription to a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subscriber {
    /// Who subscribed; unique within a filter.
    pub key: u32,
    /// The subscription options as one byte. Not interpreted here.
    pub options: u8,
    /// The subscription identifier; 0 is none.
    pub subscription_id: u32,
}

/// What [`SubscriptionIndex::insert`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inserted {
    /// The filter.
    pub filter: FilterId,
    /// The subscription that the same key had to the same filter before.
    pub replaced: Option<Subscriber>,
    /// Nobody was subscribed to the filter before.
    pub filter_is_new: bool,
}

/// What [`SubscriptionIndex::remove`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Removed {
    /// The subscription that was taken out.
    pub subscriber: Subscriber,
    /// It was the last one: the filter's id is no longer valid.
    pub filter_is_gone: bool,
}

/// The subscriptions of one shard.
#[derive(Debug)]
pub struct SubscriptionIndex {
    seed: Seed,
    slots: Vec<Slot>,
    free: u32,
    /// Filters without wildcards, by text.
    exact: Directory,
    /// Filters with wildcards.
    wildcards: Trie,
    filters: usize,
    subscriptions: usize,
    text_bytes: usize,
    list_bytes: usize,
    generation: u64,
}

#[derive(Debug)]
struct Slot {
    filter: Box<str>,
    subscribers: Subscribers,
}

const _: () = assert!(size_of::<Slot>() == 32);

impl SubscriptionIndex {
    /// An empty index whose hashing is fixed by `seed`. Allocates nothing.
    pub fn new(seed: u64) -> Self {
        let seed = Seed::new(seed);
        Self {
            slots: Vec::new(),
            free: NONE,
            exact: Directory::default(),
            wildcards: Trie::new(seed.clone()),
            filters: 0,
            subscriptions: 0,
            text_bytes: 0,
            list_bytes: 0,
            generation: 0,
            seed,
        }
    }

    /// Subscribes `subscriber` to a valid `filter`. There is one subscription for each filter and
    /// key: a second one replaces the first.
    pub fn insert(&mut self, filter: &str, subscriber: Subscriber) -> Inserted {
        let (id, filter_is_new) = self.find_or_add(filter);
        let subscribers = &mut self.slots[id as usize].subscribers;
        let bytes_before = subscribers.heap_bytes();
        // [MQTT-3.8.4-3] [MQTT3-3.8.4-3] an identical filter replaces the existing subscription.
        let replaced = subscribers.insert(&self.seed, subscriber);
        self.list_bytes = self.list_bytes + subscribers.heap_bytes() - bytes_before;
        self.subscriptions += usize::from(replaced.is_none());
        Inserted { filter: FilterId(id), replaced, filter_is_new }
    }

    /// Takes out the subscription of `key` to `filter`; `None` if there is none.
    pub fn remove(&mut self, filter: &str, key: u32) -> Option<Removed> {
        self.remove_by_id(self.find(filter)?, key)
    }

    /// Takes out the subscription of `key` to the filter `filter`; `None` if there is none.
    pub fn remove_by_id(&mut self, filter: FilterId, key: u32) -> Option<Removed> {
        let subscribers = &mut self.slots.get_mut(filter.index())?.subscribers;
        let bytes_before = subscribers.heap_bytes();
        let subscriber = subscribers.remove(&self.seed, key)?;
        self.list_bytes = self.list_bytes + subscribers.heap_bytes() - bytes_before;
        self.subscriptions -= 1;
        let filter_is_gone = subscribers.as_slice().is_empty();
        if filter_is_gone {
            self.remove_filter(filter.0);
        }
        Some(Removed { subscriber, filter_is_gone })
    }

    /// The id of `filter` if somebody is subscribed to it. Filters are compared byte for byte.
    pub fn find(&self, filter: &str) -> Option<FilterId> {
        if is_wildcard(filter) {
            return self.wildcards.find(filter).map(FilterId);
        }
        self.find_exact(filter, self.seed.text(filter.as_bytes())).map(FilterId)
    }

    /// The text of a filter; empty for an id that is not in use.
    pub fn filter(&self, filter: FilterId) -> &str {
        self.slots.get(filter.index()).map_or("", |slot| &slot.filter)
    }

    /// The subscription of `key` to a filter.
    pub fn get(&self, filter: FilterId, key: u32) -> Option<&Subscriber> {
        self.slots.get(filter.index())?.subscribers.get(&self.seed, key)
    }

    /// Everybody who is subscribed to a filter, in an order that only the sequence of changes
    /// decides.
    #[inline]
    pub fn subscribers(&self, filter: FilterId) -> &[Subscriber] {
        self.slots.get(filter.index()).map_or(&[], |slot| slot.subscribers.as_slice())
    }

    /// Appends every filter that matches the valid topic name `topic` to `out`, each once (section
    /// 4.7). The order depends on nothing but the filters and the topic.
    #[inline]
    pub fn route(&self, topic: &str, out: &mut Vec<FilterId>) {
        if self.filters > self.wildcards.len() {
            // [MQTT-4.7.3-4] [MQTT3-4.7.3-4] the bytes of the name as they came, nothing
            // normalised.
            let exact = self.find_exact(topic, self.seed.text(topic.as_bytes()));
            out.extend(exact.map(FilterId));
        }
        self.wildcards.walk(topic, |id| out.push(FilterId(id)));
    }

    /// Changes whenever the set of filters changes: a remembered route is right as long as this
    /// stands.
    #[inline]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The number of different filters.
    pub fn filters_len(&self) -> usize {
        self.filters
    }

    /// The number of subscriptions.
    pub fn subscriptions_len(&self) -> usize {
        self.subscriptions
    }

    /// Bytes on the heap: capacity included, and for texts and lists what a usual allocator rounds
    /// them up to.
    pub fn heap_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>()
            + self.exact.heap_bytes()
            + self.wildcards.heap_bytes()
            + self.text_bytes
            + self.list_bytes
    }

    /// Checks that the parts agree with each other. Costs a pass over everything: for tests and the
    /// simulator.
    ///
    /// # Panics
    /// If they do not.
    pub fn check_invariants(&self) {
        let (mut filters, mut subscriptions, mut wildcards) = (0, 0, 0);
        for (at, slot) in self.slots.iter().enumerate() {
            if let Subscribers::Free { .. } = slot.subscribers {
                continue;
            }
            assert_eq!(self.find(&slot.filter), Some(FilterId(at as u32)));
            assert!(!slot.subscribers.as_slice().is_empty());
            filters += 1;
            wildcards += usize::from(is_wildcard(&slot.filter));
            subscriptions += slot.subscribers.as_slice().len();
        }
        assert_eq!(filters, self.filters);
        assert_eq!(subscriptions, self.subscriptions);
        assert_eq!(wildcards, self.wildcards.len());
        assert!(wildcards > 0 || self.wildcards.nodes_len() == 0);
    }

    #[inline]
    fn find_exact(&self, filter: &str, hash: u64) -> Option<u32> {
        self.exact.find(hash, |id| *self.slots[id as usize].filter == *filter)
    }

    fn find_or_add(&mut self, filter: &str) -> (u32, bool) {
        debug_assert!(!filter.is_empty());
        if is_wildcard(filter) {
            let place = self.wildcards.ensure(filter);
            let known = self.wildcards.get(place);
            if known != NONE {
                return (known, false);
            }
            let id = self.add_slot(filter);
            self.wildcards.set(place, id);
            return (id, true);
        }
        let hash = self.seed.text(filter.as_bytes());
        if let Some(known) = self.find_exact(filter, hash) {
            return (known, false);
        }
        let id = self.add_slot(filter);
        self.exact.insert(hash, id);
        (id, true)
    }

    fn add_slot(&mut self, filter: &str) -> u32 {
        self.filters += 1;
        self.generation += 1;
        self.text_bytes += text_bytes(filter.len());
        let subscribers = Subscribers::Free { next: NONE };
        let slot = Slot { filter: filter.into(), subscribers };
        if self.free == NONE {
            reserve_one(&mut self.slots);
            self.slots.push(slot);
            let id = self.slots.len() - 1;
            return u32::try_from(id)
                .ok()
                .filter(|&id| id != NONE)
                .expect("less than 2^32 filters");
        }
        let id = self.free;
        let Subscribers::Free { next } = self.slots[id as usize].subscribers else {
            unreachable!("the free list holds free slots");
        };
        self.free = next;
        self.slots[id as usize] = slot;
        id
    }

    fn remove_filter(&mut self, id: u32) {
        let filter = core::mem::take(&mut self.slots[id as usize].filter);
        if is_wildcard(&filter) {
            let place =
                self.wildcards.place(&filter).expect("a stored wildcard filter is in the trie");
            self.wildcards.remove(place);
        } else {
            self.exact.remove(self.seed.text(filter.as_bytes()), id);
        }
        self.filters -= 1;
        self.generation += 1;
        self.text_bytes -= text_bytes(filter.len());
        self.slots[id as usize].subscribers = Subscribers::Free { next: self.free };
        self.free = id;
        if self.filters == 0 {
            // Gives the memory of what once was a large index back.
            self.slots = Vec::new();
            self.exact = Directory::default();
            self.free = NONE;
        }
    }
}
