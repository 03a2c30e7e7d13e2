//! Standard error as a sink that never makes its writer wait. Must not know what is written.

use std::io::{self, Write};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// What a pipe that reports room takes at once, at the least (POSIX's PIPE_BUF on Linux).
const CHUNK_BYTES: usize = 4096;

/// Writes the front of `bytes` to standard error as far as that needs no waiting: a reader that has
/// stopped (a pager, a stopped terminal) must not stop the broker. Returns how many bytes went.
///
/// # Errors
/// What the operating system says, for instance that nobody reads any more.
pub fn write_diagnostics(bytes: &[u8]) -> io::Result<usize> {
    let mut stderr = io::stderr().lock();
    let mut written = 0;
    while written < bytes.len() {
        let mut ready = [PollFd::new(&stderr, PollFlags::OUT)];
        poll(&mut ready, Some(&Timespec::default()))?;
        if ready[0].revents().is_empty() {
            break;
        }
        let end = bytes.len().min(written + CHUNK_BYTES);
        written += stderr.write(&bytes[written..end])?;
    }
    Ok(written)
}
