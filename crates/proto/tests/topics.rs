//! Topic names and filters: the examples of section 4.7 and 4.8, and the equivalence with a naive
//! matcher.

use martlet_proto::topic::{
    Shared, TopicError, check_filter, check_name, is_wildcard, levels, matches, shared,
};
use proptest::prelude::*;

/// The examples of sections 4.7.1 to 4.7.3, and what follows from their text. [MQTT-4.7.2-1]
/// [MQTT3-4.7.2-1] [MQTT-4.7.3-4] [MQTT3-4.7.3-4]
const MATCHES: &[(&str, &str, bool)] = &[
    ("sport/tennis/player1/#", "sport/tennis/player1", true),
    ("sport/tennis/player1/#", "sport/tennis/player1/ranking", true),
    ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true),
    ("sport/tennis/player1/#", "sport/tennis/player2", false),
    ("sport/tennis/player1/#", "sport/tennis/player11", false),
    ("sport/#", "sport", true),
    ("sport/#", "sport/", true),
    ("sport/#", "sports", false),
    ("sport/#", "spor", false),
    ("#", "sport", true),
    ("#", "/", true),
    ("#", "a/b/c/d", true),
    ("sport/tennis/+", "sport/tennis/player1", true),
    ("sport/tennis/+", "sport/tennis/player2", true),
    ("sport/tennis/+", "sport/tennis/player1/ranking", false),
    ("sport/tennis/+", "sport/tennis", false),
    ("sport/+", "sport", false),
    ("sport/+", "sport/", true),
    ("+", "sport", true),
    ("+", "/finance", false),
    ("+/tennis/#", "sport/tennis", true),
    ("+/tennis/#", "sport/tennis/a/b", true),
    ("+/tennis/#", "sport/golf", false),
    ("sport/+/player1", "sport/tennis/player1", true),
    ("sport/+/player1", "sport/tennis/player2", false),
    ("sport/+/player1", "sport//player1", true),
    ("+/+", "/finance", true),
    ("/+", "/finance", true),
    ("+/+/#", "/finance", true),
    ("+/+/+", "/finance", false),
    ("/#", "/finance", true),
    ("/#", "/", true),
    ("/#", "", true),
    ("#", "$SYS/monitor", false),
    ("+/monitor/Clients", "$SYS/monitor/Clients", false),
    ("+/#", "$SYS/a", false),
    ("$SYS/#", "$SYS/monitor", true),
    ("$SYS/#", "$SYS", true),
    ("$SYS/monitor/+", "$SYS/monitor/Clients", true),
    ("a/#", "a/$b", true),
    ("a/+", "a/$b", true),
    ("$", "$", true),
    ("ACCOUNTS", "Accounts", false),
    ("Accounts payable", "Accounts payable", true),
    ("/finance", "finance", false),
    ("finance", "finance/", false),
    ("finance/", "finance", false),
    ("a//b", "a//b", true),
    ("a//b", "a/b", false),
    ("a/+/b", "a//b", true),
    ("é/+", "é/ü", true),
    // The same character, composed and decomposed: two topics.
    ("\u{e9}", "e\u{301}", false),
    ("\u{feff}a", "a", false),
];

#[test]
fn the_examples_match_as_the_standard_says() {
    for &(filter, topic, expected) in MATCHES {
        assert_eq!(matches(filter, topic), expected, "{filter} {topic}");
        assert_eq!(naive(filter, topic), expected, "naive: {filter} {topic}");
    }
}

/// [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.7.3-1] [MQTT-4.7.3-2] [MQTT-4.8.2-1] [MQTT-4.8.2-2]
/// [MQTT3-4.7.1-2] [MQTT3-4.7.1-3] [MQTT3-4.7.3-1] [MQTT3-4.7.3-2]
const FILTERS: &[(&str, Result<(), TopicError>)] = &[
    ("#", Ok(())),
    ("sport/tennis/#", Ok(())),
    ("+", Ok(())),
    ("+/tennis/#", Ok(())),
    ("sport/+/player1", Ok(())),
    ("/", Ok(())),
    ("//", Ok(())),
    ("/+/", Ok(())),
    ("Accounts payable", Ok(())),
    ("$SYS/#", Ok(())),
    ("$share", Ok(())),
    ("$sharex/a", Ok(())),
    ("sport/tennis#", Err(TopicError::MultiLevelWildcard)),
    ("sport/tennis/#/ranking", Err(TopicError::MultiLevelWildcard)),
    ("#/", Err(TopicError::MultiLevelWildcard)),
    ("##", Err(TopicError::MultiLevelWildcard)),
    ("+#", Err(TopicError::MultiLevelWildcard)),
    ("sport+", Err(TopicError::SingleLevelWildcard)),
    ("+a", Err(TopicError::SingleLevelWildcard)),
    ("a/++/b", Err(TopicError::SingleLevelWildcard)),
    ("", Err(TopicError::Empty)),
    ("a\0b", Err(TopicError::Nul)),
    // Section 4.8.2.
    ("$share/consumer/#", Ok(())),
    ("$share/consumer//finance", Ok(())),
    ("$share/consumer/sport/tennis/+", Ok(())),
    ("$share/a/$share/b/c", Ok(())),
    ("$share/", Err(TopicError::ShareName)),
    ("$share//", Err(TopicError::ShareName)),
    ("$share//a", Err(TopicError::ShareName)),
    ("$share/+/a", Err(TopicError::ShareName)),
    ("$share/#", Err(TopicError::ShareName)),
    ("$share/g#/a", Err(TopicError::ShareName)),
    ("$share/g", Err(TopicError::ShareFilter)),
    ("$share/g/", Err(TopicError::ShareFilter)),
    ("$share/g/a#", Err(TopicError::MultiLevelWildcard)),
    ("$share/g/a+/b", Err(TopicError::SingleLevelWildcard)),
    ("$share/g\0/a", Err(TopicError::Nul)),
    ("$share/g/a\0", Err(TopicError::Nul)),
];

#[test]
fn filters_are_as_the_standard_says() {
    for &(filter, expected) in FILTERS {
        assert_eq!(check_filter(filter), expected, "{filter:?}");
        let is_shared = expected.is_ok() && filter.starts_with("$share/");
        assert_eq!(shared(filter).is_some(), is_shared, "{filter:?}");
    }
    let parts = Shared { group: "consumer", filter: "/finance" };
    assert_eq!(shared("$share/consumer//finance"), Some(parts));
}

/// [MQTT-4.7.0-1] [MQTT3-4.7.1-1] [MQTT-4.7.3-1] [MQTT-4.7.3-2] [MQTT-4.7.3-3] [MQTT3-4.7.3-1]
/// [MQTT3-4.7.3-2] [MQTT3-4.7.3-3]
#[test]
fn names_have_no_wildcards() {
    let long = "a".repeat(65_535);
    for name in ["/", "a", "a b", "$SYS", "\u{feff}", &long] {
        assert_eq!(check_name(name), Ok(()));
    }
    let longer = "a".repeat(65_536);
    for text in [check_name, check_filter] {
        assert_eq!(text(""), Err(TopicError::Empty));
        assert_eq!(text(&longer), Err(TopicError::TooLong));
    }
    // At each place of a name that is longer than a word or two.
    for length in 1..40 {
        for at in 0..length {
            for (byte, error) in
                [(b'#', TopicError::Wildcard), (b'+', TopicError::Wildcard), (0, TopicError::Nul)]
            {
                let mut name = vec![b'x'; length];
                name[at] = byte;
                assert_eq!(check_name(std::str::from_utf8(&name).unwrap()), Err(error));
            }
        }
    }
    // Neighbours of what is looked for, and what differs from it in one bit.
    for byte in (1..128_u8).filter(|byte| !matches!(byte, b'+' | b'#')) {
        assert_eq!(check_name(std::str::from_utf8(&[byte; 9]).unwrap()), Ok(()));
    }
    for character in ['\u{80}', '\u{a3}', '\u{ab}', '\u{12b}', '\u{2300}', '\u{10ffff}'] {
        assert_eq!(check_name(&character.to_string().repeat(9)), Ok(()));
    }
}

#[test]
fn levels_may_be_empty() {
    assert!(levels("/a//b/").eq(["", "a", "", "b", ""]));
    assert!(levels("a").eq(["a"]));
    assert!(is_wildcard("a/+") && is_wildcard("#") && !is_wildcard("a/b"));
}

/// Section 4.7, word for word and level by level.
fn naive(filter: &str, topic: &str) -> bool {
    fn walk(filter: &[&str], topic: &[&str]) -> bool {
        match (filter, topic) {
            (["#"], _) => true,
            ([], []) => true,
            (["+", filter @ ..], [_, topic @ ..]) => walk(filter, topic),
            ([level, filter @ ..], [name, topic @ ..]) => level == name && walk(filter, topic),
            _ => false,
        }
    }
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let filter: Vec<&str> = filter.split('/').collect();
    let topic: Vec<&str> = topic.split('/').collect();
    walk(&filter, &topic)
}

/// Sections 4.7.1 and 4.8.2, level by level.
fn naive_filter(filter: &str) -> bool {
    let plain = |filter: &str| {
        let levels: Vec<&str> = filter.split('/').collect();
        !filter.is_empty()
            && !filter.contains('\0')
            && levels.iter().enumerate().all(|(at, level)| match *level {
                "#" => at + 1 == levels.len(),
                "+" => true,
                other => !other.contains(['+', '#']),
            })
    };
    match filter.strip_prefix("$share/") {
        None => plain(filter),
        Some(rest) => rest.split_once('/').is_some_and(|(group, filter)| {
            !group.is_empty() && !group.contains(['+', '#', '\0']) && plain(filter)
        }),
    }
}

proptest! {
    #[test]
    fn matching_is_as_the_naive_matcher_says(filter in "[ab$+#/]{1,8}", topic in "[ab$/]{1,8}") {
        prop_assume!(check_filter(&filter).is_ok());
        prop_assert_eq!(matches(&filter, &topic), naive(&filter, &topic));
    }

    #[test]
    fn a_filter_made_from_a_topic_matches(
        topic in "[ab/]{1,12}",
        picks in any::<u32>(),
        cut in 0..6_usize,
    ) {
        let mut parts: Vec<&str> = levels(&topic).collect();
        for (at, part) in parts.iter_mut().enumerate() {
            if picks >> at & 1 == 1 {
                *part = "+";
            }
        }
        if picks >> 31 == 1 {
            parts.truncate(cut);
            parts.push("#");
        }
        let filter = parts.join("/");
        prop_assert!(matches(&filter, &topic) || filter.len() > 1 && cut > levels(&topic).count());
        prop_assert_eq!(matches(&filter, &topic), naive(&filter, &topic));
    }

    #[test]
    fn filters_are_as_the_naive_check_says(filter in r"(\$share/)?[ab+#/]{0,7}\x00?") {
        prop_assert_eq!(check_filter(&filter).is_ok(), naive_filter(&filter));
    }

    #[test]
    fn names_are_as_the_naive_check_says(name in "[a-z/+#\u{0}é]{0,20}") {
        let valid = !name.is_empty() && !name.contains(['+', '#', '\0']);
        prop_assert_eq!(check_name(&name).is_ok(), valid);
    }

    #[test]
    fn nothing_panics(filter in any::<String>(), topic in any::<String>()) {
        let _ = (check_filter(&filter), check_name(&topic), shared(&filter));
        let _ = matches(&filter, &topic);
    }
}
