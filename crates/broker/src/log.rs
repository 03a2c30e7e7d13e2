//! Log lines: a UTC timestamp, the level where it matters, the text; a turn's lines in one write.
//! Must not know what is told: that is the engine's `LogEvent`, or a line of the loop's own.

use std::fmt::{Display, Write as _};
use std::io::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use martlet_engine::{Level, LogEvent, Now};

use crate::config::{LogLevel, LogTarget};

/// Lines are handed on before the turn ends once there are so many bytes of them.
const BUFFER_BYTES_MAX: usize = 64 * 1024;

/// Collects the lines of a turn.
#[derive(Debug)]
pub(crate) struct Log {
    level: LogLevel,
    target: LogTarget,
    buffer: String,
}

impl Log {
    pub(crate) fn new(level: LogLevel, target: LogTarget) -> Self {
        Self { level, target, buffer: String::new() }
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

    /// Hands the lines on.
    pub(crate) fn flush(&mut self) {
        if self.buffer.is_empty() {
            return;
        }
        match &self.target {
            // Where nobody reads the log any more, nobody is helped by a broker that stops for it.
            LogTarget::Stderr => {
                let _ = std::io::stderr().lock().write_all(self.buffer.as_bytes());
            }
            LogTarget::Function(function) => function(&self.buffer),
        }
        self.buffer.clear();
    }

    fn line(&mut self, now: Now, severity: &str, line: impl Display) {
        let time = UNIX_EPOCH + Duration::from_millis(now.wall_ms);
        let time = humantime::format_rfc3339_millis(time);
        // Writing into a string fails only if `line` itself fails to be displayed.
        let _ = writeln!(self.buffer, "{time} {severity}{line}");
        if self.buffer.len() > BUFFER_BYTES_MAX {
            self.flush();
        }
    }
}
