//! `martlet store check`: reads every record of a store that nobody has open, and every reference
//! between them. Changes nothing. Must not know how the result is shown.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::Path;

use martlet_engine::partition;
use martlet_engine::store::{BodyId, Seq, SessionId};

use crate::alarm::Damage;
use crate::device::place;
use crate::disk::ENGINE_DIR;
use crate::format::{BodyPlace, FORMAT, Mark, Record, Space, decode};
use crate::lock::{DirLock, LockError};
use crate::open::{Maxima, OpenError};
use crate::passport::{PASSPORT_FILE, Passport, PassportError};
use crate::salvage::{self, Place, Repair};

/// What a store holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StoreCounts {
    /// Sessions.
    pub sessions: u64,
    /// Subscriptions.
    pub subscriptions: u64,
    /// Messages for sessions: waiting and in flight.
    pub messages: u64,
    /// QoS 2 messages of which only the release is left.
    pub releases: u64,
    /// QoS 2 messages received and not released.
    pub incoming: u64,
    /// Messages that several sessions share.
    pub shared: u64,
    /// Retained messages.
    pub retained: u64,
    /// Bytes of all keys and values.
    pub bytes: u64,
}

/// Something that is not as it has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What.
    pub what: String,
    /// How often.
    pub times: u64,
    /// The first.
    pub first: String,
}

/// What a check found.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct CheckReport {
    /// What there is.
    pub counts: StoreCounts,
    /// Files that are bad. The next start sets them aside.
    pub damage: Vec<Damage>,
    /// Records that are bad, or do not fit others. The next start leaves them out.
    pub problems: Vec<Problem>,
    /// Bytes at the end of the journal that a crash left of an unfinished batch: no damage.
    pub torn_bytes: u64,
}

impl CheckReport {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_fine(&self) -> bool {
        self.damage.is_empty() && self.problems.is_empty()
    }
}

/// Why a directory could not be checked.
#[derive(Debug)]
#[non_exhaustive]
pub enum CheckError {
    /// It cannot be opened, or a broker has it.
    Open(OpenError),
    /// There is no store in it.
    NoStore(std::path::PathBuf),
}

impl fmt::Display for CheckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(error) => error.fmt(f),
            Self::NoStore(dir) => write!(f, "there is no store in {}", dir.display()),
        }
    }
}

impl std::error::Error for CheckError {}

/// Checks a data directory.
///
/// # Errors
/// When it holds no store, a broker has it open, or it cannot be read. Damage is none.
pub fn check(dir: &Path) -> Result<CheckReport, CheckError> {
    let _lock = take(dir)?;
    let io = |error| CheckError::Open(OpenError::io(dir.to_path_buf(), error));
    let mut check = Check::default();
    let found = each_record(place(dir, &dir.join(ENGINE_DIR)), &mut |space, key, value| {
        check.record(space, key, value);
        Ok(())
    });
    let repair = found.map_err(io)?;
    check.report.torn_bytes = repair.torn_bytes;
    check.report.damage = repair.damage;
    passport(dir, &mut check.report.damage).map_err(CheckError::Open)?;
    Ok(check.finish())
}

/// Takes a data directory that holds a store and that nobody has open.
pub(crate) fn take(dir: &Path) -> Result<DirLock, CheckError> {
    if !dir.join(ENGINE_DIR).exists() && !dir.join(PASSPORT_FILE).exists() {
        return Err(CheckError::NoStore(dir.to_path_buf()));
    }
    DirLock::take(dir).map_err(|error| {
        CheckError::Open(match error {
            LockError::Held(pid) => OpenError::Locked { dir: dir.to_path_buf(), pid },
            LockError::Io(error) => OpenError::io(dir.to_path_buf(), error),
        })
    })
}

/// Looks at the file that says what the directory is. A newer format is not for this version.
pub(crate) fn passport(dir: &Path, damage: &mut Vec<Damage>) -> Result<(), OpenError> {
    let path = dir.join(PASSPORT_FILE);
    let bad = match Passport::read(dir) {
        Ok(Some(passport)) if passport.format > FORMAT => {
            let (found, dir) = (passport.format, dir.to_path_buf());
            return Err(OpenError::NewerFormat { dir, found, known: FORMAT });
        }
        Ok(Some(_)) => return Ok(()),
        Ok(None) => "missing",
        Err(PassportError::Damaged) => "damaged",
        Err(PassportError::Io(error)) => return Err(OpenError::io(path, error)),
    };
    let what = format!("the file {PASSPORT_FILE} is {bad}");
    damage.push(Damage { what, aside: None, records: 0 });
    Ok(())
}

/// A check under way.
#[derive(Debug, Default)]
struct Check {
    report: CheckReport,
    problems: BTreeMap<&'static str, (u64, String)>,
    sessions: BTreeSet<SessionId>,
    client_ids: BTreeSet<Box<str>>,
    entries: BTreeSet<(SessionId, Seq)>,
    /// Flights by mark: their entry comes with the mark or right behind it.
    flights: Vec<(SessionId, Seq)>,
    wanted_shared: BTreeMap<BodyId, bool>,
    wanted_own: BTreeSet<(SessionId, Seq)>,
    maxima: Maxima,
    largest: Maxima,
}

impl Check {
    fn problem(&mut self, what: &'static str, first: impl FnOnce() -> String) {
        self.problems.entry(what).or_insert_with(|| (0, first())).0 += 1;
    }

    fn unless(&mut self, is_well: bool, what: &'static str, first: impl FnOnce() -> String) {
        if !is_well {
            self.problem(what, first);
        }
    }

    fn record(&mut self, space: Space, key: &[u8], value: &[u8]) {
        self.report.counts.bytes += (key.len() + value.len()) as u64;
        match decode(space, key, value) {
            Ok(record) => self.decoded(key, record),
            Err(error) => self.problem("a record cannot be read", || {
                format!("{} in {space:?}: {error}", hex(key))
            }),
        }
    }

    fn decoded(&mut self, key: &[u8], record: Record) {
        let counts = &mut self.report.counts;
        match record {
            Record::Session(session, record) => {
                counts.sessions += 1;
                self.largest.session_number = self.largest.session_number.max(session.number);
                self.sessions.insert(session);
                if partition(&record.client_id) != session.partition {
                    self.problem("a session is in the wrong partition", || hex(key));
                }
                if !self.client_ids.insert(record.client_id.clone()) {
                    let client_id = record.client_id.into_string();
                    self.problem("a client has two sessions", || client_id);
                }
            }
            Record::Subscription(session, _) => {
                counts.subscriptions += 1;
                self.belongs(session, key);
            }
            Record::Incoming(session, _) => {
                counts.incoming += 1;
                self.belongs(session, key);
            }
            Record::Mark(session, seq, mark) => {
                self.belongs(session, key);
                match mark {
                    Mark::Flight(_) => self.flights.push((session, seq)),
                    Mark::Release(_) => counts_release(&mut self.report.counts),
                }
            }
            Record::Entry { session, seq, body, .. } => {
                counts.messages += 1;
                self.belongs(session, key);
                self.entries.insert((session, seq));
                match body {
                    BodyPlace::Inline(_) => {}
                    BodyPlace::Shared(body) => {
                        self.wanted_shared.insert(body, false);
                    }
                    BodyPlace::Own => {
                        self.wanted_own.insert((session, seq));
                    }
                }
            }
            Record::Maxima(maxima) => self.maxima = maxima,
            other => self.message(key, &other),
        }
    }

    /// The records of the other space, which come behind all that refer to them.
    fn message(&mut self, key: &[u8], record: &Record) {
        match record {
            Record::Body(body, _) => {
                self.report.counts.shared += 1;
                let counter = body.counter();
                self.largest.body_counter = self.largest.body_counter.max(counter);
                match self.wanted_shared.get_mut(body) {
                    Some(found) => *found = true,
                    None => self.problem("a shared message is wanted by nobody", || hex(key)),
                }
            }
            Record::OwnBody(session, seq, _) => {
                let is_wanted = self.wanted_own.remove(&(*session, *seq));
                self.unless(is_wanted, "a message is wanted by nobody", || hex(key));
            }
            Record::Retained(message) => {
                self.report.counts.retained += 1;
                let said = key.get(1..3).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]));
                if said != Some(partition(message.topic())) {
                    let topic = message.topic().to_owned();
                    self.problem("a retained message is in the wrong partition", || topic);
                }
            }
            _ => {}
        }
    }

    fn belongs(&mut self, session: SessionId, key: &[u8]) {
        if !self.sessions.contains(&session) {
            self.problem("a record belongs to no session", || hex(key));
        }
    }

    fn finish(mut self) -> CheckReport {
        for (session, seq) in std::mem::take(&mut self.flights) {
            if !self.entries.contains(&(session, seq)) {
                self.problem("a message in flight is missing", || name(session, seq));
            }
        }
        for (session, seq) in std::mem::take(&mut self.wanted_own) {
            self.problem("a message is missing", || name(session, seq));
        }
        for (body, _) in std::mem::take(&mut self.wanted_shared).into_iter().filter(|(_, is)| !is) {
            self.problem("a shared message is missing", || format!("body {:x}", body.0));
        }
        let (known, largest) = (self.maxima, self.largest);
        if known.session_number < largest.session_number
            || known.body_counter < largest.body_counter
        {
            self.problem("a number is larger than the largest given", || format!("{largest:?}"));
        }
        let say =
            |(what, (times, first)): (&str, _)| Problem { what: what.to_owned(), times, first };
        self.report.problems = self.problems.into_iter().map(say).collect();
        self.report
    }
}

fn counts_release(counts: &mut StoreCounts) {
    counts.releases += 1;
}

fn name(session: SessionId, seq: Seq) -> String {
    format!("session {} place {seq}", session.number)
}

fn hex(key: &[u8]) -> String {
    use fmt::Write as _;
    let mut text = String::from("key ");
    for byte in key.iter().take(64) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Takes a record: its space, key and value.
type Give<'a> = dyn FnMut(Space, &[u8], &[u8]) -> io::Result<()> + 'a;

/// Reads a store that nobody has open: all records of sessions, then all messages.
pub(crate) fn each_record(place: Place<'_>, give: &mut Give<'_>) -> io::Result<Repair> {
    let found = salvage::inspect(place)?;
    let order = [Space::Records, Space::Messages];
    let mut repair = found.each_record(place.keyspaces, &mut |nth, key, value| {
        give(order[nth.min(1)], &key, &value)
    })?;
    repair.damage.splice(0..0, found.repair.damage);
    repair.torn_bytes = found.repair.torn_bytes;
    Ok(repair)
}
