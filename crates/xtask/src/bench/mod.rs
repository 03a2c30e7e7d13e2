//! `cargo xtask bench`: Martlet, the floor and Debian's Mosquitto, side by side.
//!
//! Owns the order of the runs: interleaved, so that what the machine does meanwhile falls on all.
//! The scenarios and their goals are in `scenarios`, one measured run in `run`, the table in
//! `report`. Everything stays on loopback and ends by itself.

mod durable;
mod report;
mod run;
mod scenarios;

use crate::Result;
use crate::args::Args;
use crate::project::Project;
use crate::shell::free_port;
use crate::tools;
use run::{Broker, Measured, Programs};
use scenarios::{SCENARIOS, Scenario};

/// Seconds that one run measures, when nothing is said.
const SECS: u32 = 3;
/// Rounds over all scenarios, when nothing is said.
const ROUNDS: u32 = 5;
/// Odd ports below the local port range, from here up.
const PORT: u16 = 21_001;

/// All that was measured, in order.
struct Results {
    runs: Vec<(&'static Scenario, Broker, Measured)>,
}

impl Results {
    /// The median of a figure over the rounds; `None` when there was no run.
    fn median(
        &self,
        name: &str,
        broker: Broker,
        figure: impl Fn(&Measured) -> Option<f64>,
    ) -> Option<f64> {
        let runs =
            self.runs.iter().filter(|(scenario, by, _)| scenario.name == name && *by == broker);
        let mut values: Vec<f64> = runs.filter_map(|(_, _, measured)| figure(measured)).collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        match values.len() {
            0 => None,
            n if n % 2 == 1 => Some(values[middle]),
            _ => Some(f64::midpoint(values[middle - 1], values[middle])),
        }
    }
}

/// `cargo xtask bench`; with the word `durable` the scenarios of that module.
///
/// `--no-write` leaves docs/benchmarks.md alone; so does a choice of scenarios or brokers.
pub(crate) fn command(project: &Project, mut args: Args) -> Result {
    if args.flag("durable") {
        return durable::command(project, args);
    }
    let secs = args.value("--secs")?.unwrap_or(SECS);
    let rounds = args.value("--rounds")?.unwrap_or(ROUNDS);
    let names = args.list("--scenarios")?;
    let only = args.list("--only")?;
    let shards = args.value("--shards")?;
    let keep = args.flag("--no-write") || names.is_some() || only.is_some();
    args.end()?;
    let scenarios = chosen(names.as_deref())?;
    let brokers = Broker::chosen(only.as_deref())?;
    let programs = programs(project, &brokers, shards)?;
    let mut results = Results { runs: Vec::new() };
    let mut port = PORT;
    for round in 1..=rounds {
        for scenario in &scenarios {
            for broker in brokers.iter().filter(|broker| scenario.suits(**broker)) {
                port = free_port(port + 2)?;
                let measured = programs.measure(*broker, scenario, port, secs)?;
                println!("{round}/{rounds} {:<9} {}", broker.name(), measured.line);
                results.runs.push((scenario, *broker, measured));
            }
        }
    }
    let command = format!("cargo xtask bench --secs {secs} --rounds {rounds}");
    let command = shards.map_or(command.clone(), |n: u32| format!("{command} --shards {n}"));
    let table = report::table(&scenarios, &results);
    println!("\n{table}");
    if keep { Ok(()) } else { report::write(project, &report::PLACE, &command, &table) }
}

fn chosen(names: Option<&[String]>) -> Result<Vec<&'static Scenario>> {
    let Some(names) = names else { return Ok(SCENARIOS.iter().collect()) };
    let find = |name: &String| {
        SCENARIOS
            .iter()
            .find(|scenario| scenario.name == name)
            .ok_or_else(|| format!("no scenario '{name}'"))
    };
    names.iter().map(find).collect()
}

/// Builds and installs what the run needs.
fn programs(project: &Project, brokers: &[Broker], shards: Option<u32>) -> Result<Programs> {
    tools::need("gcc", &["gcc", "libc6-dev"])?;
    let folder = project.work_folder("bench")?;
    let compile = |name: &str| {
        let program = folder.join(name);
        crate::shell::shell("gcc")
            .args(["-O2", "-o"])
            .args([&program])
            .args([project.root.join("bench").join(format!("{name}.c"))])
            .run()
            .map(|()| program)
    };
    let mut mosquitto = None;
    if brokers.contains(&Broker::Mosquitto) {
        tools::need("mosquitto", &["mosquitto"])?;
        mosquitto = tools::find("mosquitto");
    }
    let is_ours = |broker: &Broker| matches!(broker, Broker::Martlet | Broker::MartletMemory);
    let martlet = match brokers.iter().any(is_ours) {
        true => Some(crate::clients::build(project)?),
        false => None,
    };
    Ok(Programs {
        load: compile("mload")?,
        floor: compile("limit")?,
        martlet,
        mosquitto,
        shards,
        folder,
    })
}
