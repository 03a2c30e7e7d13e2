//! Listening sockets: how they are bound, and accepting in a way that tells "no more for now" from
//! "no descriptors". Must not know what is done with an accepted stream.

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, Socket, Type};

use crate::Stream;

/// Connections the kernel keeps for us between two turns of the accepting loop (it may cap this:
/// `somaxconn`).
pub const BACKLOG: i32 = 4096;

/// A socket that connections arrive on.
#[derive(Debug)]
pub struct Listener {
    pub(crate) inner: mio::net::TcpListener,
    address: SocketAddr,
}

/// What [`Listener::accept`] found.
#[derive(Debug)]
pub enum Accepted {
    /// A connection: non-blocking, with TCP_NODELAY set, and its peer's address.
    Connection(Stream, SocketAddr),
    /// Nobody is waiting any more. There will be an event for the next one.
    Blocked,
    /// The process or the system is out of descriptors or memory. Those who wait go on waiting and
    /// there will be no event for them: try again after a pause.
    Exhausted(io::Error),
}

impl Listener {
    /// Binds and listens. An IPv6 listener takes IPv6 connections only. Port 0 asks for a free
    /// port: see [`Listener::address`].
    ///
    /// # Errors `AddrInUse`, `AddrNotAvailable`, `PermissionDenied`, and others as the system says.
    /// A port that another program listens on is an error, never shared.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let domain = Domain::for_address(address);
        let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        // After a restart the port may have connections in TIME_WAIT. Unlike SO_REUSEPORT this does
        // not let two listeners share a port.
        socket.set_reuse_address(true)?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        // Linux hands this option on to accepted sockets, which spares a system call per
        // connection.
        socket.set_tcp_nodelay(true)?;
        let inner = mio::net::TcpListener::from_std(socket.into());
        let address = inner.local_addr()?;
        Ok(Self { inner, address })
    }

    /// Where it listens, with the port that port 0 became.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes the next waiting connection, if there is one. Connections that died while they waited
    /// are skipped.
    pub fn accept(&self) -> Accepted {
        loop {
            match self.inner.accept() {
                Ok((stream, peer)) => {
                    // Failure means that the connection is gone already; the first read will say
                    // so.
                    if !cfg!(target_os = "linux") {
                        let _ = stream.set_nodelay(true);
                    }
                    return Accepted::Connection(Stream { inner: stream }, peer);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Accepted::Blocked;
                }
                Err(error) if is_exhaustion(&error) => return Accepted::Exhausted(error),
                // An error of that one connection (accept(2): ECONNABORTED, EPROTO, ...): it left
                // the queue.
                Err(_) => {}
            }
        }
    }
}

/// Errors after which the connection is still waiting, and trying again at once would only fail
/// again.
fn is_exhaustion(error: &io::Error) -> bool {
    const LASTING: [i32; 7] = [
        libc::EMFILE,
        libc::ENFILE,
        libc::ENOBUFS,
        libc::ENOMEM,
        // Not of this kind, but of the listener itself: trying again at once would spin as well.
        libc::EBADF,
        libc::EINVAL,
        libc::ENOTSOCK,
    ];
    error.raw_os_error().is_some_and(|code| LASTING.contains(&code))
}
