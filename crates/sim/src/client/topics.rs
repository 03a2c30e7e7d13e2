//! The topics and filters of a run. Share groups have topics of their own, so that their copies can
//! be counted; must not know who uses them.

use crate::random::Random;

/// Topics of ordinary messages. One begins with a dollar sign, one has an empty level.
pub const PLAIN_TOPICS: &[&str] = &["a/b", "a/c", "a/b/d", "b/b", "b//d", "a", "$x/b"];

/// Topics of messages for share groups.
pub const GROUP_TOPICS: &[&str] = &["g/1", "g/2"];

const FILTERS: &[&str] =
    &["a/b", "a/c", "b/b", "a", "a/#", "a/+", "+/b", "+/+/d", "b/+", "a/b/#", "b/#", "$x/+"];

/// Filters that also match the topics of share groups.
const WIDE_FILTERS: &[&str] = &["#", "+/#", "+/+", "+"];

const GROUP_FILTERS: &[&str] =
    &["$share/one/g/+", "$share/one/g/1", "$share/two/g/+", "$share/two/g/#"];

/// Every topic.
#[must_use]
pub fn all_topics() -> Vec<&'static str> {
    [PLAIN_TOPICS, GROUP_TOPICS].concat()
}

/// A topic to publish to.
pub(super) fn any_topic(random: &mut Random, shared: bool) -> &'static str {
    if shared && random.chance(40) { random.pick(GROUP_TOPICS) } else { random.pick(PLAIN_TOPICS) }
}

/// A filter to subscribe to.
pub(super) fn any_filter(random: &mut Random, shared: bool) -> &'static str {
    match shared {
        true if random.chance(40) => random.pick(GROUP_FILTERS),
        false if random.chance(20) => random.pick(WIDE_FILTERS),
        _ => random.pick(FILTERS),
    }
}
