//! `martlet serve` as a process: what it prints, how it exits, what signals and scarcity do to it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Generous: it is reached only when a test fails.
const DEADLINE: Duration = Duration::from_secs(30);

const MARTLET: &str = env!("CARGO_BIN_EXE_martlet");

/// The executable, with a home for its data that nobody else uses.
fn martlet() -> Command {
    let mut command = Command::new(MARTLET);
    command.env("XDG_DATA_HOME", home());
    command
}

fn home() -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("serve-{}-{number}", std::process::id());
    let home = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&home);
    home
}

fn run(arguments: &[&str]) -> Output {
    martlet().args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A broker that is killed when the test ends, whatever happens.
struct Serve {
    child: Child,
    screen: String,
    address: SocketAddr,
    log: Receiver<String>,
    /// Standard error, when nobody reads it.
    unread_log: Option<ChildStderr>,
}

impl Serve {
    fn start(arguments: &[&str]) -> Self {
        let mut command = martlet();
        command.args(["serve", "-p", "0"]).args(arguments);
        Self::spawn(command)
    }

    fn spawn(command: Command) -> Self {
        let mut serve = Self::spawn_unread(command);
        serve.read_log();
        serve
    }

    fn spawn_unread(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut screen = String::new();
        while !screen.contains("Try:") {
            assert!(stdout.read_line(&mut screen).unwrap() > 0, "the screen ends early: {screen}");
        }
        let address = screen.split_once("mqtt   ").unwrap().1;
        let address = address.split([',', ' ']).next().unwrap().parse().unwrap();
        let unread_log = child.stderr.take();
        let (_, log) = channel();
        Self { child, screen, address, log, unread_log }
    }

    /// Reads the log from now on.
    fn read_log(&mut self) {
        let stderr = BufReader::new(self.unread_log.take().unwrap());
        let (lines, log) = channel();
        self.log = log;
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if lines.send(line).is_err() {
                    return;
                }
            }
        });
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    fn exit_code(&mut self) -> Option<i32> {
        let end = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < end, "it does not end");
            std::thread::yield_now();
        }
    }

    fn wait_for_line(&self, part: &str) -> String {
        loop {
            let line = self.log.recv_timeout(DEADLINE).expect(part);
            if line.contains(part) {
                return line;
            }
        }
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connection that has sent a CONNECT of version 5.0.
fn begin_connect(address: SocketAddr, client_id: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut packet = vec![0x10, 13 + client_id.len() as u8, 0, 4];
    packet.extend_from_slice(b"MQTT\x05\x02\x00\x00\x00\x00");
    packet.push(client_id.len() as u8);
    packet.extend_from_slice(client_id.as_bytes());
    stream.write_all(&packet).unwrap();
    stream
}

fn expect_connack(stream: &mut TcpStream) {
    let mut head = [0; 2];
    stream.read_exact(&mut head).unwrap();
    let mut body = vec![0; usize::from(head[1])];
    stream.read_exact(&mut body).unwrap();
    assert_eq!((head[0], body[0], body[1]), (0x20, 0, 0));
}

fn connect(address: SocketAddr, client_id: &str) -> TcpStream {
    let mut stream = begin_connect(address, client_id);
    expect_connack(&mut stream);
    stream
}

fn ping(stream: &mut TcpStream) {
    stream.write_all(&[0xC0, 0]).unwrap();
    let mut answer = [0; 2];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer, [0xD0, 0]);
}

/// DISCONNECT with reason 0x8B, Server shutting down, and the end.
fn expect_shutdown(stream: &mut TcpStream) {
    let mut head = [0; 3];
    stream.read_exact(&mut head).unwrap();
    assert_eq!((head[0], head[2]), (0xE0, 0x8B));
}

#[test]
fn the_first_screen_tells_where_it_listens_and_for_whom() {
    let serve = Serve::start(&[]);
    let lines: Vec<_> = serve.screen.lines().collect();
    assert!(
        lines[0].starts_with(concat!("martlet ", env!("CARGO_PKG_VERSION"), "  ")),
        "{lines:?}"
    );
    assert!(lines[1].starts_with("  mqtt   127.0.0.1:"), "{lines:?}");
    assert!(lines[1].ends_with("anonymous allowed (this machine only)"), "{lines:?}");
    assert_eq!(lines[2], "Only programs on this machine can connect.");
    assert!(lines[3].starts_with("Try:  martlet sub -p "), "{lines:?}");
    assert_eq!(lines.len(), 4);
    // It is true: there it listens, and lets in.
    ping(&mut connect(serve.address, "a"));
    let line = serve.wait_for_line("connected \"a\"");
    assert!(line.starts_with("20") && line.contains("Z connected"), "{line}");
    serve.wait_for_line("disconnected \"a\"");
}

#[test]
fn quiet_says_nothing_of_connections() {
    // Without a screen the port has to be known.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = martlet();
    command.args(["serve", "-q", "--bind", "127.0.0.1", "-p", &port.to_string()]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).stdin(Stdio::null());
    let mut child = command.spawn().unwrap();
    let end = Instant::now() + DEADLINE;
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < end, "it does not listen");
        std::thread::yield_now();
    }
    ping(&mut connect(([127, 0, 0, 1], port).into(), "a"));
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-s", "TERM", &pid]).status().unwrap().success());
    let (mut out, mut err) = (String::new(), String::new());
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(out, "");
    // The bare connection of the wait above is refused or ends, which is a warning; "a" is none.
    assert!(!err.contains("\"a\""), "{err}");
}

#[test]
fn mistakes_on_the_command_line_are_usage_errors() {
    let bare = run(&[]);
    assert_eq!(bare.status.code(), Some(2));
    assert!(text(&bare.stderr).contains("serve"), "the short help");
    assert_eq!(text(&bare.stdout), "");
    for arguments in [
        &["fly"][..],
        &["serve", "--shards", "0"],
        &["serve", "--shards", "many"],
        &["serve", "-p", "65536"],
        &["serve", "--bind", "example.org"],
        &["serve", "-v", "-q"],
        &["serve", "--durability", "fast"],
        &["serve", "--queue-full", "never"],
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let complaint = text(&output.stderr);
        assert!(complaint.starts_with("error: "), "{complaint}");
        assert_eq!(text(&output.stdout), "");
    }
    for arguments in [&["--help"][..], &["--version"], &["serve", "-h"], &["serve", "--help"]] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(!output.stdout.is_empty() && output.stderr.is_empty());
    }
}

#[test]
fn a_taken_port_is_told_in_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = run(&["serve", "-p", &port]);
    assert_eq!(output.status.code(), Some(9));
    let complaint = text(&output.stderr);
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
    assert!(complaint.contains(&format!("127.0.0.1:{port} is in use")), "{complaint}");
    assert!(complaint.contains("-p"), "what to do: {complaint}");
    assert_eq!(text(&output.stdout), "");
}

#[test]
fn an_address_of_another_machine_is_told_in_one_line() {
    // TEST-NET-1: no machine has it.
    let output = run(&["serve", "-p", "0", "--bind", "192.0.2.1", "--allow-anonymous"]);
    assert_eq!(output.status.code(), Some(9));
    let complaint = text(&output.stderr);
    assert!(complaint.lines().count() == 1 && complaint.contains("192.0.2.1"), "{complaint}");
}

#[test]
fn the_network_is_let_in_only_on_purpose() {
    for open in ["0.0.0.0", "[::]", "192.0.2.1:1883"] {
        let output = run(&["serve", "-p", "0", "--bind", open]);
        assert_eq!(output.status.code(), Some(9), "{open}");
        let complaint = text(&output.stderr);
        assert!(complaint.contains("--allow-anonymous"), "the remedy: {complaint}");
        assert_eq!(text(&output.stdout), "");
    }
    let serve = Serve::start(&["--bind", "0.0.0.0", "--allow-anonymous"]);
    assert!(serve.screen.contains("anonymous allowed (from everywhere)"), "{}", serve.screen);
    ping(&mut connect(([127, 0, 0, 1], serve.address.port()).into(), "a"));
}

#[test]
fn term_and_int_stop_in_an_orderly_way() {
    for signal in ["TERM", "INT"] {
        let mut serve = Serve::start(&["--shards", "2"]);
        let mut clients: Vec<_> =
            (0..8).map(|i| connect(serve.address, &format!("c{i}"))).collect();
        serve.signal(signal);
        for mut client in clients.drain(..) {
            expect_shutdown(&mut client);
        }
        assert_eq!(serve.exit_code(), Some(0));
        serve.wait_for_line("shutting down");
        TcpStream::connect(serve.address).expect_err("nobody listens any more");
    }
}

#[test]
fn a_second_int_ends_at_once() {
    for first in ["INT", "TERM"] {
        let mut serve = Serve::start(&[]);
        let mut client = connect(serve.address, "stubborn");
        serve.signal(first);
        // It has been told and does not close: the broker waits for it, for a while.
        expect_shutdown(&mut client);
        serve.signal("INT");
        assert_eq!(serve.exit_code(), Some(130));
    }
}

#[test]
fn hup_and_pipe_change_nothing() {
    let serve = Serve::start(&[]);
    let mut client = connect(serve.address, "a");
    for signal in ["HUP", "PIPE", "HUP"] {
        serve.signal(signal);
        ping(&mut client);
    }
}

#[test]
fn without_descriptors_it_waits_and_goes_on() {
    let mut command = Command::new("sh");
    // Hard and soft: the broker cannot raise it.
    command.args(["-c", "ulimit -n 64 && exec \"$0\" serve -p 0 --shards 2", MARTLET]);
    command.env("XDG_DATA_HOME", home());
    let serve = Serve::spawn(command);
    let mut clients: Vec<_> =
        (0..60).map(|i| begin_connect(serve.address, &format!("c{i}"))).collect();
    // The kernel has taken all sixty; the broker those it has descriptors for, and says why not
    // more.
    expect_connack(&mut clients[0]);
    let line = serve.wait_for_line("cannot accept connections");
    assert!(line.contains("warning") && line.contains("ulimit -n"), "{line}");
    let (cpu, begin) = (cpu_seconds(&serve.child), Instant::now());
    ping(&mut clients[0]);
    // Where some go, others come in, after the pause at the latest.
    for mut client in clients.drain(..30).skip(1) {
        let _ = client.write_all(&[0xE0, 0]);
    }
    for client in &mut clients {
        expect_connack(client);
        ping(client);
    }
    let (cpu, elapsed) = (cpu_seconds(&serve.child) - cpu, begin.elapsed().as_secs_f64());
    assert!(cpu < 0.1 + elapsed / 2.0, "it spins: {cpu} s of CPU in {elapsed} s");
    while let Ok(line) = serve.log.try_recv() {
        assert!(!line.contains("cannot accept"), "said more than once: {line}");
    }
}

/// User and system time of a process, where the system tells; else 0.
fn cpu_seconds(child: &Child) -> f64 {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{}/stat", child.id())) else {
        return 0.0;
    };
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks / 100.0
}

/// A pager that waits, a stopped terminal: whoever does not read the log must not stop the broker.
#[test]
fn a_log_that_nobody_reads_stops_nobody() {
    let mut command = martlet();
    command.args(["serve", "-p", "0", "--shards", "2"]);
    let mut serve = Serve::spawn_unread(command);
    // Two lines each: much more than a pipe holds, and more than the broker keeps.
    let client_id = "x".repeat(100);
    for _ in 0..4000 {
        expect_connack(&mut begin_connect(serve.address, &client_id));
    }
    serve.read_log();
    serve.wait_for_line("connected");
    // Every turn that has a line tries again, until what was lost is told.
    let client = std::thread::spawn({
        let address = serve.address;
        move || {
            for _ in 0..200 {
                expect_connack(&mut begin_connect(address, "late"));
            }
        }
    });
    serve.wait_for_line("log lines lost");
    client.join().unwrap();
}
