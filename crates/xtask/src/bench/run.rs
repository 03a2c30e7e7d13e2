//! One measured run: a broker on a port, the load generator against it, the figures it printed.
//!
//! Owns the processes of the run and the reading of the generator's line.

use std::path::PathBuf;
use std::time::Duration;

use super::scenarios::Scenario;
use crate::Result;
use crate::shell::{Running, Shell, shell};

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Broker {
    /// bench/limit.c: the least that an epoll broker can do.
    Floor,
    /// This project as it comes: what must survive is on the disk before it is acknowledged.
    Martlet,
    /// This project without a store.
    MartletMemory,
    /// Debian's Mosquitto.
    Mosquitto,
}

impl Broker {
    const ALL: [Self; 4] = [Self::Floor, Self::Martlet, Self::MartletMemory, Self::Mosquitto];

    /// The name in tables and on the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Martlet => "martlet",
            Self::MartletMemory => "martlet-memory",
            Self::Mosquitto => "mosquitto",
        }
    }

    /// The brokers with the given names; all when nothing is said.
    pub(super) fn chosen(names: Option<&[String]>) -> Result<Vec<Self>> {
        let Some(names) = names else { return Ok(Self::ALL.to_vec()) };
        let find = |name: &String| {
            let mut all = Self::ALL.into_iter();
            all.find(|broker| broker.name() == name).ok_or_else(|| format!("no broker '{name}'"))
        };
        names.iter().map(find).collect()
    }
}

/// The figures of one run; what the scenario does not measure is missing.
pub(super) struct Measured {
    /// The generator's own line.
    pub(super) line: String,
    /// CPU microseconds of the broker per delivered message.
    pub(super) cpu_us: Option<f64>,
    /// Deliveries per second.
    pub(super) rate: Option<f64>,
    /// Median latency in microseconds.
    pub(super) p50_us: Option<f64>,
    /// Bytes of the broker's memory per idle connection.
    pub(super) idle_bytes: Option<f64>,
    /// CPU microseconds per connect.
    pub(super) connect_us: Option<f64>,
}

/// The built programs.
pub(super) struct Programs {
    pub(super) load: PathBuf,
    pub(super) floor: PathBuf,
    pub(super) martlet: Option<PathBuf>,
    pub(super) mosquitto: Option<PathBuf>,
    /// Shards that Martlet is told to use; its own choice when missing.
    pub(super) shards: Option<u32>,
    /// Where logs and configurations go.
    pub(super) folder: PathBuf,
}

impl Programs {
    /// Starts the broker on `port`, runs the scenario against it for `secs` seconds, ends it.
    pub(super) fn measure(
        &self,
        broker: Broker,
        scenario: &Scenario,
        port: u16,
        secs: u32,
    ) -> Result<Measured> {
        let mut running = self.start(broker, port)?;
        let result = shell(&self.load)
            .args(["--port", &port.to_string(), "--pid", &running.id().to_string()])
            .args(["--secs", &secs.to_string(), "--label", scenario.name])
            .args(scenario.load)
            .quiet()
            .output()
            .map_err(|error| format!("{} {}: {error}", broker.name(), scenario.name));
        running.still_runs()?;
        let line = result?;
        let measured = Measured::read(line.lines().last().unwrap_or_default());
        if let Some(lost) = number_after(&measured.line, "lost ").filter(|lost| *lost > 0.0) {
            println!("note: {} {}: {lost} lost", broker.name(), scenario.name);
        }
        Ok(measured)
    }

    fn start(&self, broker: Broker, port: u16) -> Result<Running> {
        let log = self.folder.join(format!("{}.log", broker.name()));
        let mut running = self.call(broker, port)?.quiet().start(&log)?;
        running.listens(port)?;
        // The connection of `listens` is closed by now; let the broker see that before it is
        // measured.
        std::thread::sleep(Duration::from_millis(200));
        Ok(running)
    }

    /// An empty folder for a broker's data.
    fn data(&self, port: u16) -> Result<PathBuf> {
        let data = self.folder.join("data");
        if data.exists() {
            std::fs::remove_dir_all(&data).map_err(|error| format!("{data:?}: {error}"))?;
        }
        let folder = data.join(port.to_string());
        std::fs::create_dir_all(&folder).map_err(|error| format!("{folder:?}: {error}"))?;
        Ok(folder)
    }

    fn call(&self, broker: Broker, port: u16) -> Result<Shell> {
        let missing = || format!("{} is not built", broker.name());
        match broker {
            Broker::Floor => Ok(shell(&self.floor).args([port.to_string()])),
            Broker::Martlet | Broker::MartletMemory => {
                let program = self.martlet.as_ref().ok_or_else(missing)?;
                let call = shell(program).args(["serve", "-p", &port.to_string()]);
                let call = match broker {
                    Broker::Martlet => call.args(["--data"]).args([self.data(port)?]),
                    _ => call.args(["--durability", "memory"]),
                };
                Ok(match self.shards {
                    Some(shards) => call.args(["--shards", &shards.to_string()]),
                    None => call,
                })
            }
            Broker::Mosquitto => {
                let program = self.mosquitto.as_ref().ok_or_else(missing)?;
                let file = self.folder.join("mosquitto.conf");
                let text = format!(
                    "listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n\
                     set_tcp_nodelay true\nmax_queued_messages 0\nlog_type error\n"
                );
                std::fs::write(&file, text).map_err(|error| format!("{file:?}: {error}"))?;
                Ok(shell(program).args(["-c"]).args([file]))
            }
        }
    }
}

impl Measured {
    fn read(line: &str) -> Self {
        Self {
            line: line.to_owned(),
            cpu_us: number_after(line, "broker cpu us/msg "),
            rate: number_after(line, "del/s "),
            p50_us: number_after(line, "lat us p50 "),
            idle_bytes: number_after(line, "bytes/conn="),
            connect_us: number_after(line, "cpu_us/connect="),
        }
    }
}

/// The number that follows a text.
fn number_after(line: &str, text: &str) -> Option<f64> {
    let (_, after) = line.split_once(text)?;
    after.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::Measured;

    #[test]
    fn reads_the_lines_of_the_generator() {
        let line = "p2p0 p=500 | pub/s 1 del/s 2000 | broker cpu us/msg 0.243 cores 0.50 | gen \
                    cores 1.00 | lat us p50 70 p99 90 | lost 0 odd 0 | rss_kb 10";
        let measured = Measured::read(line);
        assert_eq!(measured.cpu_us, Some(0.243));
        assert_eq!((measured.rate, measured.p50_us), (Some(2000.0), Some(70.0)));
        assert_eq!(measured.idle_bytes, None);
        let line = "idle idle=8000 connect/s=9 cpu_us/connect=15.0 rss_kb 1 -> 2 bytes/conn=731";
        let measured = Measured::read(line);
        assert_eq!((measured.idle_bytes, measured.connect_us), (Some(731.0), Some(15.0)));
    }
}
