//! The engine over time: open, in trouble, opened again. Owns the health of the store and the watch
//! over free space. Must not know groups or sessions.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use martlet_engine::ShardId;
use martlet_engine::store::{StoreEvent, StoreHealth};

use crate::alarm::{Alarm, Damage};
use crate::disk::{self, Disk, DiskOp, ENGINE_DIR, KEYSPACES, Upkeep};
use crate::inbox::Shared;
use crate::lock::DirLock;
use crate::room::{Room, RoomWatch};
use crate::salvage::{self, Depth, Place, Repair};
use crate::stats::add;
use crate::thread::Ended;

/// The first wait before the engine is opened again; each further one is twice as long.
const BACK_OFF_MIN: Duration = Duration::from_millis(100);
/// The longest: so long at most does the store not notice that the disk is back.
const BACK_OFF_MAX: Duration = Duration::from_secs(2);
/// Failures that lie so far back no longer make the wait longer.
const CALM: Duration = Duration::from_secs(10);
/// Failures in a row, with room on the disk, after which all tables are read to find the bad one.
const FAILURES_FOR_SALVAGE: u32 = 3;
/// Free space is asked for so often at most while something is written.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// So often while the disk is full: soon enough that nobody waits for it.
const LOOK_EVERY_FULL: Duration = Duration::from_millis(250);
/// Free space is asked for after so many parts of the reserve have been written.
const LOOK_PART: u64 = 4;
/// A pause before a commit that would have to wait in the engine.
const CONGESTION_PAUSE: Duration = Duration::from_millis(1);
/// Journals that take more than one part in so many of a file system are emptied: the engine's own
/// bound is for disks of many gigabytes.
const JOURNALS_PART: u64 = 8;
/// Journals smaller than this are left alone even on a full disk: little would be won.
const JOURNALS_BYTES_MIN: u64 = 2 << 20;
/// How long that may take; commits wait meanwhile.
const FLUSH_MAX: Duration = Duration::from_secs(5);
/// On a full disk everything is merged at most so often.
const TIDY_EVERY: Duration = Duration::from_secs(2);

/// What went wrong.
#[derive(Debug)]
pub(crate) enum Trouble {
    Read(fjall::Error),
    Write(fjall::Error),
    Open(io::Error),
}

/// To whom the store speaks.
pub(crate) struct Voice {
    pub(crate) events: Arc<dyn Fn(ShardId, StoreEvent) + Send + Sync>,
    pub(crate) alarm: Arc<dyn Fn(Alarm) + Send + Sync>,
    pub(crate) shards: u16,
}

/// See above.
pub(crate) struct Device {
    dir: PathBuf,
    /// `None` only while it is being opened again.
    disk: Option<Arc<Disk>>,
    voice: Voice,
    room: RoomWatch,
    health: StoreHealth,
    looked: Instant,
    /// Bytes written since.
    written: u64,
    /// Whether something was written since the last tidying on a full disk.
    may_tidy: bool,
    tidied: Option<Instant>,
    failures: u32,
    failed: Option<Instant>,
    /// Keeps everybody else out; let go of last.
    _lock: DirLock,
}

impl Device {
    pub(crate) fn new(
        dir: PathBuf,
        disk: Arc<Disk>,
        lock: DirLock,
        room: RoomWatch,
        voice: Voice,
    ) -> Self {
        Self {
            dir,
            disk: Some(disk),
            voice,
            room,
            health: StoreHealth::Healthy,
            looked: Instant::now(),
            written: u64::MAX,
            may_tidy: false,
            tidied: None,
            failures: 0,
            failed: None,
            _lock: lock,
        }
    }

    /// The open engine.
    pub(crate) fn disk(&self) -> &Disk {
        self.disk.as_ref().expect("closed only while it is being opened again")
    }

    pub(crate) fn tell(&self, shard: ShardId, event: StoreEvent) {
        (self.voice.events)(shard, event);
    }

    /// Commits; `Err(Err(_))` when the thread is to end.
    pub(crate) fn commit(
        &mut self,
        ops: &[DiskOp],
        is_sync: bool,
        shared: &Shared,
    ) -> Result<(), Result<Trouble, Ended>> {
        let began = Instant::now();
        let mut has_waited = false;
        while self.disk().is_congested() {
            has_waited = true;
            self.disk().check().map_err(|error| Ok(Trouble::Write(error)))?;
            if self.disk().upkeep() == Upkeep::Here {
                // Nobody else makes it any better.
                self.may_tidy = true;
                self.look(shared).map_err(Err)?;
            }
            shared.pause(CONGESTION_PAUSE).map_err(Err)?;
        }
        if has_waited {
            add(&shared.counters.congested_us, began.elapsed().as_micros() as u64);
        }
        self.disk().commit(ops, is_sync).map_err(|error| Ok(Trouble::Write(error)))
    }

    /// Something was committed.
    pub(crate) fn written(&mut self, bytes: u64) {
        self.written = self.written.saturating_add(bytes);
        self.may_tidy = true;
    }

    /// A commit succeeded.
    pub(crate) fn works(&mut self) {
        if self.failed.is_some_and(|failed| failed.elapsed() >= CALM) {
            (self.failures, self.failed) = (0, None);
        }
        if self.health == StoreHealth::Failing {
            // The next look says so.
            self.written = u64::MAX;
        }
    }

    /// When [`Device::look`] is due without anything being written.
    pub(crate) fn next_look(&self) -> Option<Duration> {
        (self.health != StoreHealth::Healthy)
            .then(|| LOOK_EVERY_FULL.saturating_sub(self.looked.elapsed()))
    }

    /// Looks after free space when that is due: says when it runs out, and makes what room it can.
    pub(crate) fn look(&mut self, shared: &Shared) -> Result<(), Ended> {
        let is_healthy = self.health == StoreHealth::Healthy;
        let every = if is_healthy { LOOK_EVERY } else { LOOK_EVERY_FULL };
        let is_much = self.written >= self.room.reserve_bytes() / LOOK_PART;
        let is_due = self.looked.elapsed() >= every && (self.written > 0 || !is_healthy);
        if !is_much && !is_due {
            return Ok(());
        }
        let mut room = self.look_at_room(shared);
        if self.disk().upkeep() == Upkeep::Here && room.is_full && self.tidy(room, shared)? {
            room = self.look_at_room(shared);
        }
        match (room.is_full, self.health) {
            (true, StoreHealth::Healthy | StoreHealth::Failing) => self.say_full(room),
            (false, StoreHealth::Full | StoreHealth::Failing) if self.disk().check().is_ok() => {
                self.set_health(StoreHealth::Healthy);
            }
            _ => {}
        }
        let wanted = self.wanted_upkeep();
        if self.disk().upkeep() != wanted && !self.disk().has_snapshots() {
            return self.reopen(close, shared);
        }
        let journals = disk::journal_bytes(&self.engine_dir());
        let is_large = journals > (room.total_bytes / JOURNALS_PART).max(JOURNALS_BYTES_MIN);
        if is_large && wanted == Upkeep::Background && !self.disk().has_snapshots() {
            let engine_dir = self.engine_dir();
            return self.reopen(|disk| disk.close_small(&engine_dir, FLUSH_MAX), shared);
        }
        Ok(())
    }

    /// On a full disk the engine's own thread would run out of room, and the engine give up.
    fn wanted_upkeep(&self) -> Upkeep {
        match self.health {
            StoreHealth::Full => Upkeep::Here,
            StoreHealth::Healthy | StoreHealth::Failing => Upkeep::Background,
        }
    }

    fn look_at_room(&mut self, shared: &Shared) -> Room {
        let disk = self.disk.as_ref();
        let room = self.room.look(disk.map_or(0, |disk| disk.merge_bytes()));
        (self.looked, self.written) = (Instant::now(), 0);
        let bytes = disk.map_or(0, |disk| disk.bytes());
        shared.counters.set_disk(bytes, room.free_bytes);
        room
    }

    fn say_full(&mut self, room: Room) {
        let Room { free_bytes, wanted_bytes, .. } = room;
        (self.voice.alarm)(Alarm::Full { free_bytes, reserve_bytes: wanted_bytes });
        self.set_health(StoreHealth::Full);
    }

    /// Closes the engine in some way and opens it again.
    fn reopen(
        &mut self,
        close: impl FnOnce(Disk) -> fjall::Result<()>,
        shared: &Shared,
    ) -> Result<(), Ended> {
        let Some(disk) = self.take_disk(shared) else { return Ok(()) };
        let closed = close(disk).map_err(Trouble::Write);
        match closed.and_then(|()| self.open(Depth::UpTo(0), shared)) {
            Ok(()) => Ok(()),
            Err(trouble) => self.recover(trouble, shared),
        }
    }

    /// On a full disk: writes memtables out, empties journals, merges what was removed away; as far
    /// as there is room. Whether it tried.
    fn tidy(&mut self, room: Room, shared: &Shared) -> Result<bool, Ended> {
        let is_early = self.tidied.is_some_and(|at| at.elapsed() < TIDY_EVERY);
        if is_early || !self.may_tidy || self.disk().has_snapshots() {
            return Ok(false);
        }
        (self.may_tidy, self.tidied) = (false, Some(Instant::now()));
        let engine_dir = self.engine_dir();
        // Too little room for it is no trouble: it is tried again when something was written.
        let flush = |disk: Disk| match disk.flush_here() {
            Ok(true) => Ok(disk.close_flushed(&engine_dir)?),
            Ok(false) | Err(_) => Ok(()),
        };
        self.reopen(flush, shared)?;
        let free_bytes = self.room.look(0).free_bytes.max(room.free_bytes);
        if self.disk().compact_here(free_bytes).is_err() {
            // Opening removes what an unfinished merge leaves.
            self.reopen(close, shared)?;
        }
        Ok(true)
    }

    /// After a failure: opens the engine again, however often that has to be tried.
    pub(crate) fn recover(&mut self, trouble: Trouble, shared: &Shared) -> Result<(), Ended> {
        let mut trouble = trouble;
        loop {
            drop(self.take_disk(shared));
            self.fail(&trouble, shared);
            let wait = BACK_OFF_MIN * (1 << self.failures.min(8).saturating_sub(1));
            shared.pause(wait.min(BACK_OFF_MAX))?;
            let depth = self.depth(&trouble);
            let rewritten = disk::rewrite_journals(&self.engine_dir()).map_err(Trouble::Open);
            let rewritten = match rewritten {
                // What failed then was a write, which is no reason for it.
                Err(trouble) if trouble.is_for_want_of_room() => Ok(()),
                rewritten => rewritten,
            };
            match rewritten.and_then(|()| self.open(depth, shared)) {
                Ok(()) => {
                    add(&shared.counters.reopened, 1);
                    return Ok(());
                }
                Err(again) => trouble = again,
            }
        }
    }

    /// How closely the tables are looked at before the engine gets them again.
    fn depth(&self, trouble: &Trouble) -> Depth {
        match trouble {
            Trouble::Read(error) if !is_io(error) => match self.failures {
                1 => Depth::Whole,
                _ => Depth::Rebuild,
            },
            _ if self.failures >= FAILURES_FOR_SALVAGE && self.health != StoreHealth::Full => {
                Depth::Whole
            }
            _ => Depth::UpTo(0),
        }
    }

    /// Says what is wrong.
    fn fail(&mut self, trouble: &Trouble, shared: &Shared) {
        self.failures += 1;
        self.failed = Some(Instant::now());
        let room = self.look_at_room(shared);
        let is_full = trouble.is_for_want_of_room() || room.is_full;
        if is_full {
            self.room.spend();
        }
        if is_full && self.health != StoreHealth::Full {
            self.say_full(room);
        } else if !is_full && self.health == StoreHealth::Healthy {
            (self.voice.alarm)(Alarm::Failing { cause: trouble.to_string() });
            self.set_health(StoreHealth::Failing);
        }
    }

    fn set_health(&mut self, health: StoreHealth) {
        if self.health == health {
            return;
        }
        if health == StoreHealth::Healthy {
            (self.voice.alarm)(Alarm::Healed);
        }
        self.health = health;
        for shard in 0..self.voice.shards {
            self.tell(ShardId(shard), StoreEvent::Health(health));
        }
    }

    /// Records could not be read.
    pub(crate) fn damaged(&self, records: u64, shared: &Shared) {
        add(&shared.counters.damaged, records);
        let what = "messages of a queue cannot be read".to_owned();
        (self.voice.alarm)(Alarm::Damaged(Damage { what, aside: None, records }));
    }

    fn take_disk(&mut self, shared: &Shared) -> Option<Disk> {
        shared.set_disk(None);
        Arc::into_inner(self.disk.take()?)
    }

    fn open(&mut self, depth: Depth, shared: &Shared) -> Result<(), Trouble> {
        let (disk, repair) = open(&self.dir, depth, self.wanted_upkeep())?;
        for damage in repair.damage {
            add(&shared.counters.damaged, damage.records);
            (self.voice.alarm)(Alarm::Damaged(damage));
        }
        let disk = Arc::new(disk);
        shared.set_disk(Some(Arc::clone(&disk)));
        self.disk = Some(disk);
        Ok(())
    }

    fn engine_dir(&self) -> PathBuf {
        self.dir.join(ENGINE_DIR)
    }

    /// Closes everything; after an orderly stop the next start can tell that nothing is missing.
    pub(crate) fn close(mut self, is_orderly: bool, shared: &Shared) {
        let is_closed = self.take_disk(shared).map(drop).is_some();
        if is_closed && is_orderly {
            let engine_dir = self.engine_dir();
            // Without the mark the next start looks more closely, no more.
            let _: io::Result<()> = salvage::mark_stopped(place(&self.dir, &engine_dir));
        }
    }
}

fn close(disk: Disk) -> fjall::Result<()> {
    drop(disk);
    Ok(())
}

/// What a repair needs to know of a data directory.
pub(crate) fn place<'a>(dir: &'a Path, engine_dir: &'a Path) -> Place<'a> {
    Place { data: dir, db: engine_dir, keyspaces: &KEYSPACES }
}

/// Repairs what is damaged, then opens the engine; when that fails, as if everything were damaged.
pub(crate) fn open(dir: &Path, depth: Depth, upkeep: Upkeep) -> Result<(Disk, Repair), Trouble> {
    let engine_dir = dir.join(ENGINE_DIR);
    let make_sound = |depth| {
        let place = place(dir, &engine_dir);
        salvage::make_sound(place, depth, &disk::create).map_err(Trouble::Open)
    };
    let mut repair = make_sound(depth)?;
    match Disk::open_with(&engine_dir, upkeep) {
        Ok(disk) => Ok((disk, repair)),
        Err(error) if is_io(&error) || matches!(error, fjall::Error::Locked) => {
            Err(Trouble::Open(salvage::engine_error(error)))
        }
        Err(_) => {
            let again = make_sound(Depth::Rebuild)?;
            repair.damage.extend(again.damage);
            let disk = Disk::open_with(&engine_dir, upkeep);
            let disk = disk.map_err(|error| Trouble::Open(salvage::engine_error(error)))?;
            Ok((disk, repair))
        }
    }
}

/// Whether the operating system refused, rather than that bytes are wrong.
fn is_io(error: &fjall::Error) -> bool {
    match error {
        fjall::Error::Poisoned | fjall::Error::Io(_) => true,
        fjall::Error::Storage(error) => matches!(error, fjall::LsmError::Io(_)),
        _ => false,
    }
}

impl Trouble {
    fn io(&self) -> Option<&io::Error> {
        match self {
            Self::Open(error) => Some(error),
            Self::Read(error) | Self::Write(error) => match error {
                fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error)) => {
                    Some(error)
                }
                _ => None,
            },
        }
    }

    /// Whether the operating system said that there is no space left.
    fn is_for_want_of_room(&self) -> bool {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        self.io()
            .is_some_and(|error| matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge))
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.io(), self) {
            (Some(error), _) => error.fmt(f),
            (None, Self::Read(error) | Self::Write(error)) => match error {
                fjall::Error::Poisoned => f.write_str("the storage engine gave up"),
                error => write!(f, "{error:?}"),
            },
            (None, Self::Open(error)) => error.fmt(f),
        }
    }
}
