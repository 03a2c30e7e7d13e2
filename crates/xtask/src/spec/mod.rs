//! `cargo xtask spec`: normative statement -> code -> test, for both standards.
//!
//! Owns the verdict: what is covered, excused, missing, and whether the count has fallen. Reading
//! the lists is in `lists`, finding tags in `scan`, printing in `report`.

mod lists;
mod report;
mod scan;

use std::collections::BTreeMap;

use crate::Result;
use crate::args::Args;
use crate::project::Project;
use lists::{Excuses, List, Statement};
pub(crate) use scan::{is_test_path, test_module_paths};

/// Where a statement's tag stands.
#[derive(Default)]
struct Places {
    code: Vec<String>,
    tests: Vec<String>,
}

/// A statement with what is known of it.
struct Row<'a> {
    list: List,
    statement: &'a Statement,
    places: Places,
    excuse: Option<&'a str>,
}

impl Row<'_> {
    fn is_covered(&self) -> bool {
        !self.places.code.is_empty() && !self.places.tests.is_empty()
    }
}

/// `cargo xtask spec`.
pub(crate) fn command(project: &Project, mut args: Args) -> Result {
    let uncovered_only = args.flag("--uncovered");
    let markdown = args.flag("--markdown");
    let ratchet = args.flag("--ratchet");
    args.end()?;
    with_rows(project, |rows| {
        if markdown {
            project.write(report::MARKDOWN, &report::markdown(rows))?;
            println!("spec: wrote {}", report::MARKDOWN);
        } else {
            report::print(rows, uncovered_only);
        }
        if ratchet {
            project.write(lists::MINIMUM, &lists::minimum_text(counts(rows)))?;
        }
        verdict(project, rows)
    })
}

/// The short form for the test run: counts and verdict.
pub(crate) fn check(project: &Project) -> Result {
    with_rows(project, |rows| verdict(project, rows))
}

fn with_rows(project: &Project, then: impl FnOnce(&[Row<'_>]) -> Result) -> Result {
    let statements = lists::statements(project)?;
    let excuses = Excuses::read(project)?;
    let (rows, wrong) = rows(&statements, &excuses, scan::tags(project)?);
    then(&rows)?;
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

/// Every statement with its places, and what does not fit together.
fn rows<'a>(
    statements: &'a [(List, Statement)],
    excuses: &'a Excuses,
    mut tags: BTreeMap<String, Places>,
) -> (Vec<Row<'a>>, Vec<String>) {
    let mut rows = Vec::new();
    for (list, statement) in statements {
        let places = tags.remove(&statement.tag).unwrap_or_default();
        rows.push(Row { list: *list, statement, places, excuse: excuses.reason(&statement.tag) });
    }
    let mut wrong = unknown_tags(&tags);
    let is_known = |tag: &str| statements.iter().any(|(_, statement)| statement.tag == tag);
    for tag in excuses.tags().filter(|tag| !is_known(tag)) {
        wrong.push(format!("{}: {tag} is in neither list", lists::EXCUSES));
    }
    for row in rows.iter().filter(|row| row.is_covered() && row.excuse.is_some()) {
        let tag = &row.statement.tag;
        wrong.push(format!("{}: {tag} is covered and needs no excuse", lists::EXCUSES));
    }
    (rows, wrong)
}

/// What is left after every statement took its tags.
fn unknown_tags(left: &BTreeMap<String, Places>) -> Vec<String> {
    let place = |places: &Places| {
        let first = places.code.first().or(places.tests.first());
        first.cloned().unwrap_or_default()
    };
    left.iter()
        .map(|(tag, places)| format!("{}: [{tag}] is in neither list", place(places)))
        .collect()
}

/// Covered statements of each list.
fn counts(rows: &[Row<'_>]) -> [(List, usize); 2] {
    [List::V5, List::V311]
        .map(|list| (list, rows.iter().filter(|row| row.list == list && row.is_covered()).count()))
}

fn verdict(project: &Project, rows: &[Row<'_>]) -> Result {
    let minimum = lists::minimum(project)?;
    for (list, covered) in counts(rows) {
        let of_list = || rows.iter().filter(|row| row.list == list);
        let excused = of_list().filter(|row| !row.is_covered() && row.excuse.is_some()).count();
        let total = of_list().count();
        println!(
            "spec: {}: {covered} of {total} covered, {excused} excused, {} open (at least {})",
            list.name(),
            total - covered - excused,
            minimum.get(list.name()).unwrap_or(&0)
        );
    }
    let mut wrong = fallen(counts(rows), &minimum);
    wrong.extend(open(rows).map(|row| format!("{} is open", row.statement.tag)));
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

/// Statements that are neither covered nor excused.
fn open<'a>(rows: &'a [Row<'a>]) -> impl Iterator<Item = &'a Row<'a>> {
    rows.iter().filter(|row| !row.is_covered() && row.excuse.is_none())
}

/// The lists that cover less than they did.
fn fallen(counts: [(List, usize); 2], minimum: &BTreeMap<String, usize>) -> Vec<String> {
    let mut fallen = Vec::new();
    for (list, covered) in counts {
        let least = minimum.get(list.name()).copied().unwrap_or(0);
        if covered < least {
            fallen.push(format!("{}: {covered} covered, but it was {least}", list.name()));
        }
    }
    fallen
}

#[cfg(test)]
mod tests {
    use super::lists::{Excuses, List, Statement};
    use super::{Places, counts, fallen, open, rows};
    use std::collections::BTreeMap;

    fn statement(list: List, tag: &str) -> (List, Statement) {
        (list, Statement { tag: tag.to_owned(), text: "MUST".to_owned() })
    }

    fn places(code: usize, tests: usize) -> Places {
        let place = |n| vec!["a.rs:1".to_owned(); n];
        Places { code: place(code), tests: place(tests) }
    }

    #[test]
    fn judges_coverage_excuses_and_unknown_tags() {
        let statements = [
            statement(List::V5, "MQTT-1.1.1-1"),
            statement(List::V5, "MQTT-1.1.1-2"),
            statement(List::V311, "MQTT3-1.1.1-1"),
        ];
        let excuses = Excuses::parse("MQTT-1.1.1-1\tlater\nMQTT-9.9.9-9\tnever\n").unwrap();
        let tags = BTreeMap::from([
            ("MQTT-1.1.1-1".to_owned(), places(1, 1)),
            ("MQTT3-1.1.1-1".to_owned(), places(1, 0)),
            ("MQTT-7.7.7-7".to_owned(), places(0, 1)),
        ]);
        let (rows, wrong) = rows(&statements, &excuses, tags);
        assert_eq!(
            wrong,
            [
                "a.rs:1: [MQTT-7.7.7-7] is in neither list",
                "spec/excused.tsv: MQTT-9.9.9-9 is in neither list",
                "spec/excused.tsv: MQTT-1.1.1-1 is covered and needs no excuse",
            ]
        );
        let minimum = BTreeMap::from([("mqtt5".to_owned(), 1), ("mqtt311".to_owned(), 1)]);
        let counts = counts(&rows);
        assert_eq!(counts.map(|(_, covered)| covered), [1, 0]);
        let open: Vec<&str> = open(&rows).map(|row| row.statement.tag.as_str()).collect();
        assert_eq!(open, ["MQTT-1.1.1-2", "MQTT3-1.1.1-1"]);
        assert_eq!(fallen(counts, &minimum), ["mqtt311: 0 covered, but it was 1"]);
    }
}
