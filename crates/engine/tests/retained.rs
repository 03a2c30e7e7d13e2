//! The retained store: look-up by topic, paced scans by filter, changes between the steps of a
//! scan.

mod naive;

use std::collections::BTreeMap;

use martlet_engine::retained::{Cursor, RetainedStore, ScanEnd};
use proptest::prelude::*;

fn scan_all(store: &RetainedStore<u32>, filter: &str) -> Vec<(String, u32)> {
    let mut found = Vec::new();
    let mut cursor = Cursor::default();
    let mut visit = |topic: &str, value: &u32| found.push((topic.to_owned(), *value));
    while store.scan(filter, &mut cursor, 3, &mut visit) == ScanEnd::More {}
    assert_eq!(store.scan(filter, &mut cursor, 3, &mut visit), ScanEnd::Done, "stays done");
    found
}

/// The number of steps a scan takes.
fn steps(store: &RetainedStore<u32>, filter: &str) -> usize {
    let mut cursor = Cursor::default();
    let mut steps = 1;
    while store.scan(filter, &mut cursor, 1, &mut |_, _| {}) == ScanEnd::More {
        steps += 1;
    }
    steps
}

fn send<T: Send>() {}

#[test]
fn a_cursor_can_travel() {
    send::<Cursor>();
    send::<RetainedStore<std::sync::Arc<str>>>();
}

// [MQTT-4.7.2-1] [MQTT-4.7.3-4] [MQTT3-4.7.2-1] [MQTT3-4.7.3-4]
#[test]
fn filters_match_as_section_4_7_says() {
    let mut all = RetainedStore::new(4);
    for (at, (_, topic, _)) in naive::MATCHES.iter().enumerate() {
        all.insert(topic, at as u32);
    }
    for &(filter, topic, expected) in naive::MATCHES {
        let mut alone = RetainedStore::new(4);
        alone.insert(topic, 9);
        assert_eq!(!scan_all(&alone, filter).is_empty(), expected, "{filter} {topic}");
        let among = scan_all(&all, filter);
        assert_eq!(among.iter().any(|(found, _)| found == topic), expected, "{filter} {topic}");
    }
}

// [MQTT-3.3.1-5]
#[test]
fn a_topic_has_one_value() {
    let mut store = RetainedStore::new(4);
    assert_eq!(store.insert("a/b", 1), None);
    assert_eq!(store.insert("a/b", 2), Some(1));
    assert_eq!((store.get("a/b"), store.get("a"), store.len()), (Some(&2), None, 1));
    assert_eq!(store.remove("a/b"), Some(2));
    assert_eq!(store.remove("a/b"), None);
    assert!(store.is_empty());
    assert_eq!(store.heap_bytes(), 0);
}

#[test]
fn a_scan_goes_level_by_level() {
    let mut store = RetainedStore::new(4);
    let sorted = ["$SYS/x", "a", "a/", "a/b", "a/b/c", "a/c", "a b", "a!", "a-b", "ab"];
    for (at, topic) in sorted.iter().enumerate().rev() {
        store.insert(topic, at as u32);
    }
    let topics: Vec<&str> = store.iter().map(|(topic, _)| topic).collect();
    // ` `, `!` and `-` sort after `/` here, so that what is below `a` follows it.
    assert_eq!(topics, sorted);
    let found: Vec<String> = scan_all(&store, "#").into_iter().map(|(topic, _)| topic).collect();
    assert_eq!(found, &sorted[1..]);
}

#[test]
fn a_scan_jumps_over_what_cannot_match() {
    let mut store = RetainedStore::new(4);
    for site in 0..50 {
        for device in 0..200 {
            store.insert(&format!("site{site}/device{device}/state"), 0);
            store.insert(&format!("site{site}/device{device}/temperature"), 0);
        }
    }
    store.insert("site7/status", 0);
    store.insert("$SYS/uptime", 0);
    assert_eq!(store.len(), 50 * 400 + 2);
    assert_eq!(steps(&store, "site7/device3/#"), 2 + 1);
    assert_eq!(steps(&store, "site7/device3/+"), 2 + 1);
    assert_eq!(steps(&store, "site7/none/#"), 1);
    assert_eq!(steps(&store, "site7/+/state"), 200 * 2 + 2);
    assert!(steps(&store, "+/device3/state") <= 50 * 3 + 2);
    assert!(steps(&store, "+/status") <= 50 * 3 + 2);
    assert_eq!(steps(&store, "nothing/+/here"), 1);
    assert_eq!(steps(&store, "+"), 50 + 1);
}

#[test]
fn the_longest_topics_and_filters_are_scanned() {
    let mut store = RetainedStore::new(4);
    let slashes = "/".repeat(65_535);
    let nearly = "/".repeat(65_534);
    store.insert(&slashes, 1);
    store.insert(&nearly, 2);
    let pluses = format!("{}+", "+/".repeat(32_767));
    assert_eq!(scan_all(&store, &pluses), []);
    assert_eq!(scan_all(&store, &format!("{}+", "/".repeat(65_534))), [(nearly, 2)]);
    assert_eq!(scan_all(&store, &format!("{}#", "+/".repeat(32_767))).len(), 2);
}

#[derive(Debug, Clone)]
enum Change {
    Insert(String, u32),
    Remove(String),
    Get(String),
    Scan(String),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        6 => (naive::topic(), any::<u32>()).prop_map(|(topic, value)| Change::Insert(topic, value)),
        2 => naive::topic().prop_map(Change::Remove),
        1 => naive::topic().prop_map(Change::Get),
        2 => naive::filter().prop_map(Change::Scan),
    ]
}

fn apply(store: &mut RetainedStore<u32>, model: &mut BTreeMap<String, u32>, change: &Change) {
    match change {
        Change::Insert(topic, value) => {
            assert_eq!(store.insert(topic, *value), model.insert(topic.clone(), *value));
        }
        Change::Remove(topic) => assert_eq!(store.remove(topic), model.remove(topic)),
        Change::Get(topic) => assert_eq!(store.get(topic), model.get(topic)),
        Change::Scan(filter) => {
            let mut found = scan_all(store, filter);
            found.sort();
            let matching = model.iter().filter(|(topic, _)| naive::matches(filter, topic));
            assert!(found.iter().map(|(topic, value)| (topic, value)).eq(matching), "{filter}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    // [MQTT-4.7.2-1] [MQTT-4.7.3-4] [MQTT-3.3.1-5] [MQTT3-4.7.2-1] [MQTT3-4.7.3-4]
    #[test]
    fn the_store_does_what_a_naive_one_does(
        seed: u64,
        changes in prop::collection::vec(change(), 0..150),
    ) {
        let mut store = RetainedStore::new(seed);
        let mut model = BTreeMap::new();
        for change in &changes {
            apply(&mut store, &mut model, change);
        }
        store.check_invariants();
        prop_assert_eq!(store.len(), model.len());
        for topic in model.into_keys() {
            prop_assert!(store.remove(&topic).is_some());
        }
        prop_assert_eq!(store.heap_bytes(), 0);
    }

    /// Topics come and go between the steps of a scan: what stays is visited exactly once, what
    /// comes or goes at most once.
    #[test]
    fn a_scan_stands_changes_between_its_steps(
        seed: u64,
        topics in prop::collection::btree_set(naive::topic(), 0..60),
        filter in naive::filter(),
        changes in prop::collection::vec((change(), 1..4_usize), 0..60),
    ) {
        let mut store = RetainedStore::new(seed);
        let mut model = BTreeMap::new();
        for topic in &topics {
            apply(&mut store, &mut model, &Change::Insert(topic.clone(), 0));
        }
        let mut stayed: BTreeMap<String, u32> = model.clone();
        let mut found: Vec<String> = Vec::new();
        let mut cursor = Cursor::default();
        for (change, budget) in &changes {
            apply(&mut store, &mut model, change);
            if let Change::Remove(topic) = change {
                stayed.remove(topic);
            }
            let before = found.len();
            let visit = &mut |topic: &str, _: &_| found.push(topic.to_owned());
            let end = store.scan(&filter, &mut cursor, *budget, visit);
            prop_assert!(found.len() - before <= *budget);
            if end == ScanEnd::Done {
                break;
            }
            // What was removed before the scan was over may or may not have been visited.
        }
        let visit = &mut |topic: &str, _: &_| found.push(topic.to_owned());
        while store.scan(&filter, &mut cursor, 5, visit) == ScanEnd::More {}
        let visits = found.len();
        found.sort();
        found.dedup();
        prop_assert_eq!(found.len(), visits, "at most once");
        prop_assert!(found.iter().all(|topic| naive::matches(&filter, topic)));
        for topic in stayed.keys().filter(|topic| naive::matches(&filter, topic)) {
            prop_assert!(found.contains(topic), "{} was there all the time", topic);
        }
    }
}

/// Enough topics for many blocks, in and out in several orders.
#[test]
fn many_topics_in_every_order() {
    const MANY: u32 = 5_000;
    for (into, out) in [(1, 1), (7919, 1), (1, 7919), (MANY - 1, 4999), (7919, 3)] {
        let mut store = RetainedStore::new(4);
        let topic = |step: u32, stride: u32| format!("t/{:05}/x", step * stride % MANY);
        for step in 0..MANY {
            assert_eq!(store.insert(&topic(step, into), step), None);
        }
        store.check_invariants();
        assert_eq!(scan_all(&store, "t/+/x").len(), MANY as usize);
        assert_eq!(scan_all(&store, "t/04999/#").len(), 1);
        for step in 0..MANY {
            assert!(store.remove(&topic(step, out)).is_some());
            if step % 500 == 0 {
                store.check_invariants();
                assert_eq!(scan_all(&store, "t/#").len(), (MANY - 1 - step) as usize);
            }
        }
        assert_eq!(store.heap_bytes(), 0);
    }
}
