//! One non-blocking TCP connection: read into the caller's buffer, write the caller's slices,
//! close. Owns no buffers. Must not know what the bytes mean.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr};

/// A connected TCP stream that never blocks: ordered and lossless, both ways [MQTT-4.2-1]
/// [MQTT3-7.1.1-1]. Dropping it closes it.
#[derive(Debug)]
pub struct Stream {
    pub(crate) inner: mio::net::TcpStream,
}

/// What one read gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadOutcome {
    /// So many bytes, at least one. If the buffer was not filled, nothing more is there for now.
    Bytes(usize),
    /// Nothing is there; there will be an event when there is.
    Blocked,
    /// The peer has ended its direction of the connection.
    End,
    /// The connection is broken.
    Failed(io::ErrorKind),
}

/// What one write took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteOutcome {
    /// All of it.
    Complete,
    /// Only so many bytes, perhaps none: the socket is full, and there will be an event when it
    /// takes bytes again (to those who watch for it).
    Blocked(usize),
    /// The connection is broken; nothing was taken.
    Failed(io::ErrorKind),
}

impl Stream {
    /// Begins a connection to `address`; it is established when it becomes writable.
    ///
    /// # Errors
    /// What the operating system says at once.
    pub fn connect(address: SocketAddr) -> io::Result<Self> {
        let inner = mio::net::TcpStream::connect(address)?;
        inner.set_nodelay(true)?;
        Ok(Self { inner })
    }

    /// One read of at most `buffer.len()` bytes. `buffer` must not be empty.
    pub fn read(&self, buffer: &mut [u8]) -> ReadOutcome {
        debug_assert!(!buffer.is_empty(), "a read into nothing looks like the peer's end");
        loop {
            return match (&self.inner).read(buffer) {
                Ok(0) => ReadOutcome::End,
                Ok(count) => ReadOutcome::Bytes(count),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => ReadOutcome::Blocked,
                    io::ErrorKind::Interrupted => continue,
                    kind => ReadOutcome::Failed(kind),
                },
            };
        }
    }

    /// One write of the slices in order: a plain send if there is only one of them.
    pub fn write(&self, slices: &[IoSlice<'_>]) -> WriteOutcome {
        let wanted: usize = slices.iter().map(|slice| slice.len()).sum();
        if wanted == 0 {
            return WriteOutcome::Complete;
        }
        loop {
            let result = match slices {
                [one] => (&self.inner).write(one),
                several => (&self.inner).write_vectored(several),
            };
            return match result {
                Ok(written) if written == wanted => WriteOutcome::Complete,
                Ok(written) => WriteOutcome::Blocked(written),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => WriteOutcome::Blocked(0),
                    io::ErrorKind::Interrupted => continue,
                    kind => WriteOutcome::Failed(kind),
                },
            };
        }
    }

    /// Ends our direction: the peer gets everything written so far and then the end.
    /// An error means that the connection is gone, which is as good.
    pub fn end_writing(&self) {
        let _ = self.inner.shutdown(Shutdown::Write);
    }

    /// The peer's address.
    ///
    /// # Errors
    /// If the connection is gone.
    pub fn peer_address(&self) -> io::Result<SocketAddr> {
        self.inner.peer_addr()
    }

    /// Whether small writes are sent at once. Accepted and connected streams have it set.
    ///
    /// # Errors
    /// If the connection is gone.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.inner.nodelay()
    }
}
