//! The transport of a client command: one TCP connection, and the one queue into which everything
//! flows that can happen (bytes, lines of standard input, signals). Blocking sockets and one thread
//! for each source. Knows no MQTT.

use std::io::{self, BufRead as _, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream, ToSocketAddrs as _};
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

/// How long one address may take to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long one write may block, so that reading goes on with a server that does not read.
const WRITE_TIMEOUT: Duration = Duration::from_millis(100);
/// How much is read at a time.
const READ_BYTES: usize = 64 * 1024;
/// How many inputs may wait; then their sources wait.
const INPUTS_MAX: usize = 8;

/// Something happened.
#[derive(Debug)]
pub(super) enum Input {
    /// Bytes from the connection with this number.
    Bytes(u32, Vec<u8>),
    /// The connection with this number is at its end: closed by the server, or broken.
    Closed(u32, Option<io::Error>),
    /// A line of standard input without its newline; `None` at the end.
    Line(io::Result<Option<Vec<u8>>>),
    /// The process is asked to end.
    Interrupted,
}

/// The queue of inputs, and its sources.
#[derive(Debug)]
pub(super) struct Inputs {
    sender: SyncSender<Input>,
    receiver: Receiver<Input>,
    permits: Option<Sender<()>>,
    connections: u32,
}

impl Inputs {
    /// An empty queue. Signals come from now on.
    pub(super) fn new() -> io::Result<Self> {
        let (sender, receiver) = mpsc::sync_channel(INPUTS_MAX);
        let mut signals = martlet_broker::Signals::catch()?;
        let interrupted = sender.clone();
        spawn("martlet-signals", move || {
            signals.wait();
            while interrupted.send(Input::Interrupted).is_ok() {
                signals.wait();
            }
        })?;
        Ok(Self { sender, receiver, permits: None, connections: 0 })
    }

    /// The next input; `None` when there is none until `deadline`.
    pub(super) fn next(&self, deadline: Option<Instant>) -> Option<Input> {
        let Some(deadline) = deadline else { return self.receiver.recv().ok() };
        let left = deadline.saturating_duration_since(Instant::now());
        self.receiver.recv_timeout(left).ok()
    }

    /// Allows so many more lines of standard input to be read. The first call begins reading.
    pub(super) fn permit_lines(&mut self, lines: usize) -> io::Result<()> {
        if self.permits.is_none() {
            let (permits, permitted) = mpsc::channel();
            let sender = self.sender.clone();
            spawn("martlet-stdin", move || read_lines(&permitted, &sender))?;
            self.permits = Some(permits);
        }
        if let Some(permits) = &self.permits {
            for _ in 0..lines {
                let _ = permits.send(()); // after the end of the input nobody wants them
            }
        }
        Ok(())
    }

    /// Connects to the first address of the host that answers, and begins to read.
    // [MQTT-4.2-1] [MQTT3-7.1.2-1]
    pub(super) fn connect(
        &mut self,
        host: &str,
        port: u16,
        deadline: Option<Instant>,
    ) -> io::Result<Link> {
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let mut result = Err(io::Error::new(ErrorKind::NotFound, "the host has no address"));
        for address in (host, port).to_socket_addrs()? {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let timeout = left.map_or(CONNECT_TIMEOUT, |left| left.min(CONNECT_TIMEOUT));
            if timeout.is_zero() {
                return Err(ErrorKind::TimedOut.into());
            }
            result = TcpStream::connect_timeout(&address, timeout);
            if result.is_ok() {
                break;
            }
        }
        let stream = result?;
        // What is written is already gathered; waiting for more would only delay it.
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
        self.connections += 1;
        let (number, reading, sender) =
            (self.connections, stream.try_clone()?, self.sender.clone());
        spawn("martlet-read", move || read(number, reading, &sender))?;
        Ok(Link { number, stream, written: 0 })
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.to_owned()).spawn(run).map(drop)
}

fn read(number: u32, mut stream: TcpStream, sender: &SyncSender<Input>) {
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let input = match stream.read(&mut buffer) {
            Ok(0) => Input::Closed(number, None),
            Ok(len) => Input::Bytes(number, buffer[..len].to_vec()),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => Input::Closed(number, Some(error)),
        };
        let at_end = matches!(input, Input::Closed(..));
        if sender.send(input).is_err() || at_end {
            return;
        }
    }
}

fn read_lines(permitted: &Receiver<()>, sender: &SyncSender<Input>) {
    let mut stdin = io::stdin().lock();
    while permitted.recv().is_ok() {
        let mut line = Vec::new();
        let result = match stdin.read_until(b'\n', &mut line) {
            Ok(0) => Ok(None),
            Ok(_) => {
                line.pop_if(|last| *last == b'\n');
                Ok(Some(line))
            }
            Err(error) => Err(error),
        };
        let at_end = !matches!(result, Ok(Some(_)));
        if sender.send(Input::Line(result)).is_err() || at_end {
            return;
        }
    }
}

/// One TCP connection.
#[derive(Debug)]
pub(super) struct Link {
    number: u32,
    stream: TcpStream,
    /// How much of the caller's buffer is written.
    written: usize,
}

impl Link {
    /// The number under which its bytes come.
    pub(super) fn number(&self) -> u32 {
        self.number
    }

    /// Whether the beginning of the caller's buffer was written and the rest was not.
    pub(super) fn is_writing(&self) -> bool {
        self.written > 0
    }

    /// Writes as much of `out` as the server takes without much waiting; empties `out` when all is
    /// written.
    pub(super) fn write(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        while self.written < out.len() {
            match self.stream.write(&out[self.written..]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(len) => self.written += len,
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => return Ok(()),
                    ErrorKind::Interrupted => {}
                    _ => return Err(error),
                },
            }
        }
        self.written = 0;
        out.clear();
        Ok(())
    }

    /// Nothing more will be sent; the server sees the end after all that was written.
    pub(super) fn finish(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // Ends the reading thread too.
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}
