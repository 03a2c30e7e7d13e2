//! Log lines: a UTC timestamp, the level where it matters, the text; a turn's lines in one write,
//! which never waits for a reader. Must not know what is told: that is the engine's `LogEvent`, or
//! a line of the loop's own.

use std::fmt::Display;
use std::io::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use martlet_engine::{Level, LogEvent, Now};
use martlet_net::write_diagnostics;

use crate::config::{LogLevel, LogTarget};

/// Lines are handed on before the turn ends once there are so many bytes of them.
const BATCH_BYTES: usize = 64 * 1024;

/// Lines that nobody reads are kept up to so many bytes; later ones are counted.
const BUFFER_BYTES_MAX: usize = 1 << 20;

/// Collects the lines of a turn.
#[derive(Debug)]
pub(crate) struct Log {
    level: LogLevel,
    target: LogTarget,
    buffer: Vec<u8>,
    /// Lines that found no room since the log was last read.
    lost: u64,
}

impl Log {
    pub(crate) fn new(level: LogLevel, target: LogTarget) -> Self {
        Self { level, target, buffer: Vec::new(), lost: 0 }
    }

    /// A line about something of the engine's.
    pub(crate) fn event(&mut self, now: Now, event: &LogEvent) {
        match event.level() {
            Level::Warning => self.warn(now, event),
            Level::Info => self.info(now, event),
        }
    }

    /// A line that an operator should see.
    pub(crate) fn warn(&mut self, now: Now, line: impl Display) {
        self.line(now, "warning: ", line);
    }

    /// A line about the ordinary course of things.
    pub(crate) fn info(&mut self, now: Now, line: impl Display) {
        if self.level >= LogLevel::Normal {
            self.line(now, "", line);
        }
    }

    /// Hands the lines on, as far as they are taken without waiting.
    pub(crate) fn flush(&mut self) {
        if self.buffer.is_empty() {
            return;
        }
        let taken = match &self.target {
            // Where nobody reads the log any more, nobody is helped by a broker that stops for it.
            LogTarget::Stderr => write_diagnostics(&self.buffer).unwrap_or(self.buffer.len()),
            LogTarget::Function(function) => {
                function(&String::from_utf8_lossy(&self.buffer));
                self.buffer.len()
            }
        };
        if taken == self.buffer.len() {
            self.buffer.clear();
            self.tell_lost();
        } else {
            self.buffer.drain(..taken);
        }
    }

    fn tell_lost(&mut self) {
        let lost = std::mem::take(&mut self.lost);
        if lost > 0 {
            let _ = writeln!(self.buffer, "warning: {lost} log lines lost: nobody read them");
        }
    }

    fn line(&mut self, now: Now, severity: &str, line: impl Display) {
        if self.buffer.len() > BUFFER_BYTES_MAX {
            self.lost += 1;
            return;
        }
        let before = self.buffer.len();
        let time = UNIX_EPOCH + Duration::from_millis(now.wall_ms);
        let time = humantime::format_rfc3339_millis(time);
        // Writing into memory fails only if `line` itself fails to be displayed.
        let _ = writeln!(self.buffer, "{time} {severity}{line}");
        if before / BATCH_BYTES != self.buffer.len() / BATCH_BYTES {
            self.flush();
        }
    }
}
