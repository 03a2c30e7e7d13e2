//! The client commands, `martlet pub` and `martlet sub`, with the letters and habits of
//! mosquitto_pub and mosquitto_sub. Owns the way from a job's result to the exit code; must not
//! know the broker.

mod arguments;
mod driver;
mod failure;
mod link;
mod pub_command;
mod sub_command;
mod trace;

use std::io::Write as _;
use std::process::ExitCode;

pub(crate) use arguments::{PubArguments, SubArguments};

use failure::Failure;

/// Publishes what the arguments say.
pub(crate) fn publish(arguments: &PubArguments) -> ExitCode {
    finish(pub_command::run(arguments), arguments.connect.quiet)
}

/// Subscribes and prints what comes.
pub(crate) fn subscribe(arguments: &SubArguments) -> ExitCode {
    finish(sub_command::run(arguments), arguments.connect.quiet)
}

fn finish(result: Result<(), Failure>, quiet: bool) -> ExitCode {
    let Err(failure) = result else { return ExitCode::SUCCESS };
    if let (Some(text), false) = (failure.text(), quiet) {
        tell(&text);
    }
    crate::exit::code(failure.code())
}

/// One line for people, on standard error. That nobody reads it is no reason to fail.
fn tell(text: &str) {
    let _ = writeln!(std::io::stderr(), "martlet: {text}");
}
