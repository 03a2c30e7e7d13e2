//! What a run cost: time, CPU, memory, bytes that the device wrote.
//!
//! Owns where each figure is read. CPU is the time on a core of all threads of this process
//! (/proc/self/task/*/schedstat, nanoseconds); work of the kernel's own threads is not in it. Bytes
//! are sectors that the block device of the folder wrote, by anybody: measure on a file system of
//! its own, or on a machine at rest. The process's own counters (/proc/self/io) charge whole
//! folios of the page cache for a small write, so they are not used.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::Result;

/// The line after the last figure.
pub(crate) const END: &str = "end";
const SECTOR_BYTES: u64 = 512;

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
        settle(folder)?;
        let written = device_bytes(folder);
        Ok(Self { folder, at: Instant::now(), cpu: cpu()?, written })
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.at.elapsed()
    }

    /// Says what `messages` cost; `name` stands before each figure.
    pub(crate) fn say(&self, name: &str, messages: u64) -> Result {
        let (elapsed, cpu) = (self.at.elapsed(), cpu()? - self.cpu);
        settle(self.folder)?;
        let each = 1.0 / messages as f64;
        say(&format!("{name}rate"), messages as f64 / elapsed.as_secs_f64());
        say(&format!("{name}secs"), elapsed.as_secs_f64());
        say(&format!("{name}cpu_us"), cpu.as_secs_f64() * 1e6 * each);
        if let Some((before, after)) = self.written.zip(device_bytes(self.folder)) {
            say(&format!("{name}device"), (after - before) as f64 * each);
        }
        say(&format!("{name}rss_mb"), rss_bytes()? as f64 / 1e6);
        Ok(())
    }
}

/// Says the median and the 99th percentile of durations, in microseconds.
pub(crate) fn say_commits(commits: &mut [Duration]) {
    commits.sort_unstable();
    let at = |part: f64| commits[((commits.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e6;
    say("p50_us", at(0.5));
    say("p99_us", at(0.99));
    say("max_us", at(1.0));
}

/// Writes out what waits in the page cache for the file system of `folder`.
fn settle(folder: &Path) -> Result {
    match Command::new("sync").arg("-f").arg(folder).status()?.success() {
        true => Ok(()),
        false => Err("sync -f failed".into()),
    }
}

/// Time on a core of all threads.
pub(crate) fn cpu() -> Result<Duration> {
    let mut nanos = 0;
    for task in std::fs::read_dir("/proc/self/task")? {
        // A thread may end meanwhile.
        let text = std::fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
        nanos += text.split(' ').next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(Duration::from_nanos(nanos))
}

/// Resident memory.
pub(crate) fn rss_bytes() -> Result<u64> {
    let text = std::fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: u64 = line.and_then(|l| l.trim().split(' ').next()?.parse().ok()).unwrap_or(0);
    Ok(kib * 1024)
}

/// Bytes that the block device of `folder` has written; `None` where there is no such device.
fn device_bytes(folder: &Path) -> Option<u64> {
    let device = std::fs::metadata(folder).ok()?.dev();
    let major = (device >> 8) & 0xfff | (device >> 32) & !0xfff;
    let minor = device & 0xff | (device >> 12) & !0xff;
    let text = std::fs::read_to_string(format!("/sys/dev/block/{major}:{minor}/stat")).ok()?;
    let sectors: u64 = text.split_whitespace().nth(6)?.parse().ok()?;
    Some(sectors * SECTOR_BYTES)
}

/// Bytes that the files of a folder take.
pub(crate) fn disk_bytes(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for file in std::fs::read_dir(folder)? {
        let (path, data) = (file.as_ref().map_err(ToString::to_string)?.path(), file?.metadata()?);
        bytes += if data.is_dir() { disk_bytes(&path)? } else { data.blocks() * SECTOR_BYTES };
    }
    Ok(bytes)
}
