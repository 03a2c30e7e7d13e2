//! `martlet restore`: a data directory from a backup. Must not know what a backup contains.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use martlet_broker::store::{BackupError, RestoreError, restore_backup};

use crate::exit;
use crate::store_command::complain;

/// Make a data directory from a backup.
///
/// The backup is read and checked wholly before the directory appears. A broker started with
/// `--data DIR` then has everything that the backup has.
#[derive(Debug, Args)]
pub(crate) struct RestoreArguments {
    /// The backup; `-` is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// The data directory to make; it must not exist yet, or be empty
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
}

/// Restores a backup.
pub(crate) fn run(arguments: &RestoreArguments) -> ExitCode {
    let file = &arguments.file;
    let done = if file.as_os_str() == "-" {
        restore(&mut io::stdin().lock(), &arguments.data)
    } else {
        match File::open(file) {
            Ok(from) => restore(&mut BufReader::new(from), &arguments.data),
            Err(error) => Err((format!("cannot read {}: {error}", file.display()), exit::OTHER)),
        }
    };
    match done {
        Ok(text) => {
            complain(&text);
            ExitCode::SUCCESS
        }
        Err((text, code)) => {
            complain(&text);
            exit::code(code)
        }
    }
}

fn restore(from: &mut dyn Read, dir: &Path) -> Result<String, (String, u8)> {
    match restore_backup(from, dir) {
        Ok(counts) if counts.unreadable == 0 => {
            Ok(format!("{} records restored to {}", counts.records, dir.display()))
        }
        Ok(counts) => Ok(format!(
            "{} records restored to {}; {} could not be read when the backup was made",
            counts.records,
            dir.display(),
            counts.unreadable
        )),
        Err(error) => {
            let code = match &error {
                RestoreError::NotEmpty(_) | RestoreError::Busy(_) => exit::BAD_CONFIGURATION,
                RestoreError::Backup(BackupError::Io(_)) => exit::OTHER,
                RestoreError::Backup(_) => exit::ASSERTION,
                _ => exit::OTHER,
            };
            Err((error.to_string(), code))
        }
    }
}
