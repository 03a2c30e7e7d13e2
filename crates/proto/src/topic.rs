//! Topic names and topic filters (sections 4.7 and 4.8.2): what is well-formed, and what matches
//! what.
//!
//! Must not know subscriptions. All comparison is byte for byte, without any normalisation
//! [MQTT-4.7.3-4].

use core::fmt;

use crate::text::{self, Forbidden};

/// The greatest length of a topic name or filter in bytes.
pub const LEN_MAX: usize = 65_535;

const SHARE_PREFIX: &str = "$share/";

/// Why a string is no topic name or no topic filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TopicError {
    /// It has no characters.
    Empty,
    /// It is longer than [`LEN_MAX`].
    TooLong,
    /// It has U+0000.
    Nul,
    /// A topic name with `+` or `#`.
    Wildcard,
    /// A `#` that is not the whole last level of the filter.
    MultiLevelWildcard,
    /// A `+` that is not a whole level of the filter.
    SingleLevelWildcard,
    /// A filter that starts with `$share/` and has no share name, or one with a wildcard in it.
    ShareName,
    /// A filter that starts with `$share/`, and nothing follows the share name.
    ShareFilter,
}

impl TopicError {
    /// The normative statement that was broken.
    pub const fn clause(self) -> &'static str {
        match self {
            TopicError::Empty => "MQTT-4.7.3-1",
            TopicError::TooLong => "MQTT-4.7.3-3",
            TopicError::Nul => "MQTT-4.7.3-2",
            TopicError::Wildcard => "MQTT-4.7.0-1",
            TopicError::MultiLevelWildcard => "MQTT-4.7.1-1",
            TopicError::SingleLevelWildcard => "MQTT-4.7.1-2",
            TopicError::ShareName => "MQTT-4.8.2-1",
            TopicError::ShareFilter => "MQTT-4.8.2-2",
        }
    }
}

impl core::error::Error for TopicError {}

impl fmt::Display for TopicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TopicError::Empty => "it is empty",
            TopicError::TooLong => "it is longer than 65535 bytes",
            TopicError::Nul => "it has U+0000",
            TopicError::Wildcard => "it has a wildcard",
            TopicError::MultiLevelWildcard => "# is not the whole last level",
            TopicError::SingleLevelWildcard => "+ is not a whole level",
            TopicError::ShareName => "the share name is missing or has a wildcard",
            TopicError::ShareFilter => "no filter follows the share name",
        })
    }
}

/// Whether the string is a topic name.
#[inline]
pub fn check_name(name: &str) -> Result<(), TopicError> {
    check_length(name)?;
    match text::forbidden_in_name(name.as_bytes()) {
        None => Ok(()),
        Some(Forbidden::Nul) => Err(TopicError::Nul), // [MQTT-4.7.3-2] [MQTT3-4.7.3-2]
        Some(Forbidden::Wildcard) => Err(TopicError::Wildcard), // [MQTT-4.7.0-1] [MQTT3-4.7.1-1]
    }
}

#[inline]
fn check_length(text: &str) -> Result<(), TopicError> {
    match text.len() {
        0 => Err(TopicError::Empty), // [MQTT-4.7.3-1] [MQTT3-4.7.3-1]
        1..=LEN_MAX => Ok(()),
        _ => Err(TopicError::TooLong), // [MQTT-4.7.3-3] [MQTT3-4.7.3-3]
    }
}

/// Whether the string is a topic filter, be it of a shared subscription or not.
pub fn check_filter(filter: &str) -> Result<(), TopicError> {
    check_length(filter)?;
    match filter.strip_prefix(SHARE_PREFIX) {
        None => check_levels(filter),
        Some(rest) => {
            // [MQTT-4.8.2-2] a share name ends with a `/`, and a topic filter follows
            let (group, filter) = rest.split_once('/').unwrap_or((rest, ""));
            // [MQTT-4.8.2-1] [MQTT-4.8.2-2] at least one character, none of them a wildcard
            if group.is_empty() || is_wildcard(group) {
                return Err(TopicError::ShareName);
            }
            if filter.is_empty() {
                return Err(TopicError::ShareFilter);
            }
            if text::has_nul(group.as_bytes()) {
                return Err(TopicError::Nul);
            }
            check_levels(filter)
        }
    }
}

fn check_levels(filter: &str) -> Result<(), TopicError> {
    if text::has_nul(filter.as_bytes()) {
        return Err(TopicError::Nul); // [MQTT-4.7.3-2] [MQTT3-4.7.3-2]
    }
    if !is_wildcard(filter) {
        return Ok(());
    }
    let mut rest = levels(filter);
    while let Some(level) = rest.next() {
        if level.contains('#') && (level.len() > 1 || rest.next().is_some()) {
            return Err(TopicError::MultiLevelWildcard); // [MQTT-4.7.1-1] [MQTT3-4.7.1-2]
        }
        if level.contains('+') && level.len() > 1 {
            return Err(TopicError::SingleLevelWildcard); // [MQTT-4.7.1-2] [MQTT3-4.7.1-3]
        }
    }
    Ok(())
}

/// The two parts of the filter of a shared subscription, `$share/{group}/{filter}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shared<'a> {
    /// The ShareName.
    pub group: &'a str,
    /// The topic filter that messages are matched with.
    pub filter: &'a str,
}

/// The parts of a valid filter of a shared subscription; `None` for any other filter, and for an
/// ill-formed one.
pub fn shared(filter: &str) -> Option<Shared<'_>> {
    let (group, inner) = filter.strip_prefix(SHARE_PREFIX)?.split_once('/')?;
    check_filter(filter).ok()?;
    Some(Shared { group, filter: inner })
}

/// Whether a valid filter matches a valid topic name. A shared subscription is matched with its
/// [`Shared::filter`].
pub fn matches(filter: &str, topic: &str) -> bool {
    let (mut filter, mut topic) = (filter.as_bytes(), topic.as_bytes());
    // [MQTT-4.7.2-1] [MQTT3-4.7.2-1]
    if topic.first() == Some(&b'$') && matches!(filter.first(), Some(b'+' | b'#')) {
        return false;
    }
    // Both stand at the beginning of a level.
    loop {
        match filter.first() {
            Some(b'#') => return true,
            Some(b'+') => {
                filter = &filter[1..];
                let level = topic.iter().position(|&byte| byte == b'/').unwrap_or(topic.len());
                topic = &topic[level..];
            }
            _ => {
                // [MQTT-4.7.3-4] [MQTT3-4.7.3-4] the bytes as they are
                let level = filter.iter().position(|&byte| byte == b'/').unwrap_or(filter.len());
                let Some(rest) = topic.strip_prefix(&filter[..level]) else { return false };
                (filter, topic) = (&filter[level..], rest);
            }
        }
        match (filter.split_first(), topic.split_first()) {
            (None, None) => return true,
            (Some((b'/', more)), Some((b'/', rest))) => (filter, topic) = (more, rest),
            // `sport/#` matches `sport` too.
            (Some(_), None) => return filter == b"/#",
            _ => return false,
        }
    }
}

/// Whether the filter has a wildcard, that is `+` or `#`.
pub fn is_wildcard(filter: &str) -> bool {
    filter.bytes().any(|byte| byte == b'+' || byte == b'#')
}

/// The levels of a topic name or filter, at least one; a level may be empty.
pub fn levels(topic: &str) -> core::str::Split<'_, char> {
    topic.split('/')
}
