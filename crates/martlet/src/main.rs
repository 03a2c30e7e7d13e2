//! The one executable: chooses the command. Everything a command does is in its own file.

mod amounts;
mod args;
mod backup_command;
mod client;
mod data_dir;
mod exit;
mod restore_command;
mod serve;
mod store_command;

use std::process::ExitCode;

use clap::Parser as _;

use crate::args::{Arguments, Command};

fn main() -> ExitCode {
    // Help and version end here with 0, mistakes with 2 and one line about them.
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            let code = if error.use_stderr() { exit::USAGE } else { 0 };
            return exit::code(code);
        }
    };
    // What is stored, and backups of it, are messages.
    martlet_broker::store::keep_files_private();
    match arguments.command {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Pub(arguments) => client::publish(&arguments),
        Command::Sub(arguments) => client::subscribe(&arguments),
        Command::Backup(arguments) => backup_command::run(&arguments),
        Command::Restore(arguments) => restore_command::run(&arguments),
        Command::Store(arguments) => store_command::run(&arguments),
    }
}
