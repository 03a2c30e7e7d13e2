//! `martlet backup`: asks the broker that runs on a data directory, or reads the directory itself
//! when none does. Owns how the file comes to be: under another name, until it is whole and on the
//! disk. Must not know what a backup contains.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use martlet_broker::store::{BackupDirError, CheckError, OpenError, backup_dir};
use martlet_broker::{ControlError, backup_from_broker};

use crate::data_dir::default_data_dir;
use crate::exit;
use crate::store_command::{complain, said_damage};

/// Write everything that is stored to one file.
///
/// While a broker runs on the data directory it gives the backup, as everything is at that moment,
/// and goes on serving. Otherwise the directory is read itself; nothing in it is changed.
#[derive(Debug, Args)]
pub(crate) struct BackupArguments {
    /// Where to write it; `-` is standard output
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// The data directory [default: $XDG_DATA_HOME/martlet or ~/.local/share/martlet]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// Why there is no backup.
struct Failure {
    text: String,
    code: u8,
}

/// Makes a backup.
pub(crate) fn run(arguments: &BackupArguments) -> ExitCode {
    let Some(dir) = arguments.data.clone().or_else(default_data_dir) else {
        complain("there is no home directory: say with --data which directory to back up");
        return exit::code(exit::BAD_CONFIGURATION);
    };
    let done = if arguments.file.as_os_str() == "-" {
        write_backup(&dir, &mut io::stdout().lock())
    } else {
        into_file(&dir, &arguments.file)
    };
    match done {
        Ok((records, 0)) => {
            complain(&format!("{records} records written"));
            ExitCode::SUCCESS
        }
        Ok((records, unreadable)) => {
            complain(&format!("{records} records written, {unreadable} could not be read"));
            exit::code(exit::ASSERTION)
        }
        Err(failure) => {
            complain(&failure.text);
            exit::code(failure.code)
        }
    }
}

/// Writes the file beside its place, and puts it there when it is whole.
fn into_file(dir: &Path, file: &Path) -> Result<(u64, u64), Failure> {
    let other = |path: &Path, error: io::Error| Failure {
        text: format!("cannot write {}: {error}", path.display()),
        code: exit::OTHER,
    };
    let mut name = file.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".partial-{}", std::process::id()));
    let partial = file.with_file_name(name);
    let written =
        File::create_new(&partial).map_err(|error| other(&partial, error)).and_then(|to| {
            let mut to = BufWriter::new(to);
            let counts = write_backup(dir, &mut to)?;
            let end = to.flush().and_then(|()| to.get_ref().sync_all());
            let end = end.and_then(|()| fs::rename(&partial, file));
            end.map_err(|error| other(file, error))?;
            Ok(counts)
        });
    if written.is_err() {
        let _ = fs::remove_file(&partial);
        return written;
    }
    // The new name, too, is to survive a power cut.
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    let synced = File::open(parent).and_then(|folder| folder.sync_all());
    synced.map_err(|error| other(parent, error))?;
    written
}

/// Records written, and records that could not be read.
fn write_backup(dir: &Path, to: &mut dyn Write) -> Result<(u64, u64), Failure> {
    let no_broker = match backup_from_broker(dir, to) {
        Err(ControlError::NoBroker(error)) => error,
        Err(error) => return Err(Failure { text: error.to_string(), code: exit::OTHER }),
        Ok(counts) => return Ok(counts),
    };
    match backup_dir(dir, to) {
        Ok((counts, damage)) => {
            said_damage(&damage);
            Ok((counts.records, counts.unreadable.max(u64::from(!damage.is_empty()))))
        }
        Err(BackupDirError::Output(error)) => {
            let text = format!("cannot write the backup: {error}");
            Err(Failure { text, code: exit::OTHER })
        }
        Err(error) => {
            let mut text = error.to_string();
            if matches!(&error, BackupDirError::Dir(CheckError::Open(OpenError::Locked { .. }))) {
                text = format!("a broker runs on {}, but {no_broker}", dir.display());
            }
            Err(Failure { text, code: exit::BAD_CONFIGURATION })
        }
    }
}
