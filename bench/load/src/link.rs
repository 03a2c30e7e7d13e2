//! One connection: what is still to be sent, what has come in part.
//!
//! Owns the socket and its two buffers. Knows packets only by their frames.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{Ipv4Addr, SocketAddr};

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use crate::packets::{self, Packet};

/// What a connection reads at once.
pub(crate) const READ_BYTES: usize = 1 << 16;

pub(crate) struct Link {
    stream: TcpStream,
    out: Vec<u8>,
    sent: usize,
    part: Vec<u8>,
    connected: bool,
}

impl Link {
    /// Begins to connect to a port of this machine.
    pub(crate) fn open(port: u16, registry: &Registry, token: Token) -> Result<Self> {
        let mut stream = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self { stream, out: Vec::new(), sent: 0, part: Vec::new(), connected: false })
    }

    /// Queues bytes; `flush` sends them.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// Sends what is queued, as far as the socket takes it.
    pub(crate) fn flush(&mut self) -> Result<()> {
        if !self.connected {
            if let Some(error) = self.stream.take_error()? {
                return Err(error);
            }
            if self.stream.peer_addr().is_err() {
                return Ok(());
            }
            self.stream.set_nodelay(true)?;
            self.connected = true;
        }
        while self.sent < self.out.len() {
            match self.stream.write(&self.out[self.sent..]) {
                Ok(n) => self.sent += n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        self.out.clear();
        self.sent = 0;
        Ok(())
    }

    /// Reads until the socket is empty; gives each packet to `take`.
    pub(crate) fn read(
        &mut self,
        buffer: &mut [u8],
        mut take: impl FnMut(Packet, &mut Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        loop {
            let n = match self.stream.read(buffer) {
                Ok(0) => return Err(Error::other("the broker closed a connection")),
                Ok(n) => n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            let whole = self.part.is_empty();
            if !whole {
                self.part.extend_from_slice(&buffer[..n]);
            }
            let bytes = if whole { &buffer[..n] } else { &self.part[..] };
            let mut at = 0;
            while let Some((packet, len)) = packets::first(&bytes[at..]) {
                take(packet, &mut self.out)?;
                at += len;
            }
            if whole {
                self.part.extend_from_slice(&buffer[at..n]);
            } else {
                self.part.drain(..at);
            }
            // A short read has emptied the socket; there will be an event for more.
            if n < buffer.len() {
                return Ok(());
            }
        }
    }
}
