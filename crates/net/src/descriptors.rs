//! The process's limit of open descriptors, which bounds the number of connections.
//! Must not know who needs them.

use std::io;

/// Raises the soft limit of open descriptors to the hard limit and returns what it is now.
///
/// # Errors
/// What the operating system says; the old limit then stays.
pub fn raise_descriptor_limit() -> io::Result<u64> {
    rlimit::increase_nofile_limit(u64::MAX)
}
