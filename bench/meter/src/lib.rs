//! What a program cost: CPU, memory, bytes that the device wrote, latencies.
//!
//! Owns where each figure is read (Linux: /proc and /sys). Must not know what is measured.
//!
//! CPU is the time on a core of all threads that still live, in nanoseconds
//! (/proc/PID/task/*/schedstat); work of the kernel's own threads is not in it. Device bytes are
//! the sectors that the block device under a folder wrote, by anybody: measure on a file system of
//! its own, or on a machine at rest. A process's own counter of written bytes (/proc/PID/io)
//! charges whole folios of the page cache for a small write, so it is not used.
#![forbid(unsafe_code)]

use std::io::{Error, Result};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const SECTOR_BYTES: u64 = 512;

/// Time on a core of all threads of a process (its number, or `self`).
///
/// # Errors
/// When there is no such process.
pub fn cpu(process: &str) -> Result<Duration> {
    let mut nanos = 0;
    for task in std::fs::read_dir(format!("/proc/{process}/task"))? {
        // A thread may end meanwhile.
        let text = std::fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
        nanos += text.split(' ').next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(Duration::from_nanos(nanos))
}

/// Resident memory of a process (its number, or `self`).
///
/// # Errors
/// When there is no such process.
pub fn rss_bytes(process: &str) -> Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: u64 = line.and_then(|l| l.trim().split(' ').next()?.parse().ok()).unwrap_or(0);
    Ok(kib * 1024)
}

/// Bytes that the block device of `folder` has written; `None` where there is no such device.
#[must_use]
pub fn device_bytes(folder: &Path) -> Option<u64> {
    let device = std::fs::metadata(folder).ok()?.dev();
    let major = (device >> 8) & 0xfff | (device >> 32) & !0xfff;
    let minor = device & 0xff | (device >> 12) & !0xff;
    let text = std::fs::read_to_string(format!("/sys/dev/block/{major}:{minor}/stat")).ok()?;
    let sectors: u64 = text.split_whitespace().nth(6)?.parse().ok()?;
    Some(sectors * SECTOR_BYTES)
}

/// Writes out what waits in the page cache for the file system of `folder`.
///
/// # Errors
/// When `sync` cannot be started or fails.
pub fn settle(folder: &Path) -> Result<()> {
    match Command::new("sync").arg("-f").arg(folder).status()?.success() {
        true => Ok(()),
        false => Err(Error::other("sync -f failed")),
    }
}

/// Bytes that the files below a folder take.
///
/// # Errors
/// Those of reading the folder.
pub fn disk_bytes(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for file in std::fs::read_dir(folder)? {
        let file = file?;
        let data = file.metadata()?;
        bytes += if data.is_dir() { disk_bytes(&file.path())? } else { data.blocks() * 512 };
    }
    Ok(bytes)
}

/// Durations, of which parts are asked for at the end.
#[derive(Debug, Default)]
pub struct Durations(Vec<Duration>);

impl Durations {
    /// Notes one.
    pub fn note(&mut self, duration: Duration) {
        self.0.push(duration);
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The duration, in microseconds, that a part (0 to 1) of them does not exceed; 0 without any.
    #[must_use]
    pub fn part_us(&mut self, part: f64) -> f64 {
        self.0.sort_unstable();
        let last = self.0.len().saturating_sub(1);
        self.0.get((last as f64 * part) as usize).map_or(0.0, |found| found.as_secs_f64() * 1e6)
    }
}
