//! The tables as Markdown.
//!
//! Owns which figure of several rounds counts: those of the round with the highest rate, because
//! whatever else runs on the machine only takes away.

use std::fmt::Write;

use crate::engines::Engine;
use crate::workloads::WORKLOADS;
use crate::{Measured, Runs, growth};

/// All tables.
pub(crate) fn all(runs: &Runs) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "| workload | engine | messages/s | CPU us | commit p50 us | p99 us | max ms | \
         device bytes a message | RSS MB | files MB |\n|---|---|---|---|---|---|---|---|---|---|"
    );
    for workload in WORKLOADS {
        for engine in Engine::ALL {
            let Some(best) = best(runs, workload.name, engine) else { continue };
            let figure = |name: &str| shown(best, name);
            let max_ms = best.get("max_us").map_or("-".to_owned(), |us| format!("{:.1}", us / 1e3));
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} | {} | {max_ms} | {} | {} | {} |",
                workload.about,
                engine.name(),
                figure("rate"),
                figure("cpu_us"),
                figure("p50_us"),
                figure("p99_us"),
                figure("device"),
                figure("rss_mb"),
                figure("disk_mb"),
            );
        }
    }
    if runs.iter().any(|(name, _, _)| *name == growth::NAME) {
        text.push_str(&grown(runs));
    }
    text
}

/// The queue that grows has columns of its own.
fn grown(runs: &Runs) -> String {
    let columns = [
        ("load s", "secs"),
        ("CPU us", "cpu_us"),
        ("device bytes a message", "device"),
        ("files MB", "disk_mb"),
        ("reopen s", "open_secs"),
        ("RSS MB", "open_rss_mb"),
        ("scan s", "scan_secs"),
        ("RSS MB", "scan_rss_mb"),
        ("drain s", "drain_secs"),
        ("CPU us", "drain_cpu_us"),
        ("files MB", "drain_disk_mb"),
    ];
    let heads = columns.map(|(head, _)| head).join(" | ");
    let mut text = format!("\n| engine | {heads} |\n|---{}|\n", "|---".repeat(columns.len()));
    for engine in Engine::ALL {
        if let Some(best) = best(runs, growth::NAME, engine) {
            let cells = columns.map(|(_, name)| shown(best, name)).join(" | ");
            let _ = writeln!(text, "| {} | {cells} |", engine.name());
        }
    }
    text
}

/// The round with the highest rate.
fn best<'a>(runs: &'a Runs, workload: &str, engine: Engine) -> Option<&'a Measured> {
    let rate = |measured: &&Measured| measured.get("rate").copied().unwrap_or(0.0);
    let runs = runs.iter().filter(|(name, by, _)| *name == workload && *by == engine);
    runs.map(|(_, _, measured)| measured).max_by(|a, b| rate(a).total_cmp(&rate(b)))
}

/// Three digits.
fn shown(measured: &Measured, name: &str) -> String {
    match measured.get(name) {
        None => "-".to_owned(),
        Some(value) if *value < 1.0 => format!("{value:.3}"),
        Some(value) if *value < 10.0 => format!("{value:.2}"),
        Some(value) if *value < 100.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.0}"),
    }
}
