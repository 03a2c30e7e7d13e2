//! The files of `spec/`: statements, excuses, the least count.
//!
//! Owns their formats. Knows nothing about code.

use std::collections::BTreeMap;

use crate::Result;
use crate::project::Project;

/// Statements that cannot be covered, with the reason.
pub(super) const EXCUSES: &str = "spec/excused.tsv";
/// The least number of covered statements of each list.
pub(super) const MINIMUM: &str = "spec/coverage.min";

/// One of the two standards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum List {
    /// MQTT 5.0.
    V5,
    /// MQTT 3.1.1.
    V311,
}

impl List {
    /// The name in output and in `coverage.min`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::V5 => "mqtt5",
            Self::V311 => "mqtt311",
        }
    }

    fn path(self) -> &'static str {
        match self {
            Self::V5 => "spec/mqtt5-normative.tsv",
            Self::V311 => "spec/mqtt311-normative.tsv",
        }
    }

    /// The tag of an id: `MQTT-1.2.3-4` as it is, or `MQTT3-1.2.3-4` for the older standard.
    fn tag(self, id: &str) -> String {
        match self {
            Self::V5 => id.to_owned(),
            Self::V311 => id.replacen("MQTT-", "MQTT3-", 1),
        }
    }
}

/// A normative statement.
pub(super) struct Statement {
    /// What stands between the brackets in the code.
    pub(super) tag: String,
    /// The statement's words.
    pub(super) text: String,
}

/// Both lists, in their order.
pub(super) fn statements(project: &Project) -> Result<Vec<(List, Statement)>> {
    let mut statements = Vec::new();
    for list in [List::V5, List::V311] {
        for (id, text) in pairs(list.path(), &project.read(list.path())?)? {
            statements.push((list, Statement { tag: list.tag(&id), text }));
        }
    }
    Ok(statements)
}

/// Tag -> reason.
pub(super) struct Excuses(BTreeMap<String, String>);

impl Excuses {
    /// Reads the file.
    pub(super) fn read(project: &Project) -> Result<Self> {
        Self::parse(&project.read(EXCUSES)?)
    }

    /// Reads the file's text.
    pub(super) fn parse(text: &str) -> Result<Self> {
        Ok(Self(pairs(EXCUSES, text)?.into_iter().collect()))
    }

    /// Why a statement cannot be covered.
    pub(super) fn reason(&self, tag: &str) -> Option<&str> {
        self.0.get(tag).map(String::as_str)
    }

    /// The tags that have an excuse.
    pub(super) fn tags(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// List name -> least number of covered statements.
pub(super) fn minimum(project: &Project) -> Result<BTreeMap<String, usize>> {
    let text = project.read(MINIMUM)?;
    let mut least = BTreeMap::new();
    for line in text.lines() {
        let (name, number) = line.split_once(' ').ok_or("coverage.min: NAME NUMBER")?;
        let number = number.parse().map_err(|_| format!("{MINIMUM}: '{line}'"))?;
        least.insert(name.to_owned(), number);
    }
    Ok(least)
}

/// The text of `coverage.min` for the given counts.
pub(super) fn minimum_text(counts: [(List, usize); 2]) -> String {
    counts.map(|(list, covered)| format!("{} {covered}\n", list.name())).concat()
}

fn pairs(path: &str, text: &str) -> Result<Vec<(String, String)>> {
    let pair = |(at, line): (usize, &str)| match line.split_once('\t') {
        Some((id, text)) if !text.trim().is_empty() => Ok((id.to_owned(), text.to_owned())),
        _ => Err(format!("{path}:{}: ID<TAB>TEXT", at + 1)),
    };
    text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).map(pair).collect()
}
