//! Words: names and marks that the project does not use, and the header of each file.
//!
//! Owns the lists of banned names and texts.

use super::{Findings, RustFile};
use crate::project::TextFile;
use crate::source;

/// Names that say nothing about what a file or type owns.
const BANNED_NAMES: &[&str] = &["util", "utils", "common", "manager", "helper", "helpers", "misc"];
/// Endings of type names that say as little.
const BANNED_TYPE_ENDINGS: &[&str] = &["Manager", "Helper", "Helpers", "Util", "Utils"];
/// Code that is not meant to stay.
const BANNED_CODE: &[&str] = &["todo!(", "unimplemented!(", "dbg!(", "#[ignore"];
/// Marks of unfinished work, in code and comments.
const BANNED_MARKS: &[&str] = &[concat!("FIX", "ME"), concat!("X", "XX")];
/// Folders of one machine.
const MACHINE_FOLDERS: &[&str] =
    &[concat!("/wor", "k/"), concat!("/tm", "p/"), concat!("/roo", "t/")];

/// Endings of the texts that are looked at.
pub(super) const TEXT_ENDINGS: &[&str] = &[
    ".rs",
    ".md",
    ".toml",
    ".tsv",
    ".sh",
    ".py",
    ".js",
    ".mjs",
    ".c",
    ".yml",
    ".yaml",
    ".txt",
    "/run",
    "LICENSE-MIT",
    "LICENSE-APACHE",
];

/// Header, names and left-overs of Rust files.
pub(super) fn check_rust(rust: &[RustFile]) -> Findings {
    let mut findings = Findings::new();
    for file in rust {
        let path = &file.file.path;
        if !has_header(&file.file.text) {
            findings
                .push(format!("{path}: the first lines say what it owns and must not know (//!)"));
        }
        for banned in BANNED_CODE {
            for at in places(&file.source.code, banned) {
                findings.push(format!("{path}:{}: {banned}", file.source.line_of(at)));
            }
        }
        for mark in BANNED_MARKS {
            let in_comments = source::words(&file.source.comments, mark);
            for at in in_comments.into_iter().chain(file.source.words(mark)) {
                findings.push(format!("{path}:{}: {mark}", file.source.line_of(at)));
            }
        }
        findings.extend(check_type_names(file));
    }
    findings
}

/// File names and machine folders in all texts.
pub(super) fn check_texts(texts: &[TextFile]) -> Findings {
    let mut findings = Findings::new();
    for TextFile { path, text } in texts {
        let stems = path.split('/').map(|part| part.split('.').next().unwrap_or(part));
        for stem in stems.filter(|stem| BANNED_NAMES.contains(stem)) {
            findings.push(format!("{path}: '{stem}' does not say what it owns"));
        }
        for (at, line) in text.lines().enumerate() {
            for folder in MACHINE_FOLDERS.iter().filter(|folder| line.contains(**folder)) {
                findings.push(format!("{path}:{}: {folder} is a folder of one machine", at + 1));
            }
        }
    }
    findings
}

fn has_header(text: &str) -> bool {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with("#!["));
    lines.next().is_some_and(|line| line.starts_with("//!"))
}

fn check_type_names(file: &RustFile) -> Findings {
    let code = String::from_utf8_lossy(&file.source.code);
    let mut findings = Findings::new();
    for (at, line) in code.lines().enumerate() {
        let words: Vec<&str> = line.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
        for pair in words.windows(2) {
            let is_type = matches!(pair[0], "struct" | "enum" | "trait" | "type");
            let is_banned = BANNED_TYPE_ENDINGS.iter().any(|ending| pair[1].ends_with(ending))
                || (pair[0] == "mod" && BANNED_NAMES.contains(&pair[1]));
            if is_banned && (is_type || pair[0] == "mod") {
                findings.push(format!("{}:{}: name '{}'", file.file.path, at + 1, pair[1]));
            }
        }
    }
    findings
}

fn places(text: &[u8], wanted: &str) -> Vec<usize> {
    let windows = text.windows(wanted.len()).enumerate();
    windows.filter(|(_, window)| *window == wanted.as_bytes()).map(|(at, _)| at).collect()
}

#[cfg(test)]
mod tests {
    use super::{RustFile, check_rust, check_texts, has_header};
    use crate::project::TextFile;
    use crate::source::Source;

    fn file(text: &str) -> RustFile {
        let file = TextFile { path: "a.rs".to_owned(), text: text.to_owned() };
        RustFile { source: Source::new(text), file, test_only: false }
    }

    #[test]
    fn wants_a_header() {
        assert!(has_header("#![no_std]\n\n//! Owns.\n"));
        assert!(!has_header("// Owns.\nfn f() {}\n"));
    }

    #[test]
    fn finds_what_must_not_stay() {
        let text = "//! H\nfn f() { todo!() }\nstruct TopicManager;\n// in a comment: todo!(\n";
        assert_eq!(check_rust(&[file(text)]), ["a.rs:2: todo!(", "a.rs:3: name 'TopicManager'"]);
    }

    #[test]
    fn finds_names_and_folders() {
        let text = |path: &str, text: String| TextFile { path: path.to_owned(), text };
        let texts = [
            text("crates/x/src/utils.rs", String::new()),
            text("README.md", format!("see {}\n", super::MACHINE_FOLDERS[0])),
        ];
        assert_eq!(check_texts(&texts).len(), 2);
    }
}
