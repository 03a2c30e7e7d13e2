//! The table of a benchmark, with the ratios to the floor and the goals, and its place in the docs.
//!
//! Owns the layout and the markers in docs/benchmarks.md.

use std::fmt::Write;

use super::run::{Broker, Measured};
use super::scenarios::{Goal, Scenario};
use super::{Results, run};
use crate::Result;
use crate::project::Project;
use crate::shell::shell;

/// The page with the results.
const PAGE: &str = "docs/benchmarks.md";

/// A part of the page that a command writes: between two markers.
pub(super) struct Place {
    pub(super) begin: &'static str,
    pub(super) end: &'static str,
    /// Which of the rounds counts.
    pub(super) counts: &'static str,
}

/// Where this table stands.
pub(super) const PLACE: Place = Place {
    begin: "<!-- results: written by cargo xtask bench -->",
    end: "<!-- end of results -->",
    counts: "medians of the rounds",
};

type Figure = fn(&Measured) -> Option<f64>;

/// The tables as Markdown: one with the goals, one with the plain figures.
pub(super) fn table(scenarios: &[&Scenario], results: &Results) -> String {
    let mut text = String::from(
        "| scenario | what | floor | Martlet | Martlet, `memory` | Mosquitto | Martlet to floor | \
         goal | reached |\n|---|---|---|---|---|---|---|---|---|\n",
    );
    for scenario in scenarios {
        for row in rows(scenario, results) {
            text.push_str(&row);
        }
    }
    text.push_str("\nDeliveries per second (the generator shares the machine):\n\n");
    text.push_str(
        "| scenario | floor | Martlet | Martlet, `memory` | Mosquitto |\n|---|---|---|---|---|\n",
    );
    for scenario in scenarios {
        let rate: Figure = |measured| measured.rate;
        let medians = medians(scenario.name, results, rate);
        if medians.iter().any(Option::is_some) {
            let cells = medians.map(|value| shown(value, 0)).join(" | ");
            let _ = writeln!(text, "| {} | {cells} |", scenario.name);
        }
    }
    text
}

/// The rows of a scenario: one, or two for idle connections.
fn rows(scenario: &Scenario, results: &Results) -> Vec<String> {
    let cpu: Figure = |measured| measured.cpu_us;
    let latency: Figure = |measured| measured.p50_us;
    let bytes: Figure = |measured| measured.idle_bytes;
    let connect: Figure = |measured| measured.connect_us;
    let floor_p2p0 = results.median("p2p0", Broker::Floor, cpu);
    let own_floor = |figure| results.median(scenario.name, Broker::Floor, figure);
    let row = |what: &str, unit, figure, floor, goal| {
        row(scenario, &format!("{}, {what}", scenario.about), results, unit, figure, floor, goal)
    };
    let cpu_text = "CPU us per delivery";
    match scenario.goal {
        Goal::CpuToFloor(goal) => {
            vec![row(cpu_text, "x", cpu, own_floor(cpu), Some(goal))]
        }
        Goal::CpuToFloorP2p0(goal) => {
            vec![row(&format!("{cpu_text}; floor: p2p0"), "x", cpu, floor_p2p0, Some(goal))]
        }
        Goal::LatencyToFloor(goal) => {
            vec![row("latency p50 us", "x", latency, own_floor(latency), Some(goal))]
        }
        Goal::Idle { bytes: bytes_goal, connect_us } => vec![
            row("bytes per connection", " bytes", bytes, own_floor(bytes), Some(bytes_goal)),
            row("CPU us per connect", " us", connect, own_floor(connect), Some(connect_us)),
        ],
        Goal::None => vec![row(cpu_text, "x", cpu, own_floor(cpu), None)],
    }
}

/// One row. A goal in "x" is a ratio to the floor, any other is absolute.
fn row(
    scenario: &Scenario,
    what: &str,
    results: &Results,
    unit: &str,
    figure: Figure,
    floor: Option<f64>,
    goal: Option<f64>,
) -> String {
    let [_, martlet, memory, mosquitto] = medians(scenario.name, results, figure);
    let ratio = martlet.zip(floor).map(|(own, floor)| own / floor);
    let held = if unit == "x" { ratio } else { martlet };
    let reached = match held.zip(goal) {
        Some((held, goal)) if held <= goal => "yes",
        Some(_) => "no",
        None => "-",
    };
    let goal = goal.map_or("-".to_owned(), |goal| match unit {
        "x" => format!("{goal:.2} x"),
        _ => format!("{goal:.0}{unit}"),
    });
    let digits = if martlet.or(floor).unwrap_or(0.0) < 50.0 { 2 } else { 0 };
    let ratio = ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2} x"));
    format!(
        "| {} | {what} | {} | {} | {} | {} | {ratio} | {goal} | {reached} |\n",
        scenario.name,
        shown(floor, digits),
        shown(martlet, digits),
        shown(memory, digits),
        shown(mosquitto, digits)
    )
}

fn medians(name: &str, results: &Results, figure: Figure) -> [Option<f64>; 4] {
    [Broker::Floor, Broker::Martlet, Broker::MartletMemory, Broker::Mosquitto]
        .map(|broker: run::Broker| results.median(name, broker, figure))
}

fn shown(value: Option<f64>, digits: usize) -> String {
    value.map_or("-".to_owned(), |value| format!("{value:.digits$}"))
}

/// Puts the table between the markers of the page.
pub(super) fn write(project: &Project, place: &Place, command: &str, table: &str) -> Result {
    let Place { begin, end, counts } = place;
    let page = project.read(PAGE)?;
    let wrong = || format!("{PAGE}: the markers are missing");
    let (before, rest) = page.split_once(begin).ok_or_else(wrong)?;
    let (_, after) = rest.split_once(end).ok_or_else(wrong)?;
    let date = shell("date").args(["+%Y-%m-%d"]).quiet().output()?;
    let machine = machine();
    let text = format!(
        "{before}{begin}\n\nMeasured on {}, {machine}, {counts}:\n\n    {command}\n\n\
         {table}\n{end}{after}",
        date.trim()
    );
    project.write(PAGE, &text)?;
    println!("bench: wrote {PAGE}");
    Ok(())
}

/// The machine in a few words.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let mut models = info.lines().filter_map(|line| line.strip_prefix("model name"));
    let model =
        models.next_back().map_or("unknown", |line| line.trim_start_matches([' ', '\t', ':']));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{cores} cores ({model}), Linux {}", read("/proc/sys/kernel/osrelease").trim())
}
