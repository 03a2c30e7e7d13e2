//! Starting and stopping: sockets are bound, threads begin, and end again. Must not know what the
//! loop does.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use martlet_engine::{SHARDS_MAX, Shard, ShardConfig, ShardId};
use martlet_net::{Listener, Poller};
use martlet_store::{OpenError, StoreHandle};

use crate::accept::{Door, listener_key};
use crate::clock::Clock;
use crate::company::Company;
use crate::config::ServeConfig;
use crate::control::Control;
use crate::log::Log;
use crate::mailbox::{Letter, Mailbox};
use crate::storage::Storage;
use crate::thread::{Loops, ShardThread};
use crate::turn::{EVENTS_MAX, Parts, ShardLoop, WAKER};

/// A running broker. Dropping it stops it, as [`Broker::stop`] does.
#[derive(Debug)]
pub struct Broker {
    addresses: Vec<SocketAddr>,
    missing: Vec<SocketAddr>,
    mailboxes: Arc<[Mailbox]>,
    store: Option<StoreHandle>,
    control: Option<Control>,
    threads: Vec<JoinHandle<()>>,
}

/// Why a broker could not be started. The text says what is wrong and what to do about it, in one
/// line.
#[derive(Debug)]
pub enum StartError {
    /// Another program listens there.
    PortInUse(SocketAddr),
    /// The machine does not have this address.
    NoSuchAddress(SocketAddr),
    /// The system does not allow it.
    NotPermitted(SocketAddr),
    /// Listening failed otherwise.
    Listen(SocketAddr, io::Error),
    /// No address is left to listen on.
    NoListener,
    /// The number of shards is out of range.
    Shards(u16),
    /// The data directory cannot be used.
    Store(OpenError),
    /// The system refused a thread or a descriptor.
    System(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PortInUse(address) => write!(
                f,
                "{address} is in use by another program: stop that one, or choose another port \
                 with -p"
            ),
            Self::NoSuchAddress(address) => {
                write!(f, "this machine has no address {}: see --bind", address.ip())
            }
            Self::NotPermitted(address) => write!(
                f,
                "not permitted to listen on {address}: ports below 1024 need privileges, choose \
                 another with -p"
            ),
            Self::Listen(address, error) => write!(f, "cannot listen on {address}: {error}"),
            Self::NoListener => {
                f.write_str("there is no address to listen on: give one with --bind")
            }
            Self::Shards(shards) => {
                write!(f, "{shards} shards are not possible: choose 1 to {SHARDS_MAX}")
            }
            Self::Store(error) => error.fmt(f),
            Self::System(error) => write!(f, "the system refused what a broker needs: {error}"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Listen(_, error) | Self::System(error) => Some(error),
            Self::Store(error) => Some(error),
            _ => None,
        }
    }
}

impl Broker {
    /// Binds the addresses and starts one thread per shard. When it returns, clients can connect.
    ///
    /// # Errors
    /// See [`StartError`]. Nothing is left running then.
    pub fn start(config: &ServeConfig) -> Result<Self, StartError> {
        if !(1..=SHARDS_MAX).contains(&config.shards) {
            return Err(StartError::Shards(config.shards));
        }
        let (mut listeners, missing) = listen(config)?;
        let addresses: Vec<_> = listeners.iter().map(Listener::address).collect();
        let mut pollers = Vec::new();
        let mut mailboxes = Vec::new();
        for _ in 0..config.shards {
            let poller = Poller::new(EVENTS_MAX).map_err(StartError::System)?;
            let waker = poller.waker(WAKER).map_err(StartError::System)?;
            mailboxes.push(Mailbox::new(waker, config.mail_bytes_max));
            pollers.push(poller);
        }
        let mut registries = Vec::new();
        for poller in &pollers {
            registries.push(poller.registry().map_err(StartError::System)?);
        }
        for (index, listener) in listeners.iter_mut().enumerate() {
            let result = registries[0].register_listener(listener, listener_key(index));
            result.map_err(StartError::System)?;
        }
        let mailboxes: Arc<[Mailbox]> = mailboxes.into();
        let clock = Clock::start();
        let mut storage = match &config.store {
            Some(store) => {
                let opened =
                    Storage::open(store, clock, config.log_level, config.log_target.clone());
                Some(opened.map_err(StartError::Store)?)
            }
            None => None,
        };
        let mut shards = shards(config, storage.as_ref().map(Storage::identity));
        if let Some(storage) = &mut storage {
            storage.restore(&mut shards).map_err(StartError::Store)?;
        }
        let store = storage.map(|storage| storage.start(mailboxes.clone()));
        let loops =
            registries.into_iter().zip(shards).zip(0..).map(|((registry, shard), index)| {
                Mutex::new(Some(ShardLoop::new(Parts {
                    id: ShardId(index),
                    shard,
                    registry,
                    mailboxes: mailboxes.clone(),
                    store: store.clone(),
                    // The first shard has all the listeners, the others none.
                    door: Door::new(std::mem::take(&mut listeners)),
                    log: Log::new(config.log_level, config.log_target.clone()),
                    clock,
                })))
            });
        let loops: Loops = loops.collect();
        let threads = Vec::new();
        let control = control(config, store.as_ref(), clock);
        let mailboxes_of_all = mailboxes.clone();
        let mut broker =
            Self { addresses, missing, mailboxes: mailboxes_of_all, store, control, threads };
        let company = Company::new(config.shards);
        for (poller, index) in pollers.into_iter().zip(0..) {
            let (loops, mailboxes) = (loops.clone(), mailboxes.clone());
            let company = company.clone();
            let shard = ShardThread::new(ShardId(index), poller, loops, mailboxes, clock, company);
            let thread = thread::Builder::new().name(format!("martlet-shard-{index}"));
            // On failure the shards that run already are stopped by dropping the broker.
            broker.threads.push(thread.spawn(move || shard.run()).map_err(StartError::System)?);
        }
        Ok(broker)
    }

    /// Where it listens, in the order of [`ServeConfig::binds`], with the ports that port 0 became.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Optional addresses that this machine does not have.
    #[must_use]
    pub fn missing(&self) -> &[SocketAddr] {
        &self.missing
    }

    /// Stops: clients are told (DISCONNECT 0x8B where they speak MQTT 5), what was written gets two
    /// seconds to be taken, and the threads end. False when the disk did not take in time what had
    /// not been acknowledged yet.
    pub fn stop(mut self) -> bool {
        self.end()
    }

    fn end(&mut self) -> bool {
        if let Some(control) = self.control.take() {
            control.stop();
        }
        for mailbox in self.mailboxes.iter() {
            mailbox.post(Letter::Shutdown);
        }
        for thread in self.threads.drain(..) {
            if let Err(panic) = thread.join()
                && !thread::panicking()
            {
                std::panic::resume_unwind(panic);
            }
        }
        // After the last turn of the last shard: what it asked for is durable then.
        self.store.take().is_none_or(|store| store.stop())
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

/// The control socket. Without it the broker works, and says what then does not.
fn control(config: &ServeConfig, store: Option<&StoreHandle>, clock: Clock) -> Option<Control> {
    let dir = &config.store.as_ref()?.dir;
    match Control::start(dir, store?.clone()) {
        Ok(control) => Some(control),
        Err(error) => {
            let mut log = Log::new(config.log_level, config.log_target.clone());
            log.warn(clock.now(), format_args!("no backups while running: control.sock: {error}"));
            log.flush();
            None
        }
    }
}

/// The shards, empty.
fn shards(config: &ServeConfig, identity: Option<u128>) -> Vec<Shard> {
    let seed = seed();
    let shards = (0..config.shards).map(|index| {
        let mut shard = ShardConfig::new(ShardId(index), config.shards, seed);
        shard.limits = config.limits.clone();
        shard.sys_interval_ms = config.sys_interval_ms;
        if let Some(identity) = identity {
            shard.store = true;
            shard.identity = identity;
        }
        Shard::new(shard)
    });
    shards.collect()
}

/// Binds what can be bound; an optional address that the machine does not have is left out.
fn listen(config: &ServeConfig) -> Result<(Vec<Listener>, Vec<SocketAddr>), StartError> {
    let mut listeners = Vec::new();
    let mut missing = Vec::new();
    for bind in &config.binds {
        match Listener::bind(bind.address) {
            Ok(listener) => listeners.push(listener),
            Err(error) if bind.optional && lacks_address(&error) => missing.push(bind.address),
            Err(error) => {
                return Err(match error.kind() {
                    io::ErrorKind::AddrInUse => StartError::PortInUse(bind.address),
                    io::ErrorKind::AddrNotAvailable => StartError::NoSuchAddress(bind.address),
                    io::ErrorKind::PermissionDenied => StartError::NotPermitted(bind.address),
                    _ => StartError::Listen(bind.address, error),
                });
            }
        }
    }
    if listeners.is_empty() {
        return Err(StartError::NoListener);
    }
    Ok((listeners, missing))
}

/// Without IPv6 the address does not exist, or not even its family does.
fn lacks_address(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported)
        || error.raw_os_error() == Some(ADDRESS_FAMILY_UNKNOWN)
}

/// EAFNOSUPPORT.
const ADDRESS_FAMILY_UNKNOWN: i32 = if cfg!(target_os = "linux") { 97 } else { 47 };

/// A seed that differs from run to run: the standard library's hash keys come from the system's
/// randomness.
fn seed() -> u64 {
    RandomState::new().build_hasher().finish()
}
