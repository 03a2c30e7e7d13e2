//! Dependencies: each has its line in DEPENDENCIES.md; the pure crates have their bans.
//!
//! Owns the format of DEPENDENCIES.md (`| name | version | ...`) and the list of bans.

use std::collections::BTreeMap;

use super::Findings;
use crate::Result;
use crate::project::{self, Project};

/// Crates that must not reach for the outside world.
const PURE_CRATES: &[&str] = &["proto", "session", "engine"];
/// What `clippy.toml` of a pure crate must ban.
const BANS: &[&str] = &[
    "std::time::Instant::now",
    "std::time::SystemTime::now",
    "std::thread::spawn",
    "std::sync::Mutex",
    "std::collections::HashMap",
    "std::collections::HashSet",
];
/// Manifests whose dependencies are listed.
pub(super) const MANIFESTS: &[&str] = &[
    "Cargo.toml",
    "bench/load/Cargo.toml",
    "bench/stores/Cargo.toml",
    "fuzz/Cargo.toml",
    "tests/clients/rumqttc/Cargo.toml",
];

/// Every ban stands in every pure crate's clippy.toml, with a reason.
pub(super) fn check_bans(project: &Project) -> Result<Findings> {
    let mut findings = Findings::new();
    for name in PURE_CRATES {
        let path = format!("crates/{name}/clippy.toml");
        let Ok(text) = project.read(&path) else {
            findings.push(format!("{path}: missing"));
            continue;
        };
        for ban in BANS {
            let quoted = format!("\"{ban}\"");
            let line = text.lines().find(|line| line.contains(&quoted));
            if !line.is_some_and(|line| line.contains("reason")) {
                findings.push(format!("{path}: {ban} is not banned with a reason"));
            }
        }
    }
    Ok(findings)
}

/// Every direct dependency that is not ours stands in DEPENDENCIES.md with its version, and
/// nothing else stands there.
pub(super) fn check_list(project: &Project) -> Result<Findings> {
    let listed = listed(&project.read("DEPENDENCIES.md")?);
    let used = used(project)?;
    let mut findings = Findings::new();
    for (name, requirement) in &used {
        match listed.get(name) {
            None => findings.push(format!("DEPENDENCIES.md: no line for {name}")),
            Some(version) if version != requirement => findings.push(format!(
                "DEPENDENCIES.md: {name} {version}, but the manifests say {requirement}"
            )),
            Some(_) => {}
        }
    }
    let stale = listed.keys().filter(|name| !used.contains_key(*name));
    findings.extend(stale.map(|name| format!("DEPENDENCIES.md: nobody uses {name}")));
    Ok(findings)
}

/// Name -> version of the table's rows.
fn listed(text: &str) -> BTreeMap<String, String> {
    let mut rows = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        if let [_, name, version, ..] = cells.as_slice() {
            rows.insert(name.trim_matches('`').to_owned(), (*version).to_owned());
        }
    }
    rows
}

/// Name -> requirement of the direct dependencies from registries.
fn used(project: &Project) -> Result<BTreeMap<String, String>> {
    let mut used = BTreeMap::new();
    for manifest in MANIFESTS {
        let metadata = project.metadata(manifest, &["--no-deps"])?;
        for package in project::list(&metadata, "packages") {
            for dependency in project::list(package, "dependencies") {
                if dependency["source"].is_string() {
                    let requirement =
                        project::text(dependency, "req").trim_start_matches(['^', '=']);
                    used.insert(
                        project::text(dependency, "name").to_owned(),
                        requirement.to_owned(),
                    );
                }
            }
        }
    }
    Ok(used)
}

#[cfg(test)]
mod tests {
    use super::listed;

    #[test]
    fn reads_the_table() {
        let rows = listed("| crate | version |\n|---|---|\n| `mio` | 1.2 | MIT | net | poller |\n");
        assert_eq!(rows.into_iter().collect::<Vec<_>>(), [("mio".to_owned(), "1.2".to_owned())]);
    }
}
