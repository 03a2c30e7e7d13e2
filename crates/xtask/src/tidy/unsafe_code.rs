//! `unsafe`: only in `net`, and each with its reason.
//!
//! Owns the rule. The compiler's `forbid(unsafe_code)` says the same for most crates; this check
//! also sees that nobody takes that line away.

use super::allow::Allowances;
use super::{Findings, RustFile};

/// The only crate that may hold `unsafe`.
const UNSAFE_CRATE: &str = "crates/net/";
/// Crates whose root must forbid it.
const FORBIDDING: &[&str] = &[
    "crates/proto/src/lib.rs",
    "crates/session/src/lib.rs",
    "crates/engine/src/lib.rs",
    "crates/broker/src/lib.rs",
];

/// Looks at every `unsafe` of the code.
pub(super) fn check(rust: &[RustFile], allowed: &mut Allowances) -> Findings {
    let mut findings = Findings::new();
    for file in rust {
        let path = &file.file.path;
        if FORBIDDING.contains(&path.as_str())
            && !file.file.text.contains("#![forbid(unsafe_code)]")
        {
            findings.push(format!("{path}: #![forbid(unsafe_code)] is missing"));
        }
        for at in file.source.words("unsafe") {
            let line = file.source.line_of(at);
            if !path.starts_with(UNSAFE_CRATE) {
                if allowed.limit("unsafe", path).is_none() {
                    findings.push(format!("{path}:{line}: unsafe outside {UNSAFE_CRATE}"));
                }
            } else if !is_explained(&file.file.text, line) {
                findings.push(format!("{path}:{line}: unsafe without a SAFETY comment"));
            }
        }
    }
    findings
}

/// Whether the line (from 1), or the comment or attribute lines right above it, say why.
fn is_explained(text: &str, line: usize) -> bool {
    let lines: Vec<&str> = text.lines().take(line).collect();
    let is_above = |line: &&&str| {
        let line = line.trim_start();
        line.starts_with("//") || line.starts_with('#') || line.ends_with('=')
    };
    let (own, above) = lines.split_last().map_or(("", &[][..]), |(own, above)| (*own, above));
    own.contains("SAFETY:")
        || above.iter().rev().take_while(is_above).any(|l| l.contains("SAFETY:"))
}

#[cfg(test)]
mod tests {
    use super::is_explained;

    #[test]
    fn a_reason_stands_right_above() {
        assert!(is_explained("// SAFETY: a\n// b\nlet x =\n    unsafe { f() };\n", 4));
        assert!(!is_explained("// SAFETY: a\nlet y = 1;\nunsafe { f() };\n", 3));
        assert!(!is_explained("unsafe { f() };\n", 1));
    }
}
