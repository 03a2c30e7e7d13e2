//! Sizes: lines of a file, lines of a function, columns of a line.
//!
//! Owns the limits. Tests are not limited in lines, but in columns like everything.

use super::allow::Allowances;
use super::{Findings, RustFile};

/// A file without its tests: more is a finding whatever is agreed.
const FILE_LINES_MAX: usize = 1000;
/// More than this is a finding unless `tidy.allow` has the file with a limit of its own.
const FILE_LINES_GOAL: usize = 500;
/// A function from `fn` to its closing brace.
const FUNCTION_LINES_MAX: usize = 70;
/// Characters in a line.
pub(super) const LINE_WIDTH_MAX: usize = 100;

/// Compares every file with the limits.
pub(super) fn check(rust: &[RustFile], allowed: &mut Allowances) -> Findings {
    let mut findings = Findings::new();
    for file in rust {
        findings.extend(check_width(file));
        if file.test_only {
            continue;
        }
        findings.extend(check_file_lines(file, allowed));
        findings.extend(check_functions(file, allowed));
    }
    findings
}

fn check_width(file: &RustFile) -> Findings {
    let wide = |(at, line): (usize, &str)| {
        let width = line.chars().count();
        let finding = format!("{}:{}: {width} columns", file.file.path, at + 1);
        (width > LINE_WIDTH_MAX).then_some(finding)
    };
    file.file.text.lines().enumerate().filter_map(wide).collect()
}

fn check_file_lines(file: &RustFile, allowed: &mut Allowances) -> Option<String> {
    let (path, lines) = (&file.file.path, file.source.lines_without_tests());
    if lines > FILE_LINES_MAX {
        return Some(format!("{path}: {lines} lines, {FILE_LINES_MAX} at most; split the state"));
    }
    if lines <= FILE_LINES_GOAL {
        return None;
    }
    match allowed.limit("file-lines", path) {
        Some(limit) if lines > limit => Some(format!("{path}: {lines} lines, {limit} agreed")),
        Some(_) => None,
        None => {
            println!("tidy: note: {path} has {lines} lines (goal {FILE_LINES_GOAL})");
            None
        }
    }
}

fn check_functions(file: &RustFile, allowed: &mut Allowances) -> Findings {
    let mut findings = Findings::new();
    for function in file.source.functions() {
        if function.test_only || function.lines <= FUNCTION_LINES_MAX {
            continue;
        }
        let path = &file.file.path;
        let place = format!("{path}::{}", function.name);
        let limit = allowed.limit("fn-lines", &place).unwrap_or(FUNCTION_LINES_MAX);
        if function.lines > limit {
            findings.push(format!(
                "{path}:{}: fn {} has {} lines, {limit} at most",
                function.line, function.name, function.lines
            ));
        }
    }
    findings
}
