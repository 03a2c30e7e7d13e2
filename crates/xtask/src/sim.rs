//! `cargo xtask sim`: the simulator with the profile `sim` (optimised, all assertions).
//!
//! Owns the call. What is simulated, and what is checked, is in crates/sim.

use std::time::Duration;

use crate::Result;
use crate::args::Args;
use crate::project::Project;
use crate::shell::shell;

/// Seeds of the ordinary test run.
const SEEDS: u64 = 256;
/// What they may take in the ordinary test run.
const LIMIT: Duration = Duration::from_secs(30);

/// `cargo xtask sim [--seeds N] [--seed S] [--trace]`: N seeds from 0 or S on, or the one seed S,
/// with all that happens in it.
pub(crate) fn command(project: &Project, mut args: Args) -> Result {
    let seeds = args.value("--seeds")?;
    let seed: Option<u64> = args.value("--seed")?;
    let trace = args.flag("--trace");
    args.end()?;
    let program = build(project)?;
    let (count, start) = match (seeds, seed) {
        (None, Some(seed)) => (1, seed),
        (count, start) => (count.unwrap_or(SEEDS), start.unwrap_or(0)),
    };
    shell(program)
        .args(["--seeds", &count.to_string(), "--start", &start.to_string()])
        .args(trace.then_some("--trace"))
        .run()
}

/// The simulator's part of the test run.
pub(crate) fn check(project: &Project) -> Result {
    let program = build(project)?;
    shell(program).args(["--seeds", &SEEDS.to_string(), "--start", "0"]).run_at_most(LIMIT)
}

/// Builds the simulator and returns its path.
fn build(project: &Project) -> Result<std::path::PathBuf> {
    project.cargo().args(["build", "--quiet", "--profile", "sim", "-p", "martlet-sim"]).run()?;
    Ok(project.target.join("sim/martlet-sim"))
}
