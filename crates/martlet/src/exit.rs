//! What the exit codes of the executable mean, for all its commands.

use std::process::ExitCode;

/// Something else went wrong.
pub(crate) const OTHER: u8 = 1;
/// The command line was not understood.
pub(crate) const USAGE: u8 = 2;
/// There is nobody to connect to.
pub(crate) const CANNOT_REACH: u8 = 3;
/// The server refused the connection.
pub(crate) const REFUSED: u8 = 4;
/// The server refused the connection, a message or a subscription for lack of authorisation.
pub(crate) const NOT_AUTHORIZED: u8 = 5;
/// The server refused a message or a subscription for another reason.
pub(crate) const REJECTED: u8 = 6;
/// The connection was lost before the job was done.
pub(crate) const CONNECTION_LOST: u8 = 7;
/// What was looked at is not as it should be: a damaged store or backup.
pub(crate) const ASSERTION: u8 = 8;
/// The broker cannot start with what it was given: a taken port, an address the machine does not
/// have.
pub(crate) const BAD_CONFIGURATION: u8 = 9;
/// The time given for the job is over.
pub(crate) const TIMED_OUT: u8 = 27;
/// Ended by a signal: a client command by the first, the broker by the second Ctrl-C.
pub(crate) const INTERRUPTED: u8 = 130;

/// The code as what `main` returns.
pub(crate) fn code(code: u8) -> ExitCode {
    ExitCode::from(code)
}
