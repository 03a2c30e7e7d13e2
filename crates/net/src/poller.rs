//! One poller per shard: which of its sockets became ready. Edge-triggered.
//! Must not know what a key names, nor read or write anything itself.

use std::io;
use std::time::Duration;

use mio::{Interest, Token};

use crate::{Listener, Stream};

/// The caller's number for a socket; an event carries it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(pub u32);

/// What happened to one socket since the last event of the same kind.
///
/// Events are edges: a socket that was reported readable is not reported again for bytes that had
/// arrived by then. Whoever leaves bytes unread has to remember it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ready {
    /// The key given at registration.
    pub key: Key,
    /// Bytes, a connection to accept, the peer's end or an error can be read.
    pub readable: bool,
    /// The socket takes bytes (again). Only reported after [`Registry::watch_writable`].
    pub writable: bool,
    /// The peer will send no more: reading on leads to the end, without a further event.
    pub read_closed: bool,
    /// The connection is broken in both directions (a reset, usually).
    pub broken: bool,
}

/// Waits for readiness of the sockets registered with it.
#[derive(Debug)]
pub struct Poller {
    poll: mio::Poll,
    events: mio::Events,
}

impl Poller {
    /// A poller that reports at most `events_max` sockets per [`Poller::wait`].
    ///
    /// # Errors
    /// What the operating system says, out of descriptors for instance.
    pub fn new(events_max: usize) -> io::Result<Self> {
        Ok(Self { poll: mio::Poll::new()?, events: mio::Events::with_capacity(events_max) })
    }

    /// Waits until a socket is ready, the waker is used or `timeout` has passed (`None`: for ever).
    /// Timeouts are rounded up to whole milliseconds. A signal ends the wait without events.
    ///
    /// # Errors
    /// Only for reasons that make the poller unusable.
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                self.events.clear();
                Ok(())
            }
            other => other,
        }
    }

    /// What the last [`Poller::wait`] found, in the order in which the system reported it.
    pub fn ready(&self) -> impl Iterator<Item = Ready> + '_ {
        self.events.iter().map(|event| Ready {
            key: Key(event.token().0 as u32),
            readable: event.is_readable() || event.is_read_closed() || event.is_error(),
            writable: event.is_writable() || event.is_error(),
            read_closed: event.is_read_closed() || event.is_error(),
            broken: event.is_error() || (event.is_read_closed() && event.is_write_closed()),
        })
    }

    /// The handle for registering sockets, which need not stay on the thread that waits.
    ///
    /// # Errors
    /// What the operating system says, out of descriptors for instance.
    pub fn registry(&self) -> io::Result<Registry> {
        Ok(Registry { inner: self.poll.registry().try_clone()? })
    }

    /// The handle by which other threads end a wait; its events carry `key`. One per poller.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn waker(&self, key: Key) -> io::Result<Waker> {
        Ok(Waker { inner: mio::Waker::new(self.poll.registry(), Token(key.0 as usize))? })
    }
}

/// Tells a poller which sockets to watch.
#[derive(Debug)]
pub struct Registry {
    inner: mio::Registry,
}

impl Registry {
    /// Reports when the stream can be read. A stream that is readable already is reported by the
    /// next wait.
    ///
    /// # Errors
    /// What the operating system says (its limit of watched sockets, memory).
    pub fn register(&self, stream: &mut Stream, key: Key) -> io::Result<()> {
        let token = Token(key.0 as usize);
        self.inner.register(&mut stream.inner, token, Interest::READABLE)
    }

    /// From now on also reports when the stream takes bytes again. Needed once in a stream's life:
    /// writability is an edge, and a stream whose writes never blocked has none.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn watch_writable(&self, stream: &mut Stream, key: Key) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.inner.reregister(&mut stream.inner, Token(key.0 as usize), interest)
    }

    /// Forgets the stream, so that it can be registered with another poller. Not needed before it
    /// is dropped.
    ///
    /// # Errors
    /// If it was not registered here.
    pub fn deregister(&self, stream: &mut Stream) -> io::Result<()> {
        self.inner.deregister(&mut stream.inner)
    }

    /// Reports (as readable) when the listener has connections to accept.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn register_listener(&self, listener: &mut Listener, key: Key) -> io::Result<()> {
        let token = Token(key.0 as usize);
        self.inner.register(&mut listener.inner, token, Interest::READABLE)
    }
}

/// Ends the wait of a poller from another thread, also a wait that has not begun yet.
#[derive(Debug)]
pub struct Waker {
    inner: mio::Waker,
}

impl Waker {
    /// Wakes the poller: one system call.
    ///
    /// # Errors
    /// What the operating system says; not in normal operation.
    pub fn wake(&self) -> io::Result<()> {
        self.inner.wake()
    }
}
