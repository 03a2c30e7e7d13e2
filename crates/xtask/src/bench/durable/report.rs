//! The tables of the durable scenarios, and what Martlet has to reach in them.
//!
//! Owns their layout.

use std::fmt::Write;

use super::subjects::Subject;
use super::{Results, Scenario};
use crate::bench::report::Place;

/// Where they stand in the docs.
pub(super) const PLACE: Place = Place {
    begin: "<!-- durable results: written by cargo xtask bench durable -->",
    end: "<!-- end of durable results -->",
    counts: "the least disturbed of the rounds",
};

/// Acknowledged messages a second that `sync` has to reach online.
const RATE_GOAL: f64 = 100_000.0;
/// CPU a message of `sync` to that of `memory`, online.
const CPU_GOAL: f64 = 3.0;
/// Acknowledgement of a lone publisher in `sync` to one fdatasync.
const LONE_GOAL: f64 = 1.5;

/// All tables as Markdown.
pub(super) fn table(results: &Results) -> String {
    let mut text = String::new();
    many(&mut text, results);
    lone(&mut text, results);
    goals(&mut text, results);
    text
}

fn many(text: &mut String, results: &Results) {
    text.push_str(
        "| scenario | broker | acknowledged/s | CPU us a message | ack p50 ms | ack p99 ms | \
         device bytes per payload byte | resident MB | replay/s | missing |\n\
         |---|---|---|---|---|---|---|---|---|---|\n",
    );
    for scenario in [Scenario::Online, Scenario::Offline] {
        for subject in Subject::ALL {
            let figure = |name| results.best(scenario, subject, name);
            if figure("acked_rate").is_none() {
                // Not measured, or it gave up.
                continue;
            }
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
                scenario.name(),
                subject.shown(),
                shown(figure("acked_rate"), 0),
                shown(figure("cpu_us"), 2),
                shown(figure("ack_p50_us").map(|us| us / 1e3), 1),
                shown(figure("ack_p99_us").map(|us| us / 1e3), 1),
                shown(figure("device_per_payload"), 1),
                shown(figure("rss_mb"), 0),
                shown(figure("replay_rate"), 0),
                shown(results.sum(scenario, subject, "missing"), 0),
            );
        }
    }
}

fn lone(text: &mut String, results: &Results) {
    text.push_str(
        "\nA lone publisher with one message in flight; fdatasync of a 200-byte append, to a file \
         that grows and into zeros, measured in turn with it:\n\n\
         | subscriber | broker | ack p50 us | ack p99 us | append p50 us | into zeros p50 us | \
         ack to append | CPU us a message |\n|---|---|---|---|---|---|---|---|\n",
    );
    for scenario in [Scenario::LoneOnline, Scenario::LoneOffline] {
        for subject in Subject::ALL {
            let figure = |name| results.best(scenario, subject, name);
            let Some(ack) = figure("ack_p50_us") else { continue };
            let ratio = figure("append_p50_us").map(|append| ack / append);
            let _ = writeln!(
                text,
                "| {} | {} | {ack:.0} | {} | {} | {} | {} | {} |",
                scenario.name().trim_start_matches("lone-"),
                subject.shown(),
                shown(figure("ack_p99_us"), 0),
                shown(figure("append_p50_us"), 0),
                shown(figure("fill_p50_us"), 0),
                shown(ratio, 2),
                shown(figure("cpu_us"), 1),
            );
        }
    }
}

fn goals(text: &mut String, results: &Results) {
    let sync = |scenario, figure| results.best(scenario, Subject::MartletSync, figure);
    let rate = sync(Scenario::Online, "acked_rate");
    let memory = results.best(Scenario::Online, Subject::MartletMemory, "cpu_us");
    let cpu = sync(Scenario::Online, "cpu_us").zip(memory).map(|(sync, memory)| sync / memory);
    let lone = |scenario| {
        let append = sync(scenario, "append_p50_us");
        sync(scenario, "ack_p50_us").zip(append).map(|(ack, append)| ack / append)
    };
    text.push_str("\n| goal of `sync` | value | goal | reached |\n|---|---|---|---|\n");
    let mut row = |what: &str, value: Option<f64>, digits, goal: String, held: Option<bool>| {
        let reached = held.map_or("-", |held| if held { "yes" } else { "no" });
        let _ = writeln!(text, "| {what} | {} | {goal} | {reached} |", shown(value, digits));
    };
    let held = rate.map(|rate| rate >= RATE_GOAL);
    row("acknowledged messages/s, online", rate, 0, format!("{RATE_GOAL:.0}"), held);
    let held = cpu.map(|cpu| cpu <= CPU_GOAL);
    row("CPU a message to that of `memory`, online", cpu, 2, format!("{CPU_GOAL:.1} x"), held);
    let names = [(Scenario::LoneOffline, "offline"), (Scenario::LoneOnline, "online")];
    for (scenario, name) in names {
        let ratio = lone(scenario);
        let held = ratio.map(|ratio| ratio <= LONE_GOAL);
        let what = format!("lone acknowledgement to one fdatasync, {name}");
        row(&what, ratio, 2, format!("{LONE_GOAL:.1} x"), held);
    }
}

fn shown(value: Option<f64>, digits: usize) -> String {
    value.map_or("-".to_owned(), |value| format!("{value:.digits$}"))
}
