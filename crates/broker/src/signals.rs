//! What the operating system asks of the process: stop, or stop at once. Must not know how stopping
//! is done.

use std::io;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator;

/// The process's signals from now on. SIGHUP is ignored (there is no configuration to reload yet),
/// SIGPIPE is by Rust's runtime.
#[derive(Debug)]
pub struct Signals {
    signals: iterator::Signals,
}

/// A signal that asks for the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interrupted {
    /// SIGTERM: whoever supervises the process wants it gone.
    Terminate,
    /// SIGINT: somebody pressed Ctrl-C.
    Interrupt,
}

impl Signals {
    /// Takes over SIGTERM, SIGINT and SIGHUP.
    ///
    /// # Errors
    /// What the operating system says; not in normal operation.
    pub fn catch() -> io::Result<Self> {
        Ok(Self { signals: iterator::Signals::new([SIGTERM, SIGINT, SIGHUP])? })
    }

    /// Waits until the process is asked to end.
    pub fn wait(&mut self) -> Interrupted {
        for signal in self.signals.forever() {
            match signal {
                SIGTERM => return Interrupted::Terminate,
                SIGINT => return Interrupted::Interrupt,
                _ => {}
            }
        }
        // The iterator ends only when its handle is closed, and nobody has one.
        Interrupted::Terminate
    }
}
