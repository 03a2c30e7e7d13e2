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
    let mut tags = scan::tags(project)?;
    let mut rows = Vec::new();
    for (list, statement) in &statements {
        let places = tags.remove(&statement.tag).unwrap_or_default();
        rows.push(Row { list: *list, statement, places, excuse: excuses.reason(&statement.tag) });
    }
    let known = |tag: &str| statements.iter().any(|(_, statement)| statement.tag == tag);
    let mut wrong: Vec<String> = unknown_tags(&tags);
    wrong.extend(
        excuses
            .tags()
            .filter(|tag| !known(tag))
            .map(|tag| format!("{}: {tag} is in neither list", lists::EXCUSES)),
    );
    let needless = rows.iter().filter(|row| row.is_covered() && row.excuse.is_some());
    wrong.extend(needless.map(|row| {
        format!("{}: {} is covered and needs no excuse", lists::EXCUSES, row.statement.tag)
    }));
    then(&rows)?;
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
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
    let mut fallen = Vec::new();
    for (list, covered) in counts(rows) {
        let of_list = || rows.iter().filter(|row| row.list == list);
        let excused = of_list().filter(|row| !row.is_covered() && row.excuse.is_some()).count();
        let total = of_list().count();
        let least = minimum.get(list.name()).copied().unwrap_or(0);
        println!(
            "spec: {}: {covered} of {total} covered, {excused} excused, {} open (at least {least})",
            list.name(),
            total - covered - excused
        );
        if covered < least {
            fallen.push(format!("{}: {covered} covered, but it was {least}", list.name()));
        }
    }
    if fallen.is_empty() { Ok(()) } else { Err(fallen.join("\n")) }
}
