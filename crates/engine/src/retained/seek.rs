//! Owns the decision of a wildcard scan: does this topic match, and if not, from where on may one
//! match again? Must not know the store; it sees one topic at a time.

use super::order::{AFTER_SUBTREE, compare};
use crate::index::level::split;

/// What a scan does with the topic at hand.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It matches: visit it and go on with the next one.
    Match,
    /// It does not match, and nothing before the bound in the buffer does.
    Seek,
    /// Neither it nor anything after it matches.
    End,
}

/// The literal levels at the start of `filter`: no topic that sorts before them matches.
pub(super) fn literal_prefix(filter: &str) -> &str {
    let mut end = 0;
    let mut rest = Some(filter.as_bytes());
    while let Some(text) = rest {
        let (level, tail) = split(text);
        if level == b"+" || level == b"#" {
            return &filter[..end];
        }
        end = tail.map_or(filter.len(), |tail| filter.len() - tail.len() - 1);
        rest = tail;
    }
    filter
}

/// Judges `topic`, which does not sort before [`literal_prefix`]; fills `bound` if the verdict is
/// [`Verdict::Seek`].
pub(super) fn judge(filter: &str, topic: &str, bound: &mut String) -> Verdict {
    // [MQTT-4.7.2-1] [MQTT3-4.7.2-1] a leading wildcard does not match a topic that begins with
    // `$`.
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return seek(bound, "%", ""); // the byte after `$`
    }
    let (mut wanted, mut given) = (filter, topic);
    // Where in the topic the last level ends that a `+` took: the one to try another value for.
    let mut plus_end = None;
    loop {
        let (want, wanted_tail) = split_str(wanted);
        let (level, given_tail) = split_str(given);
        let level_start = topic.len() - given.len();
        match want {
            "#" => return Verdict::Match,
            "+" => plus_end = Some(level_start + level.len()),
            // [MQTT-4.7.3-4] [MQTT3-4.7.3-4] levels are compared byte for byte.
            _ if want == level => {}
            _ if compare(level.as_bytes(), want.as_bytes()).is_lt() => {
                return seek(bound, &topic[..level_start], literal_prefix(wanted));
            }
            _ => return after_plus(bound, topic, plus_end),
        }
        match (wanted_tail, given_tail) {
            (Some(want), Some(level)) => (wanted, given) = (want, level),
            // `#` stands for the parent level as well
            (None, None) | (Some("#"), None) => return Verdict::Match,
            (Some(want), None) => {
                let verdict = seek(bound, topic, "/");
                bound.push_str(literal_prefix(want));
                return verdict;
            }
            (None, Some(_)) => return after_plus(bound, topic, plus_end),
        }
    }
}

/// Nothing more matches with the value that the last `+` has: the next value, if there is a `+` at
/// all.
fn after_plus(bound: &mut String, topic: &str, plus_end: Option<usize>) -> Verdict {
    let Some(end) = plus_end else { return Verdict::End };
    let verdict = seek(bound, &topic[..end], "");
    bound.push(AFTER_SUBTREE);
    verdict
}

fn seek(bound: &mut String, start: &str, end: &str) -> Verdict {
    bound.clear();
    bound.push_str(start);
    bound.push_str(end);
    Verdict::Seek
}

fn split_str(text: &str) -> (&str, Option<&str>) {
    match text.split_once('/') {
        Some((level, tail)) => (level, Some(tail)),
        None => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts() {
        let cases = [
            // filter, topic, bound (or match, or end)
            ("a/#", "a", Ok(Verdict::Match)),
            ("a/#", "a/b/c", Ok(Verdict::Match)),
            ("a/#", "ab", Ok(Verdict::End)),
            ("a/b", "a/b/c", Ok(Verdict::End)),
            ("+/b/c", "x", Err("x/b/c")),
            ("+/b/c", "x/a/z", Err("x/b/c")),
            ("+/b/c", "x/b/c", Ok(Verdict::Match)),
            ("+/b/c", "x/b/c/d", Err("x\0")),
            ("+/b/c", "x/c", Err("x\0")),
            ("+/b/c", "$SYS/b/c", Err("%")),
            ("#", "$SYS/b/c", Err("%")),
            ("$SYS/#", "$SYS/b/c", Ok(Verdict::Match)),
            ("a/+/x", "a/k/y", Err("a/k\0")),
            ("a/+/x", "a/k/w/z", Err("a/k/x")),
            ("a/+/x", "b", Ok(Verdict::End)),
            ("a/+", "a", Err("a/")),
            ("a/+", "a/", Ok(Verdict::Match)),
            ("a/+", "a/b/c", Err("a/b\0")),
            ("a/+/b/+/c/d", "a/1/b/2/b", Err("a/1/b/2/c/d")),
            ("a/+/b/+/c/d", "a/1/c", Err("a/1\0")),
            ("a/+/b/+/c/d", "a/1/b/2/d", Err("a/1/b/2\0")),
        ];
        let mut bound = String::new();
        for (filter, topic, expected) in cases {
            let verdict = judge(filter, topic, &mut bound);
            let got = if verdict == Verdict::Seek { Err(bound.as_str()) } else { Ok(verdict) };
            assert_eq!(got, expected, "{filter} {topic}");
        }
    }

    #[test]
    fn literal_prefixes() {
        let cases =
            [("#", ""), ("+/a", ""), ("a/#", "a"), ("a/b/+/c", "a/b"), ("a/b", "a/b"), ("/+", "")];
        for (filter, prefix) in cases {
            assert_eq!(literal_prefix(filter), prefix, "{filter}");
        }
    }
}
