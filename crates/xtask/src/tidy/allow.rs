//! The agreed exceptions: `crates/xtask/tidy.allow`.
//!
//! Owns the file's format: `RULE PLACE [LIMIT] REASON`, one a line. An entry that is no longer
//! needed is itself a finding, so the list only shrinks by being true.

use crate::Result;
use crate::project::Project;

/// Where the exceptions stand.
const FILE: &str = "crates/xtask/tidy.allow";

/// Rules that may have exceptions, and whether an entry carries a limit.
const RULES: &[(&str, bool)] = &[("file-lines", true), ("fn-lines", true), ("unsafe", false)];

struct Entry {
    rule: String,
    place: String,
    limit: usize,
    used: bool,
}

/// The list of exceptions.
pub(super) struct Allowances(Vec<Entry>);

impl Allowances {
    /// Reads the list.
    pub(super) fn read(project: &Project) -> Result<Self> {
        Self::parse(&project.read(FILE)?)
    }

    fn parse(text: &str) -> Result<Self> {
        let mut entries = Vec::new();
        for (number, line) in text.lines().enumerate() {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong = || format!("{FILE}:{}: RULE PLACE [LIMIT] REASON", number + 1);
            let mut words = line.split_whitespace();
            let rule = words.next().ok_or_else(wrong)?;
            let place = words.next().ok_or_else(wrong)?;
            let (_, has_limit) = RULES.iter().find(|(name, _)| *name == rule).ok_or_else(wrong)?;
            let limit = match has_limit {
                true => words.next().and_then(|word| word.parse().ok()).ok_or_else(wrong)?,
                false => 0,
            };
            words.next().ok_or_else(wrong)?;
            entries.push(Entry {
                rule: rule.to_owned(),
                place: place.to_owned(),
                limit,
                used: false,
            });
        }
        Ok(Self(entries))
    }

    /// The limit agreed for a place, if there is one; marks it as needed.
    pub(super) fn limit(&mut self, rule: &str, place: &str) -> Option<usize> {
        let entry = self.0.iter_mut().find(|entry| entry.rule == rule && entry.place == place)?;
        entry.used = true;
        Some(entry.limit)
    }

    /// Entries that nothing needed.
    pub(super) fn unused(&self) -> impl Iterator<Item = String> {
        let unused = self.0.iter().filter(|entry| !entry.used);
        unused.map(|entry| format!("{FILE}: '{} {}' is not needed", entry.rule, entry.place))
    }
}

#[cfg(test)]
mod tests {
    use super::Allowances;

    #[test]
    fn an_entry_needs_a_reason_and_a_use() {
        let mut list =
            Allowances::parse("# note\nfn-lines a.rs::f 90 a table\nunsafe b.rs C\n").unwrap();
        assert_eq!(list.limit("fn-lines", "a.rs::f"), Some(90));
        assert_eq!(list.limit("fn-lines", "a.rs::g"), None);
        assert_eq!(list.unused().count(), 1);
        assert!(Allowances::parse("fn-lines a.rs::f 90\n").is_err());
        assert!(Allowances::parse("width a.rs wide\n").is_err());
    }
}
