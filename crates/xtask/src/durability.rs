//! `cargo xtask durability`: kills, power cuts and bad disks against the built broker.
//!
//! Owns the installation of what the tests need. The cases, and what starts and ends the broker,
//! are in tests/durability.

use std::time::Duration;

use crate::Result;
use crate::args::Args;
use crate::project::Project;
use crate::shell::shell;
use crate::tools;

/// What the ordinary run may take.
const LIMIT: Duration = Duration::from_secs(420);
/// What 200 rounds of each kind and a million messages may take.
const FULL_LIMIT: Duration = Duration::from_secs(3600);

/// `cargo xtask durability`.
pub(crate) fn command(project: &Project, mut args: Args) -> Result {
    let mut words = Vec::new();
    let is_full = args.flag("--full");
    if is_full {
        words.push("--full".to_owned());
    }
    for name in ["--rounds", "--seed", "-k"] {
        if let Some(value) = args.value::<String>(name)? {
            words.extend([name.to_owned(), value]);
        }
    }
    args.end()?;
    run(project, &words, if is_full { FULL_LIMIT } else { LIMIT })
}

/// The ordinary run.
pub(crate) fn check(project: &Project) -> Result {
    run(project, &[], LIMIT)
}

fn run(project: &Project, words: &[String], limit: Duration) -> Result {
    tools::need("gcc", &["gcc", "libc6-dev"])?;
    tools::need("mosquitto_pub", &["mosquitto-clients"])?;
    let python = tools::python(project, "tests/clients/requirements.txt")?;
    let program = crate::clients::build(project)?;
    shell(python)
        .args(["tests/durability/run.py", "--broker"])
        .args([program])
        .args(words)
        .within(&project.root)
        .run_at_most(limit)
}
