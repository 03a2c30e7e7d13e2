//! `cargo xtask tidy`: the habits of the code that a program can check.
//!
//! Owns the order of the checks and the list of agreed exceptions, `crates/xtask/tidy.allow`.
//! Each check lives in its own file and returns findings.

mod allow;
mod dependencies;
mod licences;
mod paths;
mod sizes;
mod unsafe_code;
mod words;
mod wrap;

use crate::Result;
use crate::args::Args;
use crate::project::{Project, TextFile};
use crate::source::Source;
use allow::Allowances;

/// A Rust file with its parts.
struct RustFile {
    file: TextFile,
    source: Source,
    /// Whether the whole file is compiled for tests only.
    test_only: bool,
}

/// One line that says what is wrong and where.
type Findings = Vec<String>;

/// `cargo xtask tidy`.
///
/// `--wrap` first flows the comments that are wider than a line may be.
pub(crate) fn command(project: &Project, mut args: Args) -> Result {
    let is_to_wrap = args.flag("--wrap");
    args.end()?;
    if is_to_wrap {
        wrap::command(project)?;
    }
    check(project)
}

/// Runs all checks and fails with all findings.
pub(crate) fn check(project: &Project) -> Result {
    let rust = rust_files(project)?;
    let mut allowed = Allowances::read(project)?;
    let mut findings = Findings::new();
    findings.extend(sizes::check(&rust, &mut allowed));
    findings.extend(words::check_rust(&rust));
    findings.extend(words::check_texts(&project.files(words::TEXT_ENDINGS)?));
    findings.extend(unsafe_code::check(&rust, &mut allowed));
    findings.extend(dependencies::check_bans(project)?);
    findings.extend(dependencies::check_list(project)?);
    findings.extend(licences::check(project)?);
    findings.extend(paths::check(project)?);
    findings.extend(allowed.unused());
    if findings.is_empty() {
        println!("tidy: {} Rust files, nothing found", rust.len());
        return Ok(());
    }
    Err(format!("{} findings:\n  {}", findings.len(), findings.join("\n  ")))
}

fn rust_files(project: &Project) -> Result<Vec<RustFile>> {
    let mut rust: Vec<RustFile> = project
        .files(&[".rs"])?
        .into_iter()
        .map(|file| RustFile {
            source: Source::new(&file.text),
            test_only: crate::spec::is_test_path(&file.path),
            file,
        })
        .collect();
    let test_modules = crate::spec::test_module_paths(
        rust.iter().map(|file| (file.file.path.as_str(), &file.source)),
    );
    for file in &mut rust {
        file.test_only |= test_modules.iter().any(|path| path.covers(&file.file.path));
    }
    Ok(rust)
}
