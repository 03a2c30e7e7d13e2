//! Every developer command of the project: `cargo xtask COMMAND`.
//!
//! Owns the list of commands and their dispatch. Must not know what a command does.
#![forbid(unsafe_code)]
// A command line tool talks on the terminal.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod args;
mod bench;
mod clients;
mod dag;
mod durability;
mod first_minute;
mod fuzz;
mod no_std;
mod project;
mod shell;
mod sim;
mod source;
mod spec;
mod suite;
mod tidy;
mod tools;

use std::process::ExitCode;

use args::Args;
use project::Project;

/// What a command returns: nothing, or one or more lines that say what is wrong.
type Result<T = ()> = std::result::Result<T, String>;

type Command = fn(&Project, Args) -> Result;

/// Name, one line of help, and the function of each command.
const COMMANDS: &[(&str, &str, Command)] = &[
    ("test", "everything a green run means; installs what it needs", suite::test),
    ("ci", "the structural part: fmt, clippy, dag, tidy, spec, tests of the crates", suite::ci),
    ("spec", "[--uncovered] [--markdown] [--ratchet]  statement -> code -> test", spec::command),
    ("dag", "the dependency edges between the crates, against the allowed ones", dag::command),
    ("tidy", "[--wrap]  sizes, names, headers, bans, licences", tidy::command),
    (
        "bench",
        "[durable [--data DIR]] [--secs N] [--rounds N] [--scenarios a,b] [--only a] [--shards N]",
        bench::command,
    ),
    ("sim", "[--seeds N] [--seed S] [--trace]  the simulator", sim::command),
    ("fuzz", "[--secs N] [--target NAME] [--merge]  the fuzz targets", fuzz::command),
    ("no-std", "martlet-proto without std and without alloc", no_std::command),
    ("conformance", "black-box cases against the release build", clients::conformance),
    ("clients", "real clients against the release build", clients::command),
    (
        "durability",
        "[--full] [--rounds N] [--seed N] [-k PATTERN]  kills, power cuts, bad disks",
        durability::command,
    ),
    ("first-minute", "runs the commands of README's first minute", first_minute::command),
];

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let name = words.next().unwrap_or_default();
    let Some((_, _, command)) = COMMANDS.iter().find(|(known, _, _)| *known == name) else {
        eprintln!("usage: cargo xtask COMMAND\n");
        for (known, help, _) in COMMANDS {
            eprintln!("  {known:<13} {help}");
        }
        return ExitCode::from(2);
    };
    let result = Project::find().and_then(|project| command(&project, Args::new(words)));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask {name}: {message}");
            ExitCode::FAILURE
        }
    }
}
