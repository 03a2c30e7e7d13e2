//! Licences: every package that is built is under a licence from the list.
//!
//! Owns the list and the reading of licence expressions (`A OR B`, `A AND B`, brackets, `A/B`).

use super::Findings;
use super::dependencies::MANIFESTS;
use crate::Result;
use crate::project::{self, Project};

/// Licences that ask for no more than their text beside ours.
const ALLOWED: &[&str] = &[
    "MIT",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "0BSD",
    "BSL-1.0",
    "Unlicense",
    "Unicode-3.0",
    "NCSA",
];

/// Looks at the licence of every package in the lock files.
pub(super) fn check(project: &Project) -> Result<Findings> {
    let mut findings = Findings::new();
    for manifest in MANIFESTS {
        let metadata = project.metadata(manifest, &["--locked"])?;
        for package in project::list(&metadata, "packages") {
            let (name, licence) =
                (project::text(package, "name"), project::text(package, "license"));
            if package["source"].is_string() && !is_allowed(licence) {
                findings.push(format!("{name}: licence '{licence}' is not in the list"));
            }
        }
    }
    Ok(findings)
}

/// Whether the expression can be met from the list.
fn is_allowed(expression: &str) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    let allowed = any(&mut rest);
    allowed && rest.is_empty()
}

fn any(words: &mut &[&str]) -> bool {
    let mut allowed = all(words);
    while words.first() == Some(&"OR") {
        *words = &words[1..];
        let other = all(words);
        allowed |= other;
    }
    allowed
}

fn all(words: &mut &[&str]) -> bool {
    let mut allowed = one(words);
    while words.first() == Some(&"AND") {
        *words = &words[1..];
        let other = one(words);
        allowed &= other;
    }
    allowed
}

fn one(words: &mut &[&str]) -> bool {
    if words.first() == Some(&"(") {
        *words = &words[1..];
        let allowed = any(words);
        let closed = words.first() == Some(&")");
        *words = words.get(1..).unwrap_or_default();
        return allowed && closed;
    }
    let length = if words.get(1) == Some(&"WITH") { 3 } else { 1 };
    let Some((licence, rest)) = words.split_at_checked(length) else { return false };
    *words = rest;
    ALLOWED.contains(&licence.join(" ").as_str())
}

#[cfg(test)]
mod tests {
    use super::is_allowed;

    #[test]
    fn reads_expressions() {
        assert!(is_allowed("MIT"));
        assert!(is_allowed("MIT/Apache-2.0"));
        assert!(is_allowed("GPL-3.0 OR MIT"));
        assert!(is_allowed("(MIT OR GPL-3.0) AND NCSA"));
        assert!(is_allowed("Apache-2.0 WITH LLVM-exception OR GPL-3.0"));
        assert!(!is_allowed("MIT AND GPL-3.0"));
        assert!(!is_allowed("(MIT OR GPL-3.0"));
        assert!(!is_allowed(""));
    }
}
