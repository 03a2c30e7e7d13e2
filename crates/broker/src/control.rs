//! The control socket of a running broker, `control.sock` in its data directory: how commands of
//! the same user on the same machine reach it. Owns the protocol, of which this file has both
//! sides. Must not know what a backup contains.
//!
//! A client sends one line, the request: `backup`. It is answered by frames `kind:u8 len:u32 bytes`
//! (the length big-endian): kind 0 is data, 1 the end with a line of text, 2 a refusal or failure
//! with a line of text. Then the connection ends.

use std::fmt;
use std::fs::{self, Permissions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use martlet_store::StoreHandle;

/// Name of the socket in the data directory.
const SOCKET: &str = "control.sock";
/// Requests that are answered at the same time.
const CLIENTS_MAX: usize = 4;
/// A request is a word.
const REQUEST_BYTES_MAX: u64 = 256;
/// How long a client may be silent, or take nothing. A backup under way keeps the store from
/// repairing itself, so this is short.
const PATIENCE: Duration = Duration::from_secs(10);
/// A broker that answers nothing for so long has ended, or hangs.
const CLIENT_PATIENCE: Duration = Duration::from_secs(60);
/// No frame is longer.
const FRAME_BYTES_MAX: usize = 1 << 20;
const DATA: u8 = 0;
const DONE: u8 = 1;
const FAILED: u8 = 2;

/// The listening side.
#[derive(Debug)]
pub(crate) struct Control {
    path: PathBuf,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Control {
    /// Listens in a data directory that this process owns.
    pub(crate) fn start(dir: &Path, store: StoreHandle) -> io::Result<Self> {
        let path = dir.join(SOCKET);
        // The directory is ours: what is there is left from an earlier life.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        let stopping = Arc::new(AtomicBool::new(false));
        let own = Arc::clone(&stopping);
        let thread = thread::Builder::new()
            .name("martlet-control".to_owned())
            .spawn(move || accept(&listener, &store, &own))?;
        Ok(Self { path, stopping, thread: Some(thread) })
    }

    /// Listens no more. What is being answered ends with the store.
    pub(crate) fn stop(mut self) {
        self.stopping.store(true, Ordering::Release);
        // The thread waits for a connection; this is one.
        let woken = UnixStream::connect(&self.path).is_ok();
        let _ = fs::remove_file(&self.path);
        if let Some(thread) = self.thread.take()
            && woken
        {
            let _ = thread.join();
        }
    }
}

fn accept(listener: &UnixListener, store: &StoreHandle, stopping: &AtomicBool) {
    let clients = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        if stopping.load(Ordering::Acquire) {
            return;
        }
        let Ok(mut stream) = stream else {
            // Out of descriptors: they come back when others close.
            thread::sleep(Duration::from_millis(100));
            continue;
        };
        let _ = stream.set_read_timeout(Some(PATIENCE));
        let _ = stream.set_write_timeout(Some(PATIENCE));
        if clients.fetch_add(1, Ordering::AcqRel) >= CLIENTS_MAX {
            clients.fetch_sub(1, Ordering::AcqRel);
            let _ = frame(&mut stream, FAILED, b"the broker is busy with other requests");
            continue;
        }
        let (store, counter) = (store.clone(), Arc::clone(&clients));
        let answer = move || {
            let _ = serve(&mut stream, &store);
            counter.fetch_sub(1, Ordering::AcqRel);
        };
        let thread = thread::Builder::new().name("martlet-request".to_owned());
        if thread.spawn(answer).is_err() {
            clients.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

fn serve(stream: &mut UnixStream, store: &StoreHandle) -> io::Result<()> {
    let mut line = String::new();
    BufReader::new((&*stream).take(REQUEST_BYTES_MAX)).read_line(&mut line)?;
    match line.as_str() {
        "backup\n" => {
            let mut frames = Frames { stream: &mut *stream, waiting: Vec::new() };
            match store.backup(&mut frames).and_then(|counts| frames.flush().map(|()| counts)) {
                Ok(counts) => {
                    let said = format!("{} {}", counts.records, counts.unreadable);
                    frame(stream, DONE, said.as_bytes())
                }
                Err(error) => frame(stream, FAILED, error.to_string().as_bytes()),
            }
        }
        _ => frame(stream, FAILED, b"the broker does not know this request"),
    }
}

fn frame(stream: &mut UnixStream, kind: u8, bytes: &[u8]) -> io::Result<()> {
    let len = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    let mut head = [kind, 0, 0, 0, 0];
    head[1..].copy_from_slice(&len.to_be_bytes());
    stream.write_all(&head)?;
    stream.write_all(bytes)
}

/// Cuts a stream of bytes into frames of data.
struct Frames<'a> {
    stream: &'a mut UnixStream,
    waiting: Vec<u8>,
}

impl Write for Frames<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(FRAME_BYTES_MAX - self.waiting.len());
        self.waiting.extend_from_slice(&bytes[..taken]);
        if self.waiting.len() == FRAME_BYTES_MAX {
            self.flush()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.waiting.is_empty() {
            frame(self.stream, DATA, &self.waiting)?;
            self.waiting.clear();
        }
        Ok(())
    }
}

/// Why a running broker gave no backup.
#[derive(Debug)]
#[non_exhaustive]
pub enum ControlError {
    /// No broker listens there.
    NoBroker(io::Error),
    /// It said why not.
    Refused(String),
    /// The connection ended early, or its bytes make no sense.
    Broken(io::Error),
    /// The backup could not be written to where it goes.
    Output(io::Error),
}

impl fmt::Display for ControlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoBroker(error) => write!(f, "no broker answers: {error}"),
            Self::Refused(text) => f.write_str(text),
            Self::Broken(error) => write!(f, "the broker ended its answer early: {error}"),
            Self::Output(error) => write!(f, "cannot write the backup: {error}"),
        }
    }
}

impl std::error::Error for ControlError {}

/// Asks the broker that runs on a data directory for a backup: how many records it has, and how
/// many the broker could not read.
///
/// # Errors
/// See [`ControlError`]. What was written to `to` until then is no whole backup.
pub fn backup_from_broker(dir: &Path, to: &mut dyn Write) -> Result<(u64, u64), ControlError> {
    let mut stream = UnixStream::connect(dir.join(SOCKET)).map_err(ControlError::NoBroker)?;
    let broken = ControlError::Broken;
    stream.set_read_timeout(Some(CLIENT_PATIENCE)).map_err(broken)?;
    stream.write_all(b"backup\n").map_err(broken)?;
    let mut from = BufReader::new(stream);
    loop {
        let mut head = [0; 5];
        from.read_exact(&mut head).map_err(broken)?;
        let len = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        if len > FRAME_BYTES_MAX {
            return Err(broken(io::Error::other("a frame is too long")));
        }
        let mut bytes = vec![0; len];
        from.read_exact(&mut bytes).map_err(broken)?;
        let text = || String::from_utf8_lossy(&bytes).into_owned();
        match head[0] {
            DATA => to.write_all(&bytes).map_err(ControlError::Output)?,
            DONE => return counts(&text()).ok_or_else(|| broken(io::Error::other("no counts"))),
            FAILED => return Err(ControlError::Refused(text())),
            _ => return Err(broken(io::Error::other("a frame is of no known kind"))),
        }
    }
}

fn counts(text: &str) -> Option<(u64, u64)> {
    let (records, unreadable) = text.split_once(' ')?;
    Some((records.parse().ok()?, unreadable.parse().ok()?))
}
