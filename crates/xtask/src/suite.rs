//! `cargo xtask test` and `ci`: the steps of a green run, in order, each with its time.
//!
//! Owns the order and the summary. The first step that fails ends the run.

use std::time::Instant;

use crate::args::Args;
use crate::project::Project;
use crate::{Result, clients, dag, durability, first_minute, fuzz, no_std, sim, spec, tidy, tools};

type Step = (&'static str, fn(&Project) -> Result);

/// What needs nothing but cargo. Quick answers first.
const STRUCTURE: &[Step] = &[
    ("fmt", fmt),
    ("dag", dag::check),
    ("tidy", tidy::check),
    ("spec", spec::check),
    ("clippy", clippy),
    ("no-std", no_std::check),
    ("tests", tests),
];

/// What tries the built programs.
const PROGRAMS: &[Step] = &[
    ("sim", sim::check),
    ("fuzz", fuzz::check),
    ("conformance", clients::check_conformance),
    ("clients", clients::check),
    ("durability", durability::check),
    ("first-minute", first_minute::check),
];

/// `cargo xtask test`.
pub(crate) fn test(project: &Project, args: Args) -> Result {
    args.end()?;
    run(project, &[STRUCTURE, PROGRAMS].concat())
}

/// `cargo xtask ci`.
pub(crate) fn ci(project: &Project, args: Args) -> Result {
    args.end()?;
    run(project, STRUCTURE)
}

fn run(project: &Project, steps: &[Step]) -> Result {
    let start = Instant::now();
    let mut times = Vec::new();
    for (name, step) in steps {
        println!("\n== {name}");
        let step_start = Instant::now();
        let result = step(project);
        let secs = step_start.elapsed().as_secs_f64();
        times.push(format!("  {name:<13} {secs:>6.1} s"));
        if let Err(message) = result {
            println!("\n== {name} FAILED after {secs:.1} s\n{message}");
            println!("\nsteps: {} passed, 1 failed", times.len() - 1);
            return Err(format!("step {name} failed"));
        }
        println!("== {name} passed in {secs:.1} s");
    }
    println!("\n{}\n  {:<13} {:>6.1} s", times.join("\n"), "all", start.elapsed().as_secs_f64());
    println!("\nsteps: {} passed, 0 failed", times.len());
    Ok(())
}

fn fmt(project: &Project) -> Result {
    project.cargo().args(["fmt", "--all", "--check"]).run()?;
    for folder in ["fuzz", "crates/xtask/no-std", "tests/clients/rumqttc"] {
        let manifest = &format!("{folder}/Cargo.toml");
        project.cargo().args(["fmt", "--check", "--manifest-path", manifest]).run()?;
    }
    Ok(())
}

fn clippy(project: &Project) -> Result {
    project
        .cargo()
        .args(["clippy", "--quiet", "--locked", "--workspace", "--all-targets"])
        .args(["--", "-D", "warnings"])
        .run()
}

/// The examples in the documentation, then all tests of the workspace: by cargo-nextest where it
/// is installed.
fn tests(project: &Project) -> Result {
    project.cargo().args(["test", "--quiet", "--locked", "--workspace", "--doc"]).run()?;
    if tools::find("cargo-nextest").is_some() {
        return project
            .cargo()
            .args(["nextest", "run", "--locked", "--workspace", "--no-fail-fast"])
            .args(["--status-level", "slow", "--final-status-level", "fail"])
            .run();
    }
    project
        .cargo()
        .args(["test", "--quiet", "--locked", "--workspace", "--no-fail-fast"])
        .args(["--lib", "--bins", "--tests"])
        .run()
}
