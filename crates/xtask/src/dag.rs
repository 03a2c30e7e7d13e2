//! `cargo xtask dag`: which crate may use which.
//!
//! Owns the table of allowed edges. A new edge is a decision: change the table here together with
//! ARCHITECTURE.md. Build and test edges are judged apart from ordinary ones.

use serde_json::Value;

use crate::args::Args;
use crate::project::Project;
use crate::{Result, project};

/// What a crate may depend on.
struct Allowed {
    name: &'static str,
    /// Ordinary dependencies, members and others.
    uses: &'static [&'static str],
    /// What its tests may use besides.
    tests_use: &'static [&'static str],
}

/// Crates of the workspace and their allowed edges. Nothing else may be drawn.
const TABLE: &[Allowed] = &[
    Allowed { name: "martlet-proto", uses: &[], tests_use: &["proptest"] },
    Allowed { name: "martlet-session", uses: &["martlet-proto"], tests_use: &["proptest"] },
    Allowed {
        name: "martlet-engine",
        uses: &["martlet-proto", "martlet-session", "hashbrown", "foldhash"],
        tests_use: &["proptest"],
    },
    Allowed {
        name: "martlet-store",
        uses: &[
            "martlet-proto",
            "martlet-engine",
            "fjall",
            "foldhash",
            "hashbrown",
            "rustix",
            "xxhash-rust",
        ],
        tests_use: &["proptest", "martlet-sim"],
    },
    Allowed {
        name: "martlet-net",
        uses: &["mio", "socket2", "libc", "rlimit", "rustix"],
        tests_use: &[],
    },
    Allowed {
        name: "martlet-broker",
        uses: &[
            "martlet-proto",
            "martlet-session",
            "martlet-engine",
            "martlet-net",
            "martlet-store",
            "humantime",
            "signal-hook",
        ],
        tests_use: &["socket2"],
    },
    Allowed {
        name: "martlet",
        uses: &["martlet-proto", "martlet-session", "martlet-broker", "clap"],
        tests_use: &[],
    },
    Allowed {
        name: "martlet-sim",
        uses: &["martlet-proto", "martlet-session", "martlet-engine"],
        tests_use: &[],
    },
    Allowed { name: "xtask", uses: &["serde_json"], tests_use: &[] },
];

/// `cargo xtask dag`.
pub(crate) fn command(project: &Project, args: Args) -> Result {
    args.end()?;
    check(project)
}

/// Compares the edges of the workspace with the table.
pub(crate) fn check(project: &Project) -> Result {
    let metadata = project.metadata("Cargo.toml", &["--no-deps"])?;
    let edges = edges(&metadata);
    let wrong: Vec<String> = edges.iter().filter_map(judge).collect();
    if !wrong.is_empty() {
        return Err(format!("edges that the table does not have:\n{}", wrong.join("\n")));
    }
    println!("dag: {} edges, all in the table", edges.len());
    Ok(())
}

/// A dependency of a member.
struct Edge {
    from: String,
    to: String,
    /// `dev` for tests; `build` for build scripts.
    kind: Option<String>,
}

fn edges(metadata: &Value) -> Vec<Edge> {
    let mut edges = Vec::new();
    for package in project::list(metadata, "packages") {
        for dependency in project::list(package, "dependencies") {
            edges.push(Edge {
                from: project::text(package, "name").to_owned(),
                to: project::text(dependency, "name").to_owned(),
                kind: dependency["kind"].as_str().map(str::to_owned),
            });
        }
    }
    edges
}

/// What is wrong with an edge, if anything.
fn judge(edge: &Edge) -> Option<String> {
    let Edge { from, to, kind } = edge;
    let Some(row) = TABLE.iter().find(|row| row.name == from) else {
        return Some(format!("  {from} is not in the table of crates/xtask/src/dag.rs"));
    };
    let allowed = match kind.as_deref() {
        None => row.uses.contains(&to.as_str()),
        Some("dev") => row.uses.contains(&to.as_str()) || row.tests_use.contains(&to.as_str()),
        Some(_) => false,
    };
    let kind = kind.as_deref().unwrap_or("ordinary");
    (!allowed).then(|| format!("  {from} -> {to} ({kind})"))
}

#[cfg(test)]
mod tests {
    use super::{Edge, judge};

    fn edge(from: &str, to: &str, kind: Option<&str>) -> Edge {
        Edge { from: from.to_owned(), to: to.to_owned(), kind: kind.map(str::to_owned) }
    }

    #[test]
    fn refuses_what_the_table_does_not_have() {
        assert_eq!(judge(&edge("martlet-session", "martlet-proto", None)), None);
        assert!(judge(&edge("martlet-proto", "martlet-session", None)).is_some());
        assert!(judge(&edge("martlet-engine", "martlet-net", None)).is_some());
        assert!(judge(&edge("martlet-proto", "proptest", None)).is_some());
        assert_eq!(judge(&edge("martlet-proto", "proptest", Some("dev"))), None);
        assert!(judge(&edge("martlet-net", "mio", Some("build"))).is_some());
        assert!(judge(&edge("unheard-of", "mio", None)).is_some());
    }
}
