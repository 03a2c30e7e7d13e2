//! What a run cost, said to the parent process.
//!
//! Owns the names of the figures. Where they are read stands in bench/meter.

use std::path::Path;
use std::time::{Duration, Instant};

use martlet_bench_meter::{self as meter, Durations};

use crate::Result;

/// The line after the last figure.
pub(crate) const END: &str = "end";

/// Says one figure to the parent process.
pub(crate) fn say(name: &str, value: f64) {
    println!("{name}={value}");
}

/// Says that there are no more.
pub(crate) fn end() {
    println!("{END}");
}

/// The beginning of what is measured.
pub(crate) struct Start<'a> {
    folder: &'a Path,
    at: Instant,
    cpu: Duration,
    written: Option<u64>,
}

impl<'a> Start<'a> {
    /// Begins after everything that is still to be written has been written.
    pub(crate) fn now(folder: &'a Path) -> Result<Self> {
        meter::settle(folder)?;
        let written = meter::device_bytes(folder);
        Ok(Self { folder, at: Instant::now(), cpu: meter::cpu("self")?, written })
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.at.elapsed()
    }

    /// Says what `messages` cost; `name` stands before each figure.
    pub(crate) fn say(&self, name: &str, messages: u64) -> Result {
        let (elapsed, cpu) = (self.at.elapsed(), meter::cpu("self")? - self.cpu);
        meter::settle(self.folder)?;
        let each = 1.0 / messages as f64;
        say(&format!("{name}rate"), messages as f64 / elapsed.as_secs_f64());
        say(&format!("{name}secs"), elapsed.as_secs_f64());
        say(&format!("{name}cpu_us"), cpu.as_secs_f64() * 1e6 * each);
        if let Some((before, after)) = self.written.zip(meter::device_bytes(self.folder)) {
            say(&format!("{name}device"), (after - before) as f64 * each);
        }
        say(&format!("{name}rss_mb"), meter::rss_bytes("self")? as f64 / 1e6);
        Ok(())
    }
}

/// Says the median, the 99th percentile and the longest of durations, in microseconds.
pub(crate) fn say_commits(commits: &mut Durations) {
    for (name, part) in [("p50_us", 0.5), ("p99_us", 0.99), ("max_us", 1.0)] {
        say(name, commits.part_us(part));
    }
}
