//! Paths in the texts: what a page points at exists.
//!
//! Owns two kinds: links of all pages, and the source files that ARCHITECTURE.md names.

use std::path::Path;

use super::Findings;
use crate::Result;
use crate::project::Project;

/// The page that describes the code by its files.
const ARCHITECTURE: &str = "ARCHITECTURE.md";

/// Looks for what is pointed at.
pub(super) fn check(project: &Project) -> Result<Findings> {
    let mut findings = Findings::new();
    let pages = project.files(&[".md"])?;
    let sources: Vec<String> = project.files(&[".rs"])?.into_iter().map(|file| file.path).collect();
    for page in &pages {
        let folder = Path::new(&page.path).parent().unwrap_or(Path::new(""));
        for link in links(&page.text) {
            if !project.root.join(folder).join(link).exists() {
                findings.push(format!("{}: nothing is at '{link}'", page.path));
            }
        }
        if page.path == ARCHITECTURE {
            let missing = quoted(&page.text).filter(|name| !exists(name, &sources));
            findings.extend(missing.map(|name| format!("{ARCHITECTURE}: there is no '{name}'")));
        }
    }
    Ok(findings)
}

/// Targets of relative links, without their anchors.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let relative = targets.filter(|target| !target.contains("://") && !target.starts_with('#'));
    relative.map(|target| target.split('#').next().unwrap_or(target))
}

/// Names of Rust files between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split('`').skip(1).step_by(2);
    words.filter(|word| word.ends_with(".rs"))
}

/// `engine/shard/on_bytes.rs` stands for `crates/engine/src/shard/on_bytes.rs`; a name without
/// its crate is looked for everywhere.
fn exists(name: &str, sources: &[String]) -> bool {
    let full = name.split_once('/').map(|(first, rest)| format!("crates/{first}/src/{rest}"));
    let below = format!("/src/{name}");
    let is_named =
        |path: &String| path == name || Some(path) == full.as_ref() || path.ends_with(&below);
    sources.iter().any(is_named)
}

#[cfg(test)]
mod tests {
    use super::{exists, links, quoted};

    #[test]
    fn finds_links_and_files() {
        let text = "[a](b.md#c) [d](https://e) `x/y.rs` and `z` [f](#g)";
        assert_eq!(links(text).collect::<Vec<_>>(), ["b.md"]);
        assert_eq!(quoted(text).collect::<Vec<_>>(), ["x/y.rs"]);
        let sources = ["crates/x/src/y.rs".to_owned()];
        assert!(exists("x/y.rs", &sources) && exists("y.rs", &sources));
        assert!(!exists("x/z.rs", &sources) && !exists("z/y.rs", &sources));
    }
}
