//! What the exit codes of the executable mean, for all its commands.

use std::process::ExitCode;

/// Something else went wrong.
pub(crate) const OTHER: u8 = 1;
/// The command line was not understood.
pub(crate) const USAGE: u8 = 2;
/// The broker cannot start with what it was given: a taken port, an address the machine does not have.
pub(crate) const BAD_CONFIGURATION: u8 = 9;
/// Ended by a second Ctrl-C.
pub(crate) const INTERRUPTED: u8 = 130;

/// The code as what `main` returns.
pub(crate) fn code(code: u8) -> ExitCode {
    ExitCode::from(code)
}
