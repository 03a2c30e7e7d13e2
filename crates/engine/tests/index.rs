//! The subscription index against the tables of section 4.7 and against a naive model.

mod naive;

use std::collections::BTreeMap;

use martlet_engine::index::{FilterId, Inserted, Removed, Subscriber, SubscriptionIndex};
use proptest::prelude::*;

fn subscriber(key: u32) -> Subscriber {
    Subscriber { key, options: (key % 3) as u8, subscription_id: key / 2 }
}

fn route(index: &SubscriptionIndex, topic: &str) -> Vec<String> {
    let mut out = Vec::new();
    index.route(topic, &mut out);
    let mut filters: Vec<String> = out.iter().map(|&id| index.filter(id).to_owned()).collect();
    filters.sort();
    filters
}

#[test]
fn ids_and_subscribers_are_small() {
    assert_eq!(size_of::<Subscriber>(), 12);
    assert_eq!(size_of::<FilterId>(), 4);
}

// [MQTT-4.7.2-1] [MQTT-4.7.3-4] [MQTT3-4.7.2-1] [MQTT3-4.7.3-4]
#[test]
fn filters_match_as_section_4_7_says() {
    for &(filter, topic, expected) in naive::MATCHES {
        assert_eq!(naive::matches(filter, topic), expected, "the model: {filter} {topic}");
        let mut index = SubscriptionIndex::new(1);
        index.insert(filter, subscriber(1));
        let expected: &[&str] = if expected { &[filter] } else { &[] };
        assert_eq!(route(&index, topic), expected, "alone: {filter} {topic}");
        // And among all the others.
        for (other, ..) in naive::MATCHES {
            index.insert(other, subscriber(2));
        }
        let found = route(&index, topic);
        assert_eq!(found.contains(&filter.to_owned()), !expected.is_empty(), "{filter} {topic}");
    }
}

// [MQTT-3.8.4-3] [MQTT3-3.8.4-3]
#[test]
fn a_second_subscription_of_a_key_replaces_the_first() {
    for filter in ["a/b", "a/+", "a/#"] {
        let mut index = SubscriptionIndex::new(1);
        let first = Subscriber { key: 7, options: 1, subscription_id: 3 };
        let second = Subscriber { key: 7, options: 2, subscription_id: 0 };
        let Inserted { filter: id, replaced, filter_is_new } = index.insert(filter, first);
        assert_eq!((replaced, filter_is_new), (None, true));
        let generation = index.generation();
        let inserted = index.insert(filter, second);
        assert_eq!(inserted, Inserted { filter: id, replaced: Some(first), filter_is_new: false });
        assert_eq!(index.generation(), generation, "the set of filters is the same");
        assert_eq!(index.subscribers(id), [second]);
        assert_eq!((index.filters_len(), index.subscriptions_len()), (1, 1));
        assert_eq!(index.remove(filter, 8), None);
        let removed = index.remove(filter, 7);
        assert_eq!(removed, Some(Removed { subscriber: second, filter_is_gone: true }));
        assert_ne!(index.generation(), generation);
        assert_eq!(index.find(filter), None);
        assert_eq!(index.heap_bytes(), 0);
    }
}

#[test]
fn a_long_list_of_subscribers_stays_right_while_it_grows_and_shrinks() {
    const MANY: u32 = 20_000;
    let mut index = SubscriptionIndex::new(5);
    let mut id = index.insert("alarm", subscriber(0)).filter;
    for key in 1..MANY {
        assert!(!index.insert("alarm", subscriber(key)).filter_is_new);
    }
    for key in 0..MANY {
        assert_eq!(index.insert("alarm", subscriber(key)).replaced, Some(subscriber(key)));
    }
    let full = index.heap_bytes();
    // Out in an order that has nothing to do with the way in.
    for step in 0..MANY {
        let key = (step * 7919) % MANY;
        assert_eq!(index.get(id, key), Some(&subscriber(key)));
        let removed = index.remove_by_id(id, key).expect("still subscribed");
        assert_eq!(removed.subscriber, subscriber(key));
        assert_eq!(removed.filter_is_gone, step == MANY - 1);
        assert_eq!(index.remove_by_id(id, key), None);
        assert_eq!(index.subscribers(id).len(), (MANY - 1 - step) as usize);
    }
    assert!(full > 0 && index.heap_bytes() == 0);
    id = index.insert("alarm", subscriber(3)).filter;
    assert_eq!(index.subscribers(id), [subscriber(3)]);
}

#[test]
fn churn_does_not_leak() {
    let mut index = SubscriptionIndex::new(5);
    index.insert("stays/+/here", subscriber(1));
    index.insert("stays/here", subscriber(1));
    let mut after_first_round = 0;
    for round in 0..20_u32 {
        for device in 0..500_u32 {
            let name = if round % 2 == 0 { "a-name-longer-than-a-node-holds" } else { "short" };
            index.insert(&format!("site/{device}/{name}-{round}/+"), subscriber(device));
            index.insert(&format!("site/{device}/{name}-{round}/#"), subscriber(device));
            index.insert(&format!("site/{device}/{name}-{round}/x"), subscriber(device));
        }
        index.check_invariants();
        for device in 0..500_u32 {
            let name = if round % 2 == 0 { "a-name-longer-than-a-node-holds" } else { "short" };
            assert!(index.remove(&format!("site/{device}/{name}-{round}/+"), device).is_some());
            assert!(index.remove(&format!("site/{device}/{name}-{round}/#"), device).is_some());
            assert!(index.remove(&format!("site/{device}/{name}-{round}/x"), device).is_some());
        }
        if round == 1 {
            after_first_round = index.heap_bytes();
        }
    }
    assert!(index.heap_bytes() <= after_first_round, "the memory of one round serves all of them");
    assert_eq!(index.filters_len(), 2);
    index.check_invariants();
    index.remove("stays/+/here", 1);
    index.remove("stays/here", 1);
    assert_eq!(index.heap_bytes(), 0);
}

#[test]
fn the_longest_topics_and_filters_cost_no_more_than_their_length() {
    let mut index = SubscriptionIndex::new(5);
    let slashes = "/".repeat(65_535);
    let pluses = format!("{}+", "+/".repeat(32_767));
    let deep = format!("{}#", "+/".repeat(32_767));
    let empty = format!("{}+", "/".repeat(65_534));
    index.insert(&pluses, subscriber(1));
    index.insert(&deep, subscriber(2));
    index.insert(&empty, subscriber(3));
    index.insert(&slashes, subscriber(4));
    index.insert("#", subscriber(5));
    assert_eq!(route(&index, &slashes), ["#", &deep, &slashes]);
    assert_eq!(route(&index, &"a/".repeat(32_767)), ["#", deep.as_str(), pluses.as_str()]);
    assert_eq!(route(&index, &format!("{}x", "/".repeat(65_534))).len(), 3);
    for (filter, key) in [(&pluses, 1), (&deep, 2), (&empty, 3), (&slashes, 4)] {
        assert!(index.remove(filter, key).is_some());
    }
    assert!(index.remove("#", 5).is_some());
    assert_eq!(index.heap_bytes(), 0);
}

#[test]
fn a_walk_reaches_each_node_once_where_every_branch_is_taken() {
    // All 2^12 filters over {+, a} of 12 levels match the one topic.
    let mut index = SubscriptionIndex::new(9);
    for bits in 0..1_u32 << 12 {
        let levels: Vec<&str> =
            (0..12).map(|at| if bits >> at & 1 == 1 { "+" } else { "a" }).collect();
        index.insert(&levels.join("/"), subscriber(bits));
    }
    let mut out = Vec::new();
    index.route(&["a"; 12].join("/"), &mut out);
    assert_eq!(out.len(), 1 << 12);
    out.sort();
    out.dedup();
    assert_eq!(out.len(), 1 << 12, "each once");
}

#[derive(Debug, Clone)]
enum Change {
    Insert(String, Subscriber),
    Remove(String, u32),
    RemoveById(String, u32),
    Route(String),
}

fn change() -> impl Strategy<Value = Change> {
    let subscriber = (0..40_u32, any::<u8>(), 0..9_u32)
        .prop_map(|(key, options, subscription_id)| Subscriber { key, options, subscription_id });
    prop_oneof![
        4 => (naive::filter(), subscriber).prop_map(|(filter, s)| Change::Insert(filter, s)),
        1 => (naive::filter(), 0..40_u32).prop_map(|(filter, key)| Change::Remove(filter, key)),
        1 => (naive::filter(), 0..40_u32).prop_map(|(filter, key)| Change::RemoveById(filter, key)),
        3 => naive::topic().prop_map(Change::Route),
    ]
}

type Model = BTreeMap<String, BTreeMap<u32, Subscriber>>;

fn check_remove(model: &mut Model, filter: &str, key: u32, removed: Option<Removed>) {
    let Some(subscribers) = model.get_mut(filter) else {
        assert_eq!(removed, None);
        return;
    };
    let expected = subscribers.remove(&key);
    assert_eq!(removed.map(|removed| removed.subscriber), expected);
    if expected.is_some() {
        assert_eq!(removed.unwrap().filter_is_gone, subscribers.is_empty());
        if subscribers.is_empty() {
            model.remove(filter);
        }
    }
}

fn check_route(index: &SubscriptionIndex, model: &Model, topic: &str) {
    let expected: Vec<&String> =
        model.keys().filter(|filter| naive::matches(filter, topic)).collect();
    let found = route(index, topic);
    assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{topic}");
}

fn check_all(index: &SubscriptionIndex, model: &Model) {
    index.check_invariants();
    assert_eq!(index.filters_len(), model.len());
    assert_eq!(index.subscriptions_len(), model.values().map(BTreeMap::len).sum::<usize>());
    for (filter, expected) in model {
        let id = index.find(filter).expect("the model knows it");
        let mut subscribers = index.subscribers(id).to_vec();
        subscribers.sort_by_key(|subscriber| subscriber.key);
        assert!(subscribers.iter().eq(expected.values()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    // [MQTT-4.7.2-1] [MQTT-4.7.3-4] [MQTT-3.8.4-3] [MQTT3-4.7.2-1] [MQTT3-4.7.3-4] [MQTT3-3.8.4-3]
    #[test]
    fn the_index_does_what_a_naive_one_does(
        seed: u64,
        mut changes in prop::collection::vec(change(), 0..150),
    ) {
        let mut index = SubscriptionIndex::new(seed);
        let mut model = Model::new();
        // In the end everything goes, in the order in which it came.
        let inserted: Vec<Change> = changes.iter().filter_map(|change| match change {
            Change::Insert(filter, s) => Some(Change::Remove(filter.clone(), s.key)),
            _ => None,
        }).collect();
        let grown = changes.len();
        changes.extend(inserted);
        for (at, change) in changes.iter().enumerate() {
            let generation = index.generation();
            let filters = model.len();
            match change {
                Change::Insert(filter, s) => {
                    let subscribers = model.entry(filter.clone()).or_default();
                    let is_new = subscribers.is_empty();
                    let replaced = subscribers.insert(s.key, *s);
                    let inserted = index.insert(filter, *s);
                    prop_assert_eq!(inserted.replaced, replaced);
                    prop_assert_eq!(inserted.filter_is_new, is_new);
                    prop_assert_eq!(index.filter(inserted.filter), filter);
                    prop_assert_eq!(index.get(inserted.filter, s.key), Some(s));
                }
                Change::Remove(filter, key) => {
                    let removed = index.remove(filter, *key);
                    check_remove(&mut model, filter, *key, removed);
                }
                Change::RemoveById(filter, key) => {
                    let removed = index.find(filter).and_then(|id| index.remove_by_id(id, *key));
                    check_remove(&mut model, filter, *key, removed);
                }
                Change::Route(topic) => check_route(&index, &model, topic),
            }
            if model.len() != filters {
                prop_assert_ne!(index.generation(), generation);
            }
            if at + 1 == grown {
                check_all(&index, &model);
            }
        }
        check_all(&index, &model);
        prop_assert_eq!(index.heap_bytes(), 0);
    }

    #[test]
    fn the_same_changes_give_the_same_order(
        seed: u64,
        changes in prop::collection::vec(change(), 0..60),
    ) {
        let mut indexes = [SubscriptionIndex::new(seed), SubscriptionIndex::new(seed)];
        let mut routes = [Vec::new(), Vec::new()];
        for (index, out) in indexes.iter_mut().zip(&mut routes) {
            for change in &changes {
                match change {
                    Change::Insert(filter, s) => drop(index.insert(filter, *s)),
                    Change::Remove(filter, key) | Change::RemoveById(filter, key) => {
                        let _ = index.remove(filter, *key);
                    }
                    Change::Route(topic) => index.route(topic, out),
                }
            }
        }
        prop_assert_eq!(&routes[0], &routes[1]);
    }
}
