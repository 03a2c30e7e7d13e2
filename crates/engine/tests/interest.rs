//! The coarse interest of others: never less than what they announced, exactly that for wildcard
//! filters.

mod naive;

use std::collections::BTreeMap;

use martlet_engine::interest::{InterestChange, InterestMap, OwnInterest, ShardSet};
use proptest::prelude::*;

#[test]
fn a_set_names_its_members_in_order() {
    let mut set = ShardSet::EMPTY;
    for member in [63, 0, 17, 5, 17] {
        set.insert(member);
    }
    assert_eq!(set.iter().collect::<Vec<_>>(), [0, 5, 17, 63]);
    assert_eq!(set.len(), 4);
    set.remove(17);
    assert!(!set.contains(17) && set.contains(63) && !set.contains(64));
    assert_eq!(set.union(ShardSet::EMPTY), set);
}

#[test]
fn only_the_first_and_the_last_of_a_kind_are_announced() {
    let mut own = OwnInterest::new(3);
    assert_eq!(own.add("a/+"), Some(InterestChange::AddWildcard("a/+".into())));
    assert_eq!(own.add("a/+"), None);
    assert_eq!(own.remove("a/+"), None);
    assert_eq!(own.remove("a/+"), Some(InterestChange::RemoveWildcard("a/+".into())));
    let Some(InterestChange::AddBucket(bucket)) = own.add("a/b") else { panic!("the first") };
    assert_eq!(own.add("a/b"), None);
    assert_eq!(own.remove("a/b"), None);
    assert_eq!(own.remove("a/b"), Some(InterestChange::RemoveBucket(bucket)));
    assert_eq!(own.heap_bytes(), 0);
}

#[test]
fn interest_comes_and_goes() {
    let mut map = InterestMap::new(3);
    assert_eq!(map.interested("a/b"), ShardSet::EMPTY);
    for from in [2, 40] {
        // The second one does not fit in the narrow table of buckets.
        for filter in ["a/b", "a/+", "#"] {
            let mut own = OwnInterest::new(3);
            map.apply(from, &own.add(filter).expect("the first"));
        }
    }
    assert_eq!(map.interested("a/b").iter().collect::<Vec<_>>(), [2, 40]);
    assert_eq!(map.interested("$a/b"), ShardSet::EMPTY);
    map.apply(2, &InterestChange::RemoveWildcard("#".into()));
    map.apply(2, &InterestChange::RemoveWildcard("#".into()));
    map.apply(2, &InterestChange::RemoveWildcard("never/announced/#".into()));
    assert_eq!(map.interested("x").iter().collect::<Vec<_>>(), [40]);
    map.clear(40);
    assert_eq!(map.interested("x"), ShardSet::EMPTY);
    assert_eq!(map.interested("a/b").iter().collect::<Vec<_>>(), [2]);
    map.clear(2);
    assert_eq!(map.interested("a/b"), ShardSet::EMPTY);
    assert_eq!(map.heap_bytes(), 0);
}

// [MQTT-4.7.2-1] [MQTT-4.7.3-4] [MQTT3-4.7.2-1] [MQTT3-4.7.3-4]
#[test]
fn filters_match_as_section_4_7_says() {
    for &(filter, topic, expected) in naive::MATCHES {
        let mut map = InterestMap::new(3);
        map.apply(1, &OwnInterest::new(3).add(filter).expect("the first"));
        let found = map.interested(topic).contains(1);
        let may_be_more = !filter.contains(['+', '#']);
        assert!(found == expected || found && may_be_more, "{filter} {topic}");
    }
}

#[derive(Debug, Clone)]
enum Step {
    Add {
        from: usize,
        filter: String,
    },
    /// The nth filter, modulo their number, that this one has.
    Remove {
        from: usize,
        nth: usize,
    },
    Clear {
        from: usize,
    },
    Ask(String),
}

fn step() -> impl Strategy<Value = Step> {
    let from = || 0..OTHERS.len();
    prop_oneof![
        60 => (from(), naive::filter()).prop_map(|(from, filter)| Step::Add { from, filter }),
        40 => (from(), any::<usize>()).prop_map(|(from, nth)| Step::Remove { from, nth }),
        2 => from().prop_map(|from| Step::Clear { from }),
        40 => naive::topic().prop_map(Step::Ask),
    ]
}

/// Numbers on both sides of the limit of the narrow table.
const OTHERS: [u16; 4] = [0, 7, 8, 63];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nobody_who_is_interested_is_left_out(
        seed: u64,
        others in 1..=OTHERS.len(),
        steps in prop::collection::vec(step(), 0..200),
    ) {
        let mut map = InterestMap::new(seed);
        let mut owns: Vec<OwnInterest> = OTHERS.iter().map(|_| OwnInterest::new(seed)).collect();
        let mut models: Vec<BTreeMap<String, u32>> = vec![BTreeMap::new(); OTHERS.len()];
        for step in steps {
            match step {
                Step::Add { from, filter } => {
                    let from = from % others;
                    if let Some(change) = owns[from].add(&filter) {
                        map.apply(OTHERS[from], &change);
                    }
                    *models[from].entry(filter).or_default() += 1;
                }
                Step::Remove { from, nth } => {
                    let from = from % others;
                    let Some(nth) = nth.checked_rem(models[from].len()) else { continue };
                    let filter = models[from].keys().nth(nth).unwrap().clone();
                    if let Some(change) = owns[from].remove(&filter) {
                        map.apply(OTHERS[from], &change);
                    }
                    let count = models[from].get_mut(&filter).unwrap();
                    *count -= 1;
                    if *count == 0 {
                        models[from].remove(&filter);
                    }
                }
                Step::Clear { from } => {
                    let from = from % others;
                    map.clear(OTHERS[from]);
                    owns[from] = OwnInterest::new(seed);
                    models[from].clear();
                }
                Step::Ask(topic) => {
                    let found = map.interested(&topic);
                    for (from, model) in models.iter().enumerate() {
                        let wants = model.keys().any(|filter| naive::matches(filter, &topic));
                        let exact_filters = model.keys().any(|filter| !filter.contains(['+', '#']));
                        prop_assert!(!wants || found.contains(OTHERS[from]), "{} left out", topic);
                        prop_assert!(wants || exact_filters || !found.contains(OTHERS[from]));
                    }
                }
            }
        }
        for from in OTHERS {
            map.clear(from);
        }
        prop_assert_eq!(map.heap_bytes(), 0);
    }
}
