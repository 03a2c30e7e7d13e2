//! A queue that grows: a million messages in, the process killed, the store opened again, read
//! from end to end, and emptied.
//!
//! Owns the two processes of this workload.

use std::path::Path;
use std::time::Instant;

use martlet_bench_meter as meter;

use crate::Result;
use crate::batch::{Batch, Space, entry_key};
use crate::engines::Engine;
use crate::figures::{Start, say};
use crate::workloads::{Random, SESSIONS};

/// Its name on the command line.
pub(crate) const NAME: &str = "growth";
/// The first process: it is killed when it has said its figures.
pub(crate) const LOAD: &str = "growth-load";
/// The second.
pub(crate) const REOPEN: &str = "growth-reopen";

const MESSAGES: u64 = 1_000_000;
const COMMIT: u64 = 1000;

/// Puts a million messages into 1000 sessions.
pub(crate) fn load(engine: Engine, folder: &Path) -> Result {
    let mut store = engine.open(folder)?;
    let mut random = Random::new();
    let mut batch = Batch::default();
    let start = Start::now(folder)?;
    for from in (0..MESSAGES).step_by(COMMIT as usize) {
        batch.clear();
        for number in from..from + COMMIT {
            let key = entry_key(number % SESSIONS, number / SESSIONS);
            batch.put(Space::Entries, &key, random.value());
        }
        store.commit(&batch)?;
    }
    start.say("", MESSAGES)?;
    say("disk_mb", meter::disk_bytes(folder)? as f64 / 1e6);
    // Nothing is closed: the process ends by a signal.
    std::mem::forget(store);
    Ok(())
}

/// Opens what is left, reads all of it, removes all of it.
pub(crate) fn reopen(engine: Engine, folder: &Path) -> Result {
    let before = Instant::now();
    let mut store = engine.open(folder)?;
    say("open_secs", before.elapsed().as_secs_f64());
    say("open_rss_mb", meter::rss_bytes("self")? as f64 / 1e6);
    let before = Instant::now();
    let scanned = store.scan()?;
    say("scan_secs", before.elapsed().as_secs_f64());
    say("scan_rss_mb", meter::rss_bytes("self")? as f64 / 1e6);
    if scanned.records != MESSAGES {
        return Err(format!("{} records are left of {MESSAGES}", scanned.records).into());
    }
    say("value_bytes", scanned.bytes as f64 / MESSAGES as f64);
    let mut batch = Batch::default();
    let start = Start::now(folder)?;
    for from in (0..MESSAGES).step_by(COMMIT as usize) {
        batch.clear();
        for number in from..from + COMMIT {
            batch.remove(Space::Entries, &entry_key(number % SESSIONS, number / SESSIONS));
        }
        store.commit(&batch)?;
    }
    start.say("drain_", MESSAGES)?;
    say("drain_disk_mb", meter::disk_bytes(folder)? as f64 / 1e6);
    std::mem::forget(store);
    Ok(())
}
