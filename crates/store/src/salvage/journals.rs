//! The journals of a store before the engine reads them: cuts a torn end off, writes a damaged one
//! anew without its bad parts. Must not know tables or records.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

use super::aside::{Aside, sync_folder};
use super::stop_mark::{Stopped, journal_number};
use super::tree_files::entries;
use crate::alarm::Damage;
use crate::journal_scan::{self, JournalScan};

/// What was found in the journals.
#[derive(Debug, Default)]
pub(super) struct Journals {
    /// In the order in which they were written.
    pub(super) paths: Vec<PathBuf>,
    /// Batches in all of them.
    pub(super) batches: u64,
    /// Bytes of a batch that was being written when the last life ended.
    pub(super) torn_bytes: u64,
}

/// Makes every journal readable for the engine. With `stopped`, nothing may differ from it.
pub(super) fn make_sound(
    db: &Path,
    stopped: Option<&[Stopped]>,
    aside: &mut Aside,
    damage: &mut Vec<Damage>,
) -> io::Result<Journals> {
    let mut found = Journals::default();
    let numbered = list(db, aside, damage)?;
    for number in missing(&numbered, stopped) {
        let what = format!("journal {number}.jnl is missing");
        damage.push(Damage { what, aside: None, records: 0 });
    }
    let last = numbered.len().saturating_sub(1);
    for (nth, (number, path)) in numbered.into_iter().enumerate() {
        let bytes = fs::read(&path)?;
        let mut scan = journal_scan::scan(&bytes);
        if let Some(torn) = scan.torn.take() {
            if nth == last && stopped.is_none() {
                found.torn_bytes = torn.len() as u64;
                if aside.may_change() {
                    cut(&path, scan.end())?;
                }
            } else {
                scan.holes.push(torn);
            }
        }
        let was = stopped.and_then(|all| all.iter().find(|was| was.number == number));
        if scan.is_damaged() {
            damage.push(rewrite(&path, &bytes, &scan, aside)?);
        } else if was.is_some_and(|was| was.bytes != bytes.len() as u64) {
            let what = format!("journal {number}.jnl has another length than at the last stop");
            damage.push(Damage { what, aside: None, records: 0 });
        } else if was.is_some_and(|was| was.checksum != xxh3_64(&bytes)) {
            let what = format!("journal {number}.jnl is not what it was at the last stop");
            damage.push(Damage { what, aside: None, records: 0 });
        }
        found.batches += scan.batches.len() as u64;
        found.paths.push(path);
    }
    Ok(found)
}

/// Numbers of journals that are not there and should be: the engine numbers them without gaps, and
/// removes the oldest first.
fn missing(numbered: &[(u64, PathBuf)], stopped: Option<&[Stopped]>) -> Vec<u64> {
    let gaps = numbered.windows(2).filter(|pair| pair[1].0 > pair[0].0 + 1);
    let mut missing = gaps.map(|pair| pair[0].0 + 1).collect::<Vec<_>>();
    for was in stopped.unwrap_or_default() {
        let there = numbered.iter().any(|(number, _)| *number == was.number);
        if !there && was.bytes > 0 && !missing.contains(&was.number) {
            missing.push(was.number);
        }
    }
    missing
}

/// The journals by number. What is called like one and is none goes aside.
fn list(db: &Path, aside: &mut Aside, damage: &mut Vec<Damage>) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut numbered = Vec::new();
    for path in entries(db)? {
        if !path.extension().is_some_and(|ext| ext.eq_ignore_ascii_case("jnl")) {
            continue;
        }
        match journal_number(&path) {
            Some(number) => numbered.push((number, path)),
            None => {
                let what = format!("{} is no journal", path.display());
                damage.push(Damage { what, aside: Some(aside.take(&path)?), records: 0 });
            }
        }
    }
    numbered.sort();
    Ok(numbered)
}

fn cut(path: &Path, len: usize) -> io::Result<()> {
    let file = File::options().write(true).open(path)?;
    file.set_len(len as u64)?;
    file.sync_all()
}

/// Puts a journal of the whole batches in the place of a damaged one.
fn rewrite(path: &Path, bytes: &[u8], scan: &JournalScan, aside: &mut Aside) -> io::Result<Damage> {
    let mut damage = say(path, bytes, scan);
    if !aside.may_change() {
        return Ok(damage);
    }
    let partial = path.with_extension("partial");
    let mut file = File::create(&partial)?;
    for batch in &scan.batches {
        let whole = &bytes[batch.bytes.clone()];
        let start = journal_scan::start_with_seqno(whole, batch.seqno);
        file.write_all(&start)?;
        file.write_all(&whole[start.len()..])?;
    }
    file.sync_all()?;
    drop(file);
    // The copy first: at no moment is there no journal.
    damage.aside = Some(aside.copy(path)?);
    fs::rename(&partial, path)?;
    sync_folder(path.parent().unwrap_or(Path::new(".")))?;
    Ok(damage)
}

fn say(path: &Path, bytes: &[u8], scan: &JournalScan) -> Damage {
    let lost: usize = scan.holes.iter().map(ExactSizeIterator::len).sum();
    let corrected = scan.batches.iter().filter(|batch| batch.seqno_corrected).count();
    let name = path.file_name().unwrap_or_default().display();
    let mut what = format!("journal {name}: ");
    if lost > 0 {
        let _ = write!(what, "{lost} bytes in {} places are unreadable", scan.holes.len());
    }
    if corrected > 0 {
        let and = if lost > 0 { ", " } else { "" };
        let _ = write!(what, "{and}{corrected} batches had a wrong number, which was put right");
    }
    let holes = scan.holes.iter();
    let records = holes.map(|hole| journal_scan::items_said(&bytes[hole.clone()])).sum();
    Damage { what, aside: None, records }
}
