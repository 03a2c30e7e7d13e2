//! Runs other programs: shown, without standard input, and ended in time.
//!
//! Owns child processes from start to end. Knows nothing about what they do.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Result;

/// How often a running child is looked at.
const POLL: Duration = Duration::from_millis(20);
/// How long a program may take until it listens.
const LISTEN_WITHIN: Duration = Duration::from_secs(60);
/// How long a program may take to end when it is told to.
const END_WITHIN: Duration = Duration::from_secs(5);
/// Lines of a log that are shown when its program ended too early.
const LOG_LINES_SHOWN: usize = 40;

/// A program to run. Standard input is always empty.
pub(crate) struct Shell {
    command: Command,
    shown: String,
    quiet: bool,
}

/// Starts the description of a call of `program`.
pub(crate) fn shell(program: impl AsRef<OsStr>) -> Shell {
    let path = Path::new(program.as_ref());
    let shown = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    let mut command = Command::new(program);
    command.stdin(Stdio::null());
    Shell { command, shown, quiet: false }
}

impl Shell {
    /// Adds words to the call.
    pub(crate) fn args<S: AsRef<OsStr>>(mut self, words: impl IntoIterator<Item = S>) -> Self {
        for word in words {
            self.shown.push(' ');
            self.shown.push_str(&word.as_ref().to_string_lossy());
            self.command.arg(word);
        }
        self
    }

    /// Sets an environment variable.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs in `folder`.
    pub(crate) fn within(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Does not print the call.
    pub(crate) fn quiet(mut self) -> Self {
        self.quiet = true;
        self
    }

    /// Runs to the end; anything but exit status 0 is an error.
    pub(crate) fn run(mut self) -> Result {
        self.show();
        let status =
            self.command.status().map_err(|error| format!("cannot start {}: {error}", self.shown));
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("{} ended with {status}", self.shown)),
            Err(error) => Err(error),
        }
    }

    /// Runs to the end, or ends the whole process group at the limit.
    pub(crate) fn run_at_most(mut self, limit: Duration) -> Result {
        self.show();
        self.command.process_group(0);
        let mut child = self
            .command
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", self.shown))?;
        let deadline = Instant::now() + limit;
        loop {
            match child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => return Err(format!("{} ended with {status}", self.shown)),
                Ok(None) if Instant::now() < deadline => std::thread::sleep(POLL),
                Ok(None) => {
                    end_group(&mut child);
                    return Err(format!("{} took longer than {limit:?}", self.shown));
                }
                Err(error) => return Err(format!("cannot wait for {}: {error}", self.shown)),
            }
        }
    }

    /// Runs to the end and returns what it wrote to standard output.
    pub(crate) fn output(mut self) -> Result<String> {
        self.show();
        self.command.stderr(Stdio::inherit());
        let output = self
            .command
            .output()
            .map_err(|error| format!("cannot start {}: {error}", self.shown))?;
        if !output.status.success() {
            return Err(format!("{} ended with {}", self.shown, output.status));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs silently and says whether it could be started and ended well.
    pub(crate) fn succeeds(mut self) -> bool {
        self.command.stdout(Stdio::null()).stderr(Stdio::null());
        self.command.status().is_ok_and(|status| status.success())
    }

    /// Writes all output to the file `log` instead of the terminal.
    pub(crate) fn output_to(mut self, log: &Path) -> Result<Self> {
        let file = std::fs::File::create(log).map_err(|error| format!("{log:?}: {error}"))?;
        let copy = file.try_clone().map_err(|error| format!("{log:?}: {error}"))?;
        self.command.stdout(file).stderr(copy);
        Ok(self)
    }

    /// Starts it in a process group of its own with its output in `log`, to be ended by dropping.
    pub(crate) fn start(self, log: &Path) -> Result<Running> {
        self.show();
        let Self { mut command, shown, .. } = self.output_to(log)?;
        command.process_group(0);
        let child = command.spawn().map_err(|error| format!("cannot start {shown}: {error}"))?;
        Ok(Running { child, shown, log: log.to_owned() })
    }

    fn show(&self) {
        if !self.quiet {
            println!("$ {}", self.shown);
        }
    }
}

/// A program in the background; dropping it ends its process group.
pub(crate) struct Running {
    child: Child,
    shown: String,
    log: PathBuf,
}

impl Running {
    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Fails if the program has ended already, with the end of its log.
    pub(crate) fn still_runs(&mut self) -> Result {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => {
                let said = std::fs::read_to_string(&self.log).unwrap_or_default();
                let lines: Vec<&str> = said.lines().collect();
                let last = lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n");
                Err(format!("{} ended early with {status}; it said:\n{last}", self.shown))
            }
            Err(error) => Err(format!("cannot wait for {}: {error}", self.shown)),
        }
    }

    /// What somebody else came to who needs this program: if it has ended, that is the reason.
    pub(crate) fn outlives(&mut self, result: Result) -> Result {
        self.still_runs()?;
        result
    }

    /// Waits until it listens on `port` of this machine.
    pub(crate) fn listens(&mut self, port: u16) -> Result {
        let deadline = Instant::now() + LISTEN_WITHIN;
        while Instant::now() < deadline {
            self.still_runs()?;
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Ok(());
            }
            std::thread::sleep(POLL);
        }
        Err(format!("{} does not listen on port {port}", self.shown))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            end_group(&mut self.child);
        }
    }
}

/// Ends the process group that `child` leads: TERM, and KILL when that takes too long.
fn end_group(child: &mut Child) {
    let group = format!("-{}", child.id());
    let signal = |name: &str| shell("kill").args([name, "--", &group]).quiet().succeeds();
    signal("-TERM");
    let deadline = Instant::now() + END_WITHIN;
    while Instant::now() < deadline {
        if matches!(child.try_wait(), Ok(Some(_))) {
            return;
        }
        std::thread::sleep(POLL);
    }
    signal("-KILL");
    let _ = child.wait();
}

/// The first odd port at or above `from` that is free on loopback, below the local port range.
pub(crate) fn free_port(from: u16) -> Result<u16> {
    (from..32_000)
        .filter(|port| port % 2 == 1)
        .find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .ok_or_else(|| format!("no free port from {from} up"))
}

#[cfg(test)]
mod tests {
    use super::shell;
    use std::time::Duration;

    #[test]
    fn says_how_a_program_ended() {
        assert_eq!(shell("true").quiet().run(), Ok(()));
        assert!(shell("false").quiet().run().unwrap_err().contains("exit status: 1"));
        assert!(shell("no-such-program").quiet().run().unwrap_err().contains("cannot start"));
        assert_eq!(shell("echo").args(["a"]).quiet().output().as_deref(), Ok("a\n"));
    }

    #[test]
    fn says_why_a_background_program_ended() {
        let log = std::env::temp_dir().join(format!("xtask-shell-{}.log", std::process::id()));
        let call = shell("sh").args(["-c", "echo reason; exit 3"]).quiet();
        let mut running = call.start(&log).unwrap();
        while running.still_runs().is_ok() {
            std::thread::yield_now();
        }
        let error = running.outlives(Ok(())).unwrap_err();
        assert!(error.contains("exit status: 3") && error.ends_with("reason"), "{error}");
        std::fs::remove_file(log).unwrap();
    }

    #[test]
    fn ends_a_program_at_its_limit() {
        let limit = Duration::from_millis(50);
        let error = shell("sleep").args(["60"]).quiet().run_at_most(limit).unwrap_err();
        assert!(error.contains("took longer"), "{error}");
    }
}
