//! Where the project is, its files and its packages.
//!
//! Owns the look at the tree and at `cargo metadata`. Judges nothing.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::Result;
use crate::shell::shell;

/// Folders that are never part of the project's text.
const SKIPPED_FOLDERS: &[&str] = &["target", "node_modules", ".git", ".venv", "__pycache__"];

/// The project's root folder and the folder of what is built.
pub(crate) struct Project {
    /// The folder of the workspace's Cargo.toml.
    pub(crate) root: PathBuf,
    /// Where cargo builds: `CARGO_TARGET_DIR`, or `target` in the root.
    pub(crate) target: PathBuf,
}

/// A text file of the project.
pub(crate) struct TextFile {
    /// Path from the root, with `/`.
    pub(crate) path: String,
    /// The whole text.
    pub(crate) text: String,
}

impl Project {
    /// Finds the root from where xtask's own Cargo.toml is.
    pub(crate) fn find() -> Result<Self> {
        let here = std::env::var("CARGO_MANIFEST_DIR")
            .map_err(|_| "call it by 'cargo xtask'".to_owned())?;
        let root = Path::new(&here)
            .ancestors()
            .nth(2)
            .ok_or("xtask is not at crates/xtask of the project")?
            .to_owned();
        let target = match std::env::var_os("CARGO_TARGET_DIR") {
            Some(folder) => root.join(folder),
            None => root.join("target"),
        };
        Ok(Self { root, target })
    }

    /// Reads a file by its path from the root.
    pub(crate) fn read(&self, path: &str) -> Result<String> {
        std::fs::read_to_string(self.root.join(path)).map_err(|error| format!("{path}: {error}"))
    }

    /// Writes a file by its path from the root.
    pub(crate) fn write(&self, path: &str, text: &str) -> Result {
        std::fs::write(self.root.join(path), text).map_err(|error| format!("{path}: {error}"))
    }

    /// A folder under the target folder, made if it is missing.
    pub(crate) fn work_folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.target.join(name);
        std::fs::create_dir_all(&folder).map_err(|error| format!("{folder:?}: {error}"))?;
        Ok(folder)
    }

    /// The same, without what an earlier run left in it.
    pub(crate) fn empty_folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.target.join(name);
        if folder.exists() {
            std::fs::remove_dir_all(&folder).map_err(|error| format!("{folder:?}: {error}"))?;
        }
        self.work_folder(name)
    }

    /// All files whose name ends in one of `endings`, sorted by path. A file that is not UTF-8 is
    /// an error, so name only endings of text.
    pub(crate) fn files(&self, endings: &[&str]) -> Result<Vec<TextFile>> {
        let mut paths = Vec::new();
        collect(&self.root, &mut paths)?;
        let mut files = Vec::new();
        for path in paths {
            let name = path.strip_prefix(&self.root).unwrap_or(&path).to_string_lossy();
            if endings.iter().any(|ending| name.ends_with(ending)) {
                files.push(TextFile { text: self.read(&name)?, path: name.into_owned() });
            }
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(files)
    }

    /// `cargo metadata` of the workspace whose manifest is given by its path from the root.
    /// `flags`: `--no-deps` for the members only.
    pub(crate) fn metadata(&self, manifest: &str, flags: &[&str]) -> Result<Value> {
        let text = self
            .cargo()
            .args(["metadata", "--format-version", "1", "--manifest-path", manifest])
            .args(flags)
            .quiet()
            .output()?;
        serde_json::from_str(&text).map_err(|error| format!("cargo metadata: {error}"))
    }

    /// A call of cargo in the root.
    pub(crate) fn cargo(&self) -> crate::shell::Shell {
        shell(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())).within(&self.root)
    }
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) -> Result {
    let entries = std::fs::read_dir(folder).map_err(|error| format!("{folder:?}: {error}"))?;
    for entry in entries {
        let entry = entry.map_err(|error| format!("{folder:?}: {error}"))?;
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() {
            if !SKIPPED_FOLDERS.iter().any(|skipped| name == *skipped) {
                collect(&path, paths)?;
            }
        } else {
            paths.push(path);
        }
    }
    Ok(())
}

/// The elements of the list `name` of a JSON object; none if it is missing.
pub(crate) fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value[name].as_array().into_iter().flatten()
}

/// The text `name` of a JSON object; empty if it is missing.
pub(crate) fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}
