//! Opening a data directory, and what that can say. Must not know the store thread.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use martlet_engine::ShardId;
use martlet_engine::store::{Restored, StoreEvent};

use crate::alarm::{Alarm, Damage};
use crate::config::StoreConfig;
use crate::handle::StoreHandle;
use crate::lock::{DirLock, LockError};
use crate::thread::{self, Shared};

/// An open data directory: nobody else can open it. First [`Store::restore`], then
/// [`Store::start`].
#[derive(Debug)]
pub struct Store {
    _lock: DirLock,
    identity: u128,
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
        std::fs::create_dir_all(dir).map_err(|error| OpenError::io(dir.clone(), error))?;
        let lock = DirLock::take(dir).map_err(|error| match error {
            LockError::Held(pid) => OpenError::Locked { dir: dir.clone(), pid },
            LockError::Io(error) => OpenError::io(dir.clone(), error),
        })?;
        Ok((Self { _lock: lock, identity: 0 }, OpenReport::default()))
    }

    /// The server's own identity: made with the directory, the same in every life.
    #[must_use]
    pub fn identity(&self) -> u128 {
        self.identity
    }

    /// The largest numbers given so far. Quick; to be asked before [`Store::restore`].
    pub fn maxima(&mut self) -> Maxima {
        Maxima::default()
    }

    /// Gives everything that an earlier life left: sessions and retained messages, in any order,
    /// but no [`Restored::Begin`], which is the caller's (see [`Store::maxima`]). Once a second has
    /// passed, `progress` is called at least every 100 ms.
    pub fn restore(
        &mut self,
        _progress: &mut dyn FnMut(Progress),
        _to: &mut dyn FnMut(Restored),
    ) -> RestoreReport {
        RestoreReport::default()
    }

    /// Starts the store thread. `events` is called on it, and must not block; `alarm` likewise,
    /// rarely. Health is told to `shards` shards.
    #[must_use]
    pub fn start(
        self,
        events: Arc<dyn Fn(ShardId, StoreEvent) + Send + Sync>,
        _shards: u16,
        alarm: Arc<dyn Fn(Alarm) + Send + Sync>,
    ) -> StoreHandle {
        let shared = Arc::new(Shared::new());
        thread::start(&shared, events, alarm);
        StoreHandle { shared }
    }
}
