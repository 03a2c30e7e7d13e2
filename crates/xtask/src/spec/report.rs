//! The coverage in words: on the terminal and as a page of the documentation.
//!
//! Owns the layout only.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;

use super::Row;

/// The page that `--markdown` writes.
pub(super) const MARKDOWN: &str = "docs/spec-coverage.md";

/// Places shown per statement and side.
const PLACES_MAX: usize = 3;
/// Characters of a statement shown for an open one.
const TEXT_MAX: usize = 110;

/// One line a statement; open ones with their words.
pub(super) fn print(rows: &[Row<'_>], uncovered_only: bool) {
    let mut text = String::new();
    for row in rows {
        let open = !row.is_covered() && row.excuse.is_none();
        if uncovered_only && !open {
            continue;
        }
        let _ = writeln!(text, "{:<17} {}", row.statement.tag, state(row));
        if open {
            let words: String = row.statement.text.chars().take(TEXT_MAX).collect();
            let _ = writeln!(text, "{:<17} \"{words}\"", "");
        }
    }
    // A reader that has seen enough closes the pipe: no reason to complain.
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn state(row: &Row<'_>) -> String {
    if !row.is_covered()
        && let Some(reason) = row.excuse
    {
        return format!("excused: {reason}");
    }
    format!("{} -> {}", places(&row.places.code, "NO CODE"), places(&row.places.tests, "NO TEST"))
}

fn places(places: &[String], none: &str) -> String {
    let shown = places.iter().take(PLACES_MAX).map(String::as_str).collect::<Vec<_>>().join(" ");
    match places.len() {
        0 => none.to_owned(),
        n if n > PLACES_MAX => format!("{shown} +{}", n - PLACES_MAX),
        _ => shown,
    }
}

/// The whole table as a page. Files only: lines move with every change.
pub(super) fn markdown(rows: &[Row<'_>]) -> String {
    let mut page = String::from(
        "# Normative statements, code and tests\n\n\
         Written by `cargo xtask spec --markdown`; do not edit. `cargo xtask spec` shows the\n\
         lines. The statements' words are in `spec/mqtt5-normative.tsv` and\n\
         `spec/mqtt311-normative.tsv`.\n\n\
         | statement | code | test |\n|---|---|---|\n",
    );
    for row in rows {
        let tag = &row.statement.tag;
        let _ = match row.excuse {
            Some(reason) if !row.is_covered() => {
                writeln!(page, "| {tag} | excused: {reason} | |")
            }
            _ => {
                let (code, tests) = (files(&row.places.code), files(&row.places.tests));
                writeln!(page, "| {tag} | {code} | {tests} |")
            }
        };
    }
    page
}

/// The files of the places, each once.
fn files(places: &[String]) -> String {
    let files = places.iter().map(|place| place.split(':').next().unwrap_or(place));
    let files: Vec<String> =
        files.collect::<BTreeSet<_>>().into_iter().map(str::to_owned).collect();
    self::places(&files, "-")
}
