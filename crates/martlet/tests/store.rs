//! `martlet backup`, `restore` and `store check` as processes, beside a broker that runs and
//! without.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const MARTLET: &str = env!("CARGO_BIN_EXE_martlet");

fn folder() -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    // In the usual place for such: the path of a socket has little room.
    let folder = std::env::temp_dir().join(format!("martlet-st-{}-{number}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir(&folder).unwrap();
    folder
}

fn run(arguments: &[&str]) -> Output {
    Command::new(MARTLET).args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn succeed(arguments: &[&str]) -> String {
    let output = run(arguments);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// Exit code and what stands on standard error.
fn fail(arguments: &[&str]) -> (i32, String) {
    let output = run(arguments);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(error.lines().count(), 1, "one line: {error}");
    (output.status.code().unwrap(), error)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A broker that is killed when the test ends.
struct Serve {
    child: Child,
    port: String,
}

impl Serve {
    fn start(data: &Path) -> Self {
        let mut child = Command::new(MARTLET)
            .args(["serve", "-p", "0", "--bind", "127.0.0.1", "--data", text(data)])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let screen = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut lines = screen.map_while(Result::ok).filter(|line| line.contains("mqtt "));
        let line = lines.next().expect("it says where it listens");
        let behind = line.split("127.0.0.1:").nth(1).unwrap();
        let port = behind.chars().take_while(char::is_ascii_digit).collect();
        Self { child, port }
    }

    fn publish(&self, topic: &str, payload: &str) {
        succeed(&["pub", "-p", &self.port, "-q", "1", "-r", "-t", topic, "-m", payload]);
    }

    fn retained(&self, topic: &str) -> String {
        succeed(&["sub", "-p", &self.port, "-t", topic, "-C", "1", "-W", "20"])
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_backup_of_a_running_broker_serves_again() {
    let folder = folder();
    let (data, file, again) = (folder.join("data"), folder.join("backup"), folder.join("again"));
    let broker = Serve::start(&data);
    broker.publish("kept", "before");
    succeed(&["backup", text(&file), "--data", text(&data)]);
    broker.publish("kept", "after");
    // What a broker has, nobody else takes.
    let (code, error) = fail(&["store", "check", text(&data)]);
    assert!(code == 9 && error.contains("in use by process"), "{code} {error}");
    drop(broker);
    succeed(&["restore", text(&file), "--data", text(&again)]);
    assert!(succeed(&["store", "check", text(&again)]).contains("1 retained\n"));
    assert_eq!(Serve::start(&again).retained("kept"), "before\n");
    // Killed, it still has what came last; and its directory can be backed up without it.
    let direct = run(&["backup", "-", "--data", text(&data)]);
    assert!(direct.status.success() && direct.stdout.starts_with(b"MARTLETB"));
    let json = succeed(&["store", "check", "-j", text(&data)]);
    assert!(json.starts_with("{\"fine\":true,") && json.contains("\"retained\":1,"), "{json}");
    assert_eq!(Serve::start(&data).retained("kept"), "after\n");
    let left = fs::read_dir(&folder).unwrap().count();
    assert_eq!(left, 3, "nothing preliminary is left");
    let _ = fs::remove_dir_all(&folder);
}

#[test]
fn what_cannot_be_done_says_why_in_one_line() {
    let folder = folder();
    let (data, file, again) = (folder.join("data"), folder.join("backup"), folder.join("again"));
    let (code, error) = fail(&["store", "check", text(&data)]);
    assert!(code == 9 && error.contains("there is no store in"), "{code} {error}");
    let (code, error) = fail(&["backup", text(&file), "--data", text(&data)]);
    assert!(code == 9 && error.contains("there is no store in"), "{code} {error}");
    assert!(!file.exists());
    fs::write(&file, "hello").unwrap();
    let (code, error) = fail(&["restore", text(&file), "--data", text(&again)]);
    assert!(code == 8 && error.contains("this is no backup of Martlet"), "{code} {error}");
    drop(Serve::start(&data));
    succeed(&["backup", text(&file), "--data", text(&data)]);
    let (code, error) = fail(&["restore", text(&file), "--data", text(&data)]);
    assert!(code == 9 && error.contains("is not empty"), "{code} {error}");
    let mut bytes = fs::read(&file).unwrap();
    bytes.pop();
    fs::write(&file, &bytes).unwrap();
    let (code, error) = fail(&["restore", text(&file), "--data", text(&again)]);
    assert!(code == 8 && error.contains("damaged at byte"), "{code} {error}");
    assert!(!again.exists());
    let missing = folder.join("missing/backup");
    let (code, error) = fail(&["backup", text(&missing), "--data", text(&data)]);
    assert!(code == 1 && error.contains("cannot write"), "{code} {error}");
    let _ = fs::remove_dir_all(&folder);
}

#[test]
fn others_on_the_machine_read_nothing() {
    let folder = folder();
    let (data, file) = (folder.join("data"), folder.join("backup"));
    let (made, again) = (folder.join("made/by/it"), folder.join("again"));
    // Made by somebody who lets everybody in.
    fs::create_dir(&data).unwrap();
    Serve::start(&data).publish("kept", "secret");
    drop(Serve::start(&made));
    succeed(&["backup", text(&file), "--data", text(&data)]);
    succeed(&["restore", text(&file), "--data", text(&again)]);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for dir in [&made, &again] {
        assert_eq!(mode(dir), 0o700, "{dir:?}");
    }
    assert_eq!(mode(&file), 0o600);
    let mut found = 0;
    for entry in fs::read_dir(&data).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path) & 0o077, 0, "{path:?}");
        found += 1;
    }
    assert!(found >= 3, "identity, lock and store");
    let _ = fs::remove_dir_all(&folder);
}

#[test]
fn a_start_that_takes_long_can_be_ended() {
    let folder = folder();
    let pipe = folder.join("identity");
    // Nobody ever writes into it: whoever reads it waits.
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for signal in ["-TERM", "-INT"] {
        let mut child = Command::new(MARTLET)
            .args(["serve", "-p", "0", "--bind", "127.0.0.1", "--data", text(&folder)])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let id = child.id().to_string();
        let is_under_way = || fs::read_to_string(folder.join("lock")).unwrap_or_default();
        wait_for(|| is_under_way().trim() == id);
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
        wait_for(|| child.try_wait().unwrap().is_some_and(|status| status.success()));
    }
    let _ = fs::remove_dir_all(&folder);
}

fn wait_for(mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(20), "it takes too long");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_damaged_store_is_told_and_served() {
    let folder = folder();
    let data = folder.join("data");
    let broker = Serve::start(&data);
    broker.publish("kept", "one");
    broker.publish("kept/too", "two");
    drop(broker);
    let journal = data.join("store/0.jnl");
    let mut bytes = fs::read(&journal).unwrap();
    let at = bytes.windows(3).position(|window| window == b"one").unwrap();
    bytes[at] = b'x';
    fs::write(&journal, bytes).unwrap();
    let output = run(&["store", "check", text(&data)]);
    assert_eq!(output.status.code(), Some(8));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("damage in the store: journal 0.jnl"), "{said}");
    assert_eq!(Serve::start(&data).retained("kept/too"), "two\n");
    let aside = |name: &str| name.starts_with("damaged-");
    let names = fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(names.filter(|name| aside(name.to_str().unwrap())).count(), 1);
    assert!(succeed(&["store", "check", text(&data)]).contains("all is well"));
    let _ = fs::remove_dir_all(&folder);
}
