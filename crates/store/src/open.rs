//! Opening a data directory, and what that can say. Must not know the store thread.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use martlet_engine::ShardId;
use martlet_engine::store::{Restored, StoreEvent};

use crate::alarm::{Alarm, Damage};
use crate::config::StoreConfig;
use crate::device::{self, Device, Trouble, Voice};
use crate::disk::{Disk, Upkeep};
use crate::format::FORMAT;
use crate::handle::StoreHandle;
use crate::inbox::Shared;
use crate::known::Known;
use crate::lock::{DirLock, LockError};
use crate::passport::{Passport, PassportError};
use crate::private::{create_folder, sync_folders};
use crate::restore::{Given, Restore};
use crate::room::RoomWatch;
use crate::salvage::{self, Depth};
use crate::thread::Worker;

/// Attempts to read a store back; after a failed one what is damaged is set aside.
const RESTORES_MAX: u32 = 3;

/// An open data directory: nobody else can open it. First [`Store::restore`], then
/// [`Store::start`].
#[derive(Debug)]
pub struct Store {
    config: StoreConfig,
    /// `None` only while it is being opened again.
    disk: Option<Disk>,
    identity: u128,
    known: Known,
    /// Whether something had been damaged: then the numbers are not taken for granted.
    had_damage: bool,
    is_restored: bool,
    lock: DirLock,
}

/// What opening found.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct OpenReport {
    /// Whether the directory was new or empty.
    pub created: bool,
    /// What could not be read, and what became of it. The store works without it.
    pub damage: Vec<Damage>,
}

/// Why a store could not be opened. One line says what is wrong and what to do about it.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process has the directory.
    Locked {
        /// The directory.
        dir: PathBuf,
        /// Its process id, when it could be read.
        pid: Option<u32>,
    },
    /// The directory or a file in it may not be written.
    NotWritable {
        /// What.
        path: PathBuf,
        /// What the operating system said.
        error: io::Error,
    },
    /// A later version of Martlet has written it.
    NewerFormat {
        /// The directory.
        dir: PathBuf,
        /// Its format.
        found: u32,
        /// The newest that this version reads.
        known: u32,
    },
    /// Something else that the operating system refuses.
    Io {
        /// What.
        path: PathBuf,
        /// What the operating system said.
        error: io::Error,
    },
    /// The storage engine refuses, and setting the bad part aside did not help.
    Engine {
        /// The directory.
        dir: PathBuf,
        /// What it said.
        cause: String,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Locked { dir, pid: Some(pid) } => write!(
                f,
                "the data directory {} is in use by process {pid}; stop it, or give another \
                 directory",
                dir.display()
            ),
            Self::Locked { dir, pid: None } => write!(
                f,
                "the data directory {} is in use by another process; stop it, or give another \
                 directory",
                dir.display()
            ),
            Self::NotWritable { path, error } => write!(
                f,
                "cannot write {}: {error}; change its owner or permissions, or give another \
                 directory",
                path.display()
            ),
            Self::NewerFormat { dir, found, known } => write!(
                f,
                "the data directory {} has format {found}, this version knows up to {known}; use \
                 the newer version that wrote it",
                dir.display()
            ),
            Self::Io { path, error } => write!(f, "cannot open {}: {error}", path.display()),
            Self::Engine { dir, cause } => write!(
                f,
                "the data directory {} cannot be opened: {cause}; restore a backup, or move it \
                 away to start anew",
                dir.display()
            ),
        }
    }
}

impl std::error::Error for OpenError {}

impl OpenError {
    fn engine(dir: &Path, trouble: Trouble) -> Self {
        let error = match trouble {
            Trouble::Open(error) => error,
            Trouble::Read(error) | Trouble::Write(error) => salvage::engine_error(error),
        };
        match error.kind() {
            io::ErrorKind::Other => Self::Engine { dir: dir.to_owned(), cause: error.to_string() },
            _ => Self::io(dir.to_owned(), error),
        }
    }

    pub(crate) fn io(path: PathBuf, error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::NotWritable { path, error }
            }
            _ => Self::Io { path, error },
        }
    }
}

/// How far a restart is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Sessions so far.
    pub sessions: u64,
    /// Waiting messages counted so far.
    pub messages: u64,
    /// Retained messages so far.
    pub retained: u64,
}

/// What a restart found.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct RestoreReport {
    /// How much it was.
    pub total: Progress,
    /// Records that belonged to nothing and were removed.
    pub orphans: u64,
    /// What could not be read.
    pub damage: Vec<Damage>,
}

/// The largest numbers given so far: the caller puts them into [`Restored::Begin`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Maxima {
    /// No session has a larger number.
    pub session_number: u64,
    /// No body has a larger counter.
    pub body_counter: u64,
}

impl Store {
    /// Opens or creates a data directory and takes it for this process.
    ///
    /// # Errors
    /// See [`OpenError`]. Damage is none: it is set aside and stands in the report.
    pub fn open(config: &StoreConfig) -> Result<(Self, OpenReport), OpenError> {
        let dir = &config.dir;
        let io = |error| OpenError::io(dir.clone(), error);
        create_folder(dir).map_err(io)?;
        let lock = DirLock::take(dir).map_err(|error| match error {
            LockError::Held(pid) => OpenError::Locked { dir: dir.clone(), pid },
            LockError::Io(error) => io(error),
        })?;
        let mut report = OpenReport::default();
        let passport = read_passport(dir, &mut report)?;
        let opened = device::open(dir, Depth::ORDINARY, Upkeep::Background);
        let (disk, repair) = opened.map_err(|trouble| OpenError::engine(dir, trouble))?;
        report.damage.extend(repair.damage);
        // Before anything is acknowledged: what was just made is to be found after a power cut.
        sync_folders(dir).map_err(io)?;
        let had_damage = !report.damage.is_empty();
        let store = Self {
            config: config.clone(),
            disk: Some(disk),
            identity: passport.identity,
            known: Known::default(),
            had_damage,
            is_restored: false,
            lock,
        };
        Ok((store, report))
    }

    /// The server's own identity: made with the directory, the same in every life.
    #[must_use]
    pub fn identity(&self) -> u128 {
        self.identity
    }

    /// The largest numbers given so far. Quick, unless something was damaged; to be asked before
    /// [`Store::restore`].
    pub fn maxima(&mut self) -> Maxima {
        let disk = self.disk();
        match crate::restore::read_stored_maxima(disk) {
            Some(maxima) if !self.had_damage => maxima,
            _ => crate::restore::scan_maxima(disk),
        }
    }

    /// Gives everything that an earlier life left: sessions and retained messages, in any order,
    /// but no [`Restored::Begin`], which is the caller's (see [`Store::maxima`]). Once a second has
    /// passed, `progress` is called at least every 100 ms.
    ///
    /// What cannot be read is set aside or removed, and stands in the report.
    ///
    /// # Errors
    /// When something cannot be read and it cannot be set aside either, as on a full disk: then
    /// the store must not be started, for what was not given would be missing.
    pub fn restore(
        &mut self,
        progress: &mut dyn FnMut(Progress),
        to: &mut dyn FnMut(Restored),
    ) -> Result<RestoreReport, OpenError> {
        let mut given = Given::default();
        let mut damage = Vec::new();
        let mut attempt = 1;
        loop {
            self.known = Known::default();
            let disk = self.disk.as_ref().expect("opened again below");
            let known = &mut self.known;
            let restore = Restore::new(disk, self.identity, known, &mut given, progress, to);
            match restore.run() {
                Ok(mut report) => {
                    self.is_restored = true;
                    report.damage.splice(0..0, damage);
                    return Ok(report);
                }
                Err(error) if attempt >= RESTORES_MAX => {
                    let trouble = Trouble::Read(error);
                    return Err(OpenError::engine(&self.config.dir, trouble));
                }
                Err(error) => self.repair(&error, attempt, &mut damage)?,
            }
            attempt += 1;
        }
    }

    /// After something could not be read: sets it aside and opens the engine again.
    fn repair(
        &mut self,
        error: &fjall::Error,
        attempt: u32,
        damage: &mut Vec<Damage>,
    ) -> Result<(), OpenError> {
        drop(self.disk.take());
        let depth = if attempt == 1 { Depth::Whole } else { Depth::Rebuild };
        let what = format!("a restart could not read everything ({error:?})");
        damage.push(Damage { what, aside: None, records: 0 });
        let opened = device::open(&self.config.dir, depth, Upkeep::Background);
        let (disk, repair) =
            opened.map_err(|trouble| OpenError::engine(&self.config.dir, trouble))?;
        damage.extend(repair.damage);
        self.disk = Some(disk);
        Ok(())
    }

    /// The open engine.
    pub(crate) fn disk(&self) -> &Disk {
        self.disk.as_ref().expect("closed only while it is being opened again")
    }

    /// Starts the store thread. `events` is called on it, and must not block; `alarm` likewise,
    /// rarely. Health is told to `shards` shards.
    ///
    /// # Panics
    /// When the operating system has no thread left; without a successful [`Store::restore`] before
    /// also when the store cannot be read.
    #[must_use]
    pub fn start(
        mut self,
        events: Arc<dyn Fn(ShardId, StoreEvent) + Send + Sync>,
        shards: u16,
        alarm: Arc<dyn Fn(Alarm) + Send + Sync>,
    ) -> StoreHandle {
        if !self.is_restored {
            let restored = self.restore(&mut |_| (), &mut drop);
            restored.expect("a store is restored before it is started");
        }
        let Self { config, disk, identity, known, lock, .. } = self;
        let StoreConfig { dir, durability, reserve_bytes, reserve_part } = config;
        let shared = Arc::new(Shared::new());
        let disk = Arc::new(disk.expect("closed only while it is being opened again"));
        shared.set_disk(Some(Arc::clone(&disk)));
        let room = RoomWatch::new(&dir, reserve_bytes, reserve_part);
        let device = Device::new(dir, disk, lock, room, Voice { events, alarm, shards });
        let worker = Worker::new(Arc::clone(&shared), device, known, durability, identity);
        let thread = std::thread::Builder::new().name("martlet-store".to_owned());
        let thread = thread.spawn(move || worker.run());
        shared.started(thread.expect("the operating system has a thread left at the start"));
        StoreHandle { shared, identity }
    }
}

fn read_passport(dir: &Path, report: &mut OpenReport) -> Result<Passport, OpenError> {
    let io = |error| OpenError::io(dir.join(crate::passport::PASSPORT_FILE), error);
    match Passport::read(dir) {
        Ok(Some(passport)) if passport.format > FORMAT => Err(OpenError::NewerFormat {
            dir: dir.to_owned(),
            found: passport.format,
            known: FORMAT,
        }),
        Ok(Some(passport)) => Ok(passport),
        Ok(None) => {
            report.created = !dir.join(crate::disk::ENGINE_DIR).exists();
            if !report.created {
                let what = "the file with the server's identity is missing: it has a new one";
                let what = what.to_owned();
                report.damage.push(Damage { what, aside: None, records: 0 });
            }
            Passport::create(dir).map_err(io)
        }
        Err(PassportError::Damaged) => {
            let aside = Passport::set_aside(dir).map_err(io)?;
            let what = "the file with the server's identity is damaged: it has a new one";
            let (what, aside) = (what.to_owned(), Some(aside));
            report.damage.push(Damage { what, aside, records: 0 });
            Passport::create(dir).map_err(io)
        }
        Err(PassportError::Io(error)) => Err(io(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::{OpenError, Store};
    use crate::config::{Durability, StoreConfig};
    use crate::format::FORMAT;
    use crate::passport::Passport;
    use crate::test_dir::TestDir;

    #[test]
    fn refuses_a_newer_format() {
        let dir = TestDir::new();
        let passport = Passport { format: FORMAT + 1, identity: 7 };
        passport.write(dir.path()).expect("it can be written");
        let config = StoreConfig::new(dir.path(), Durability::Sync);
        let error = Store::open(&config).expect_err("it is newer");
        let is_newer = matches!(error, OpenError::NewerFormat { found, known, .. }
            if (found, known) == (FORMAT + 1, FORMAT));
        assert!(is_newer, "{error}");
        assert!(!dir.path().join(crate::disk::ENGINE_DIR).exists(), "nothing was touched");
    }
}
