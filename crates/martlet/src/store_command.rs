//! `martlet store check`: what a data directory holds, and what is wrong with it. Must not know how
//! that is found out.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use martlet_broker::store::{CheckReport, Damage, check};

use crate::exit;

/// Look after a data directory that no broker uses.
#[derive(Debug, Args)]
pub(crate) struct StoreArguments {
    #[command(subcommand)]
    command: StoreCommand,
}

#[derive(Debug, Subcommand)]
enum StoreCommand {
    Check(CheckArguments),
}

/// Read every record of a data directory, and every reference between them. Changes nothing.
///
/// Ends with 0 when all is well, 8 when something is damaged, 9 when the directory holds no store
/// or a broker has it. What is damaged is set aside by the next `martlet serve`.
#[derive(Debug, Args)]
struct CheckArguments {
    /// The data directory
    #[arg(value_name = "DIR")]
    dir: PathBuf,

    /// One line of JSON instead of text
    #[arg(short)]
    json: bool,
}

/// Runs a command of `martlet store`.
pub(crate) fn run(arguments: &StoreArguments) -> ExitCode {
    let StoreCommand::Check(arguments) = &arguments.command;
    let report = match check(&arguments.dir) {
        Ok(report) => report,
        Err(error) => {
            complain(&error.to_string());
            return exit::code(exit::BAD_CONFIGURATION);
        }
    };
    let text = if arguments.json { json(&report) } else { plain(&report) };
    let mut stdout = std::io::stdout().lock();
    if let Err(error) = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        complain(&format!("cannot write: {error}"));
        return exit::code(exit::OTHER);
    }
    if report.is_fine() { ExitCode::SUCCESS } else { exit::code(exit::ASSERTION) }
}

/// One line on standard error.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "martlet: {text}");
}

/// Tells of damage on standard error.
pub(crate) fn said_damage(damage: &[Damage]) {
    for damage in damage {
        complain(&damage.to_string());
    }
}

/// What there is, by name.
fn counts(report: &CheckReport) -> [(&'static str, u64); 8] {
    let counts = &report.counts;
    [
        ("sessions", counts.sessions),
        ("subscriptions", counts.subscriptions),
        ("messages", counts.messages),
        ("releases", counts.releases),
        ("incoming", counts.incoming),
        ("shared", counts.shared),
        ("retained", counts.retained),
        ("bytes", counts.bytes),
    ]
}

fn plain(report: &CheckReport) -> String {
    let mut text = String::new();
    for (name, count) in counts(report) {
        let _ = writeln!(text, "{count:>12} {name}");
    }
    if report.torn_bytes > 0 {
        let torn = report.torn_bytes;
        let _ = writeln!(text, "{torn} bytes of a write that a crash cut short: no damage");
    }
    for damage in &report.damage {
        let _ = writeln!(text, "{damage}");
    }
    for problem in &report.problems {
        let _ = writeln!(text, "{} times: {} ({})", problem.times, problem.what, problem.first);
    }
    text.push_str(if report.is_fine() { "all is well\n" } else { "something is damaged\n" });
    text
}

fn json(report: &CheckReport) -> String {
    let mut text = format!("{{\"fine\":{}", report.is_fine());
    for (name, count) in counts(report) {
        let _ = write!(text, ",\"{name}\":{count}");
    }
    let _ = write!(text, ",\"torn_bytes\":{}", report.torn_bytes);
    let damage = report.damage.iter().map(|damage| {
        format!("{{\"what\":{},\"records\":{}}}", json_string(&damage.what), damage.records)
    });
    let problems = report.problems.iter().map(|problem| {
        let (what, first) = (json_string(&problem.what), json_string(&problem.first));
        format!("{{\"what\":{what},\"times\":{},\"first\":{first}}}", problem.times)
    });
    let (damage, problems): (Vec<_>, Vec<_>) = (damage.collect(), problems.collect());
    let _ = write!(text, ",\"damage\":[{}]", damage.join(","));
    let _ = writeln!(text, ",\"problems\":[{}]}}", problems.join(","));
    text
}

fn json_string(text: &str) -> String {
    let mut json = String::from('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => json.extend(['\\', character]),
            control if control.is_control() && u32::from(control) < 0x80 => {
                let _ = write!(json, "\\u{:04x}", u32::from(control));
            }
            other => json.push(other),
        }
    }
    json.push('"');
    json
}

#[cfg(test)]
mod tests {
    use super::json_string;

    #[test]
    fn strings_of_json() {
        assert_eq!(json_string("a\"b\\c\nd\u{7f}é"), "\"a\\\"b\\\\c\\u000ad\\u007fé\"");
    }
}
