//! Where the tags stand: in code or in tests.
//!
//! Owns the decision what a test is. A tag in Rust counts in comments only; elsewhere in any line.

use std::collections::BTreeMap;

use super::Places;
use crate::Result;
use crate::project::Project;
use crate::source::Source;

/// What may carry tags.
const ENDINGS: &[&str] = &[".rs", ".py", ".js", ".mjs", ".sh"];
/// Folders with this name hold nothing but tests and measurements.
const TEST_FOLDERS: &[&str] = &["tests", "benches", "examples", "fuzz", "tests.rs"];
/// The simulator is code like any other, but its tags name what its checkers prove.
const SIMULATOR: &str = "crates/sim/";
/// xtask itself carries no tags: it writes about them.
const SKIPPED: &str = "crates/xtask/";

/// Whether a file is there to test or to measure, judged by its path alone.
pub(crate) fn is_test_path(path: &str) -> bool {
    path.ends_with("_tests.rs") || path.split('/').any(|part| TEST_FOLDERS.contains(&part))
}

/// The place of a module that another file declares as `#[cfg(test)] mod NAME;`.
pub(crate) struct TestModule {
    stem: String,
}

impl TestModule {
    /// Whether the file is that module or below it.
    pub(crate) fn covers(&self, path: &str) -> bool {
        let rest = path.strip_prefix(&self.stem);
        rest.is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
    }
}

/// The test-only modules that the given files declare.
pub(crate) fn test_module_paths<'a>(
    files: impl Iterator<Item = (&'a str, &'a Source)>,
) -> Vec<TestModule> {
    let mut modules = Vec::new();
    for (path, source) in files {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let below = match name {
            "lib.rs" | "main.rs" | "mod.rs" => folder.to_owned(),
            _ => path.trim_end_matches(".rs").to_owned(),
        };
        let stems = source.test_modules().iter().map(|name| format!("{below}/{name}"));
        modules.extend(stems.map(|stem| TestModule { stem }));
    }
    modules
}

/// Every tag of the project with its places.
pub(super) fn tags(project: &Project) -> Result<BTreeMap<String, Places>> {
    let mut files = project.files(ENDINGS)?;
    files.retain(|file| !file.path.starts_with(SKIPPED));
    let sources: Vec<Option<Source>> = files
        .iter()
        .map(|file| file.path.ends_with(".rs").then(|| Source::new(&file.text)))
        .collect();
    let rust = files.iter().zip(&sources);
    let rust = rust.filter_map(|(file, source)| Some((file.path.as_str(), source.as_ref()?)));
    let test_modules = test_module_paths(rust);
    let mut tags: BTreeMap<String, Places> = BTreeMap::new();
    for (file, source) in files.iter().zip(&sources) {
        let is_test_file = is_test_path(&file.path)
            || file.path.starts_with(SIMULATOR)
            || test_modules.iter().any(|module| module.covers(&file.path));
        let comments = source.as_ref().map(|source| String::from_utf8_lossy(&source.comments));
        let text = comments.as_deref().unwrap_or(&file.text);
        for (at, line) in text.lines().enumerate() {
            for tag in tags_of(line) {
                let is_test = is_test_file
                    || source.as_ref().is_some_and(|source| source.is_test_line(at + 1));
                let places = tags.entry(tag.to_owned()).or_default();
                let list = if is_test { &mut places.tests } else { &mut places.code };
                list.push(format!("{}:{}", file.path, at + 1));
            }
        }
    }
    Ok(tags)
}

/// The tags of a line, without their brackets.
fn tags_of(line: &str) -> impl Iterator<Item = &str> {
    let mut rest = line;
    std::iter::from_fn(move || {
        loop {
            let (_, after) = rest.split_once('[')?;
            rest = after;
            let inside = after.split(']').next().unwrap_or_default();
            if is_tag(inside) && inside.len() < after.len() {
                return Some(inside);
            }
        }
    })
}

/// `MQTT-1.2.3-4`, `MQTT3-1.2.3-4`: chapter numbers, a dash, a number.
fn is_tag(text: &str) -> bool {
    let Some(id) = text.strip_prefix("MQTT-").or_else(|| text.strip_prefix("MQTT3-")) else {
        return false;
    };
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    id.split_once('-').is_some_and(|(chapter, n)| number(n) && chapter.split('.').all(number))
}

#[cfg(test)]
mod tests {
    use super::{is_test_path, tags_of, test_module_paths};
    use crate::source::Source;

    #[test]
    fn finds_tags_in_a_line() {
        let line = "x(); // [MQTT-3.3.1-4] [MQTT3-4.2-1], [MQTT-x], [1], [MQTT-1.2.3-4";
        assert_eq!(tags_of(line).collect::<Vec<_>>(), ["MQTT-3.3.1-4", "MQTT3-4.2-1"]);
    }

    #[test]
    fn knows_tests_by_their_path() {
        assert!(is_test_path("crates/proto/tests/vectors.rs"));
        assert!(is_test_path("crates/engine/src/shard/tests.rs"));
        assert!(is_test_path("fuzz/fuzz_targets/decode.rs"));
        assert!(is_test_path("tests/clients/paho.py"));
        assert!(!is_test_path("crates/engine/src/shard/on_publish.rs"));
    }

    #[test]
    fn follows_test_only_modules() {
        let source = Source::new("#[cfg(test)]\nmod checks;\n");
        let modules = test_module_paths([("crates/a/src/lib.rs", &source)].into_iter());
        assert!(modules[0].covers("crates/a/src/checks.rs"));
        assert!(modules[0].covers("crates/a/src/checks/deep.rs"));
        assert!(!modules[0].covers("crates/a/src/checks_of.rs"));
        let modules = test_module_paths([("crates/a/src/b.rs", &source)].into_iter());
        assert!(modules[0].covers("crates/a/src/b/checks.rs"));
    }
}
