//! What one fdatasync costs, without a broker.
//!
//! Owns two files beside the broker's: one grows with each append, so that the file system
//! journals its new size; the other was filled with zeros before, so that only data is written.

use std::fs::File;
use std::io::{Result, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use martlet_bench_meter::Durations;

/// What is appended: about one entry of a queue.
const APPEND_BYTES: usize = 200;
const FILLED_BYTES: u64 = 8 << 20;

pub(crate) struct Probe {
    growing: File,
    filled: File,
    at: u64,
    pub(crate) grow: Durations,
    pub(crate) fill: Durations,
}

impl Probe {
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        let mut filled = File::create(folder.join("probe-filled"))?;
        filled.write_all(&vec![0; FILLED_BYTES as usize])?;
        filled.sync_all()?;
        let growing = File::create(folder.join("probe-growing"))?;
        Ok(Self { growing, filled, at: 0, grow: Durations::default(), fill: Durations::default() })
    }

    /// Appends to both for so long each.
    pub(crate) fn run(&mut self, time: Duration) -> Result<()> {
        let bytes = [b'x'; APPEND_BYTES];
        let end = Instant::now() + time;
        while Instant::now() < end {
            let before = Instant::now();
            self.growing.write_all(&bytes)?;
            self.growing.sync_data()?;
            self.grow.note(before.elapsed());
        }
        let end = Instant::now() + time;
        while Instant::now() < end {
            let before = Instant::now();
            self.filled.write_all_at(&bytes, self.at)?;
            self.filled.sync_data()?;
            self.fill.note(before.elapsed());
            self.at = (self.at + APPEND_BYTES as u64) % (FILLED_BYTES - APPEND_BYTES as u64);
        }
        Ok(())
    }
}
