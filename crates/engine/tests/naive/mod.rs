//! Owns the slow and obvious matcher, and the topics and filters that the property tests draw.
//! Must not know the structures that are tested against it.

use proptest::prelude::*;

/// Section 4.7 by the letter.
pub(crate) fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && (filter.starts_with('+') || filter.starts_with('#')) {
        return false;
    }
    let filter: Vec<&str> = filter.split('/').collect();
    let topic: Vec<&str> = topic.split('/').collect();
    for (at, level) in filter.iter().enumerate() {
        match (*level, topic.get(at)) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (level, Some(given)) if level == *given => {}
            _ => return false,
        }
    }
    filter.len() == topic.len()
}

/// A literal level: few different ones, so that filters and topics meet; all lengths around those
/// that are packed differently.
fn level() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => prop::sample::select(vec!["a", "b", "", "$a", "ab"]).prop_map(String::from),
        1 => prop::sample::select(vec![
            "é",
            "abc",
            "abcd",
            "temperature",
            "temperaturE",
            "temperature1",
            "temperature2",
            "4b8a4a4e-1d43-4a5c-9d7c-000000000001",
            "4b8a4a4e-1d43-4a5c-9d7c-000000000002",
            "a b",
            "a-",
            "A",
        ])
        .prop_map(String::from),
        1 => "[ab]{0,13}",
    ]
}

/// A valid topic name.
pub(crate) fn topic() -> impl Strategy<Value = String> {
    prop::collection::vec(level(), 1..6)
        .prop_map(|levels| levels.join("/"))
        .prop_filter("at least one character", |topic| !topic.is_empty())
}

/// A valid topic filter, with or without wildcards.
pub(crate) fn filter() -> impl Strategy<Value = String> {
    let level = prop_oneof![2 => level(), 1 => Just(String::from("+"))];
    (prop::collection::vec(level, 0..5), any::<bool>())
        .prop_map(|(mut levels, multi)| {
            if multi || levels.is_empty() {
                levels.push(String::from("#"));
            }
            levels.join("/")
        })
        .prop_filter("at least one character", |filter| !filter.is_empty())
}

/// The examples of section 4.7 and the edges around them: filter, topic, whether they match.
pub(crate) const MATCHES: &[(&str, &str, bool)] = &[
    ("sport/tennis/player1/#", "sport/tennis/player1", true),
    ("sport/tennis/player1/#", "sport/tennis/player1/ranking", true),
    ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true),
    ("sport/tennis/player1/#", "sport/tennis/player10", false),
    ("sport/#", "sport", true),
    ("sport/#", "sports", false),
    ("#", "sport/tennis", true),
    ("#", "/", true),
    ("sport/tennis/+", "sport/tennis/player1", true),
    ("sport/tennis/+", "sport/tennis/player1/ranking", false),
    ("sport/+", "sport", false),
    ("sport/+", "sport/", true),
    ("+", "sport", true),
    ("+", "/finance", false),
    ("+/+", "/finance", true),
    ("/+", "/finance", true),
    ("+/tennis/#", "sport/tennis/player1", true),
    ("+/tennis/#", "sport/tennis", true),
    ("sport/+/player1", "sport/tennis/player1", true),
    ("sport/+/player1", "sport/player1", false),
    ("+/+/+", "a//", true),
    ("+/#", "a", true),
    ("+/#", "a/b/c", true),
    ("+/+/#", "a", false),
    ("#", "$SYS/broker", false),
    ("+/broker", "$SYS/broker", false),
    ("+/#", "$SYS/broker", false),
    ("$SYS/#", "$SYS/broker/clients", true),
    ("$SYS/#", "$SYS", true),
    ("$SYS/+", "$SYS/broker", true),
    ("$SYS/broker", "$SYS/broker", true),
    ("a/#", "a/$b", true),
    ("a/+", "a/$b", true),
    ("ACCOUNTS", "Accounts", false),
    ("/finance", "finance", false),
    ("finance/", "finance", false),
    ("a//b", "a/b", false),
    ("a/./b", "a/b", false),
    ("a /b", "a/b", false),
    ("é/+", "e\u{301}/x", false),
    ("Accounts payable/+", "Accounts payable/1", true),
    ("a/b", "a/b", true),
    ("a/b", "a/b/", false),
    ("a/b/", "a/b/", true),
];
