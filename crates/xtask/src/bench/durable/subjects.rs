//! The brokers that are measured, each with its settings.
//!
//! Owns their configuration and their start.

use std::path::{Path, PathBuf};

use crate::Result;
use crate::shell::{Running, Shell, shell};

/// A broker at one level of durability.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    /// An acknowledgement means that the message is on the disk.
    MartletSync,
    /// On the disk within 100 ms.
    MartletInterval,
    /// Nothing on the disk.
    MartletMemory,
    /// Debian's Mosquitto: it saves everything every 30 minutes.
    Mosquitto,
    /// JetStream with fsync of each message.
    NatsSync,
    /// JetStream as it comes: fsync every two minutes.
    Nats,
}

impl Subject {
    pub(super) const ALL: [Self; 6] = [
        Self::MartletSync,
        Self::MartletInterval,
        Self::MartletMemory,
        Self::Mosquitto,
        Self::NatsSync,
        Self::Nats,
    ];

    /// Whether it is somebody else's broker.
    pub(super) fn is_peer(self) -> bool {
        matches!(self, Self::Mosquitto | Self::NatsSync | Self::Nats)
    }

    /// The name on the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::MartletSync => "martlet-sync",
            Self::MartletInterval => "martlet-interval",
            Self::MartletMemory => "martlet-memory",
            Self::Mosquitto => "mosquitto",
            Self::NatsSync => "nats-sync",
            Self::Nats => "nats",
        }
    }

    /// The name in the tables.
    pub(super) fn shown(self) -> &'static str {
        match self {
            Self::MartletSync => "Martlet, `sync`",
            Self::MartletInterval => "Martlet, `interval=100ms`",
            Self::MartletMemory => "Martlet, `memory`",
            Self::Mosquitto => "Mosquitto, persistence",
            Self::NatsSync => "NATS, `sync_interval: always`",
            Self::Nats => "NATS, default",
        }
    }
}

/// The built and installed programs.
pub(super) struct Programs {
    /// Where logs go.
    pub(super) folder: PathBuf,
    pub(super) martlet: Option<PathBuf>,
    pub(super) mosquitto: Option<PathBuf>,
    pub(super) nats: Option<PathBuf>,
}

impl Programs {
    /// Starts a broker with its data in `folder` and waits until it listens.
    pub(super) fn start(&self, subject: Subject, folder: &Path, port: u16) -> Result<Running> {
        let missing = || format!("{} is not built", subject.name());
        let call = match subject {
            Subject::MartletSync => self.martlet(folder, port, "sync"),
            Subject::MartletInterval => self.martlet(folder, port, "interval=100ms"),
            Subject::MartletMemory => self.martlet(folder, port, "memory"),
            Subject::Mosquitto => self.mosquitto(folder, port).transpose()?,
            Subject::NatsSync => self.nats(folder, port, "sync_interval: always").transpose()?,
            Subject::Nats => self.nats(folder, port, "").transpose()?,
        };
        let log = self.folder.join(format!("{}.log", subject.name()));
        let mut running = call.ok_or_else(missing)?.quiet().start(&log)?;
        running.listens(port)?;
        Ok(running)
    }

    fn martlet(&self, folder: &Path, port: u16, durability: &str) -> Option<Shell> {
        // A run must not end at the bound of a queue.
        let bounds = ["--queue-messages-max", QUEUE_MESSAGES_MAX];
        let call = shell(self.martlet.as_ref()?).args(["serve", "-p", &port.to_string()]);
        Some(call.args(["--durability", durability]).args(bounds).args(["--data"]).args([folder]))
    }

    fn mosquitto(&self, folder: &Path, port: u16) -> Option<Result<Shell>> {
        let text = format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\npersistence true\n\
             persistence_location {}/\nset_tcp_nodelay true\nmax_queued_messages 0\n\
             log_type error\nuser root\n",
            folder.display()
        );
        let program = self.mosquitto.as_ref()?;
        Some(written(folder, &text).map(|file| shell(program).args(["-c"]).args([file])))
    }

    /// MQTT needs a server name and JetStream; the port of its own protocol is the next one. With
    /// the timeout as it comes (5 s) it closes connections under this load.
    fn nats(&self, folder: &Path, port: u16, sync: &str) -> Option<Result<Shell>> {
        let own_port = port + 1;
        let text = format!(
            "server_name: bench\nlisten: \"127.0.0.1:{own_port}\"\n\
             jetstream {{ store_dir: \"{}\"\n{sync}\n}}\n\
             mqtt {{ listen: \"127.0.0.1:{port}\"\njs_api_timeout: \"60s\" }}\n",
            folder.display()
        );
        let program = self.nats.as_ref()?;
        Some(written(folder, &text).map(|file| shell(program).args(["-c"]).args([file])))
    }
}

/// More than any run publishes to one session.
const QUEUE_MESSAGES_MAX: &str = "10000000";

fn written(folder: &Path, text: &str) -> Result<PathBuf> {
    let file = folder.join("broker.conf");
    std::fs::write(&file, text).map_err(|error| format!("{file:?}: {error}"))?;
    Ok(file)
}
