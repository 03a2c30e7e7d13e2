//! `cargo xtask first-minute`: README's first minute, as it stands there.
//!
//! Owns how the blocks are found and run. A fenced block of README.md whose first line is
//! "```sh first-minute=NAME" is run as NAME says; the block `output` is what the subscriber shows.

use std::time::{Duration, Instant};

use crate::Result;
use crate::args::Args;
use crate::project::Project;
use crate::shell::{Shell, free_port, shell};

/// The port that the commands use when they name none.
const DEFAULT_PORT: u16 = 1883;
/// What the whole minute may take once everything is built.
const LIMIT: Duration = Duration::from_secs(60);

/// `cargo xtask first-minute`.
pub(crate) fn command(project: &Project, args: Args) -> Result {
    args.end()?;
    check(project)
}

/// Runs `serve` in one shell, `sub` in a second, `pub` in a third, until the subscriber has shown
/// what the block `output` says.
pub(crate) fn check(project: &Project) -> Result {
    crate::clients::build(project)?;
    let readme = project.read("README.md")?;
    let block = |name| block(&readme, name);
    let (serve, subscribe) = (block("serve")?, block("sub")?);
    let (publish, expected) = (block("pub")?, block("output")?);
    let port = port()?;
    // Somebody who tries it has no data yet, or their own.
    let home = project.empty_folder("first-minute-data")?;
    let call = |text: &str| bash(project, text, port).env("XDG_DATA_HOME", &home);
    let logs = project.work_folder("logs")?;
    let mut broker = call(&serve).start(&logs.join("first-minute-serve.log"))?;
    broker.listens(port)?;
    let shown_in = logs.join("first-minute-sub.log");
    let mut subscriber = call(&subscribe).start(&shown_in)?;
    let deadline = Instant::now() + LIMIT;
    loop {
        // The reader of README publishes when the subscriber is there; here nobody looks, so the
        // message is published until it has arrived.
        let published = call(&publish).quiet().run_at_most(LIMIT);
        broker.outlives(published)?;
        let shown = std::fs::read_to_string(&shown_in).unwrap_or_default();
        if shown.contains(expected.trim()) {
            println!("first-minute: the subscriber showed '{}'", expected.trim());
            return broker.still_runs();
        }
        subscriber.still_runs().map_err(|error| format!("{error}:\n{shown}"))?;
        if Instant::now() > deadline {
            return Err(format!("'{}' was not shown but:\n{shown}", expected.trim()));
        }
    }
}

/// The text of the block with the given name.
fn block(readme: &str, name: &str) -> Result<String> {
    let mark = format!("first-minute={name}");
    let mut lines = readme.lines();
    lines
        .find(|line| line.starts_with("```") && line.split_whitespace().nth(1) == Some(&mark))
        .ok_or(format!("README.md has no block {mark}"))?;
    let inside = lines.take_while(|line| !line.starts_with("```"));
    Ok(inside.map(|line| format!("{line}\n")).collect())
}

/// The default port, or a free one when somebody uses it.
fn port() -> Result<u16> {
    if std::net::TcpListener::bind(("127.0.0.1", DEFAULT_PORT)).is_ok() {
        return Ok(DEFAULT_PORT);
    }
    let port = free_port(23_001)?;
    println!("first-minute: port {DEFAULT_PORT} is in use, every command gets -p {port}");
    Ok(port)
}

/// A shell in the project's root that runs the text as it stands, but for the port.
fn bash(project: &Project, text: &str, port: u16) -> Shell {
    let with_port = |line: &str| match port {
        DEFAULT_PORT => format!("{line}\n"),
        _ => format!("{line} -p {port}\n"),
    };
    let text: String = text.lines().map(with_port).collect();
    shell("bash").args(["-euc", &text]).within(&project.root)
}

#[cfg(test)]
mod tests {
    use super::block;

    #[test]
    fn finds_a_block_by_its_name() {
        let text = "a\n```sh first-minute=serve\ncargo run\n```\n```sh\nno\n```\n";
        assert_eq!(block(text, "serve").as_deref(), Ok("cargo run\n"));
        assert!(block(text, "sub").is_err());
    }
}
