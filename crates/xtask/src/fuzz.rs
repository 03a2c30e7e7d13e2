//! `cargo xtask fuzz`: the fuzz targets, on the stable toolchain.
//!
//! Owns how they are built (LLVM's coverage instrumentation by plain rustc flags) and run. What
//! they try is in fuzz/fuzz_targets; fuzz/ is a package of its own with its own lock file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::Result;
use crate::args::Args;
use crate::project::Project;
use crate::shell::shell;
use crate::tools;

/// The targets, each with the longest input that libFuzzer tries.
const TARGETS: &[(&str, &str)] = &[("decode", "2048"), ("connection", "4096")];
/// Seconds of the ordinary test run, for all targets together in time (they run side by side).
const TEST_SECS: u64 = 25;
/// Seconds when nothing is said.
const SECS: u64 = 60;
/// What cargo-fuzz would pass, less the sanitizers that the stable toolchain does not have.
const FLAGS: &str = "-Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Cdebug-assertions -Coverflow-checks --cfg fuzzing";
/// Instrumented code goes to a target folder by name, so that build scripts stay plain.
const TRIPLE: &str = "x86_64-unknown-linux-gnu";

/// `cargo xtask fuzz [--secs N] [--target NAME] [--merge]`.
///
/// `--merge` adds what earlier runs found new to the committed corpus, in its smallest form.
pub(crate) fn command(project: &Project, mut args: Args) -> Result {
    let secs = args.value("--secs")?.unwrap_or(SECS);
    let only: Option<String> = args.value("--target")?;
    let merge = args.flag("--merge");
    args.end()?;
    let chosen = |name: &str| only.as_deref().is_none_or(|only| only == name);
    let targets: Vec<_> = TARGETS.iter().filter(|(name, _)| chosen(name)).collect();
    if targets.is_empty() {
        return Err("no such target".to_owned());
    }
    let programs = build(project)?;
    for (name, length_max) in targets {
        let target = Target::new(project, &programs, name, length_max)?;
        if merge { target.merge()? } else { target.run(secs)? }
    }
    Ok(())
}

/// The fuzz targets' part of the test run: all of them side by side.
pub(crate) fn check(project: &Project) -> Result {
    let programs = build(project)?;
    let mut results = Vec::new();
    std::thread::scope(|scope| {
        let start = |(name, length_max): &(&'static str, &'static str)| {
            let target = Target::new(project, &programs, name, length_max);
            scope.spawn(move || target.and_then(|target| target.run(TEST_SECS)))
        };
        let running: Vec<_> = TARGETS.iter().map(start).collect();
        results = running.into_iter().map(|thread| thread.join()).collect();
    });
    results.into_iter().try_for_each(|result| result.unwrap_or(Err("a thread died".to_owned())))
}

/// Builds all targets and returns the folder of the programs.
fn build(project: &Project) -> Result<PathBuf> {
    tools::need("g++", &["g++"])?;
    let folder = project.work_folder("fuzz")?;
    project
        .cargo()
        .args(["build", "--quiet", "--locked", "--release", "--target", TRIPLE])
        .args(["--manifest-path", "fuzz/Cargo.toml"])
        .env("CARGO_TARGET_DIR", &folder)
        .env("RUSTFLAGS", FLAGS)
        .run()?;
    Ok(folder.join(TRIPLE).join("release"))
}

/// A built target with its folders.
struct Target<'a> {
    name: &'a str,
    length_max: &'a str,
    program: PathBuf,
    /// What earlier runs on this machine found.
    found: PathBuf,
    /// What is committed.
    committed: PathBuf,
    /// Where an input that fails is written.
    failures: PathBuf,
}

impl<'a> Target<'a> {
    fn new(project: &Project, programs: &Path, name: &'a str, length_max: &'a str) -> Result<Self> {
        Ok(Self {
            name,
            length_max,
            program: programs.join(name),
            found: project.work_folder(&format!("fuzz/corpus/{name}"))?,
            committed: project.root.join("fuzz/corpus").join(name),
            failures: project.work_folder(&format!("fuzz/failures/{name}"))?,
        })
    }

    /// Replays the corpus, then searches for `secs` seconds.
    fn run(&self, secs: u64) -> Result {
        let log = self.failures.join("log.txt");
        let result = shell(&self.program)
            .args([format!("-max_total_time={secs}"), format!("-max_len={}", self.length_max)])
            .args(["-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1", "-verbosity=0"])
            .args([format!("-artifact_prefix={}/", self.failures.display())])
            .args([&self.found, &self.committed])
            .output_to(&log)?
            .run_at_most(Duration::from_secs(secs + 60));
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        if let Err(error) = result {
            return Err(format!("{said}\ntarget {}: {error}", self.name));
        }
        let runs =
            said.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
        println!("fuzz: {}: {} runs, no finding", self.name, runs.unwrap_or("?").trim());
        Ok(())
    }

    fn merge(&self) -> Result {
        shell(&self.program)
            .args(["-merge=1", "-verbosity=0"])
            .args([&self.committed, &self.found])
            .run()
    }
}
