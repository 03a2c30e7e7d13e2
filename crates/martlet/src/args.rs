//! The command line of `martlet`: which command, and the arguments of `serve`. Says what is wrong
//! with an argument; must not know how a command does its work.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand};

use martlet_broker::QueueFull;

use crate::amounts::{Level, level, queue_full, size};
use crate::backup_command::BackupArguments;
use crate::client::{PubArguments, SubArguments};
use crate::restore_command::RestoreArguments;
use crate::store_command::StoreArguments;

/// The port of MQTT without TLS.
pub(crate) const MQTT_PORT: u16 = 1883;

/// An MQTT broker and its tools in one executable.
#[derive(Debug, Parser)]
#[command(name = "martlet", version, arg_required_else_help = true, disable_help_subcommand = true)]
#[command(after_help = "`martlet COMMAND --help` tells more about a command.")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the broker
    Serve(ServeArguments),
    Pub(PubArguments),
    Sub(SubArguments),
    Backup(BackupArguments),
    Restore(RestoreArguments),
    Store(StoreArguments),
}

/// Run the broker.
///
/// Without arguments it listens on this machine's loopback addresses only, port 1883, and lets
/// every program on this machine connect. What it acknowledges it has stored: sessions, their
/// queued messages and retained messages are there again when it starts again.
#[derive(Debug, Args)]
pub(crate) struct ServeArguments {
    /// Port to listen on (0 takes a free one)
    #[arg(short, long, value_name = "PORT", default_value_t = MQTT_PORT)]
    pub(crate) port: u16,

    /// Address to listen on, with or without a port; can be given several times [default: 127.0.0.1
    /// and ::1]
    #[arg(long, value_name = "ADDR", value_parser = bind_address)]
    pub(crate) bind: Vec<BindAddress>,

    /// Let clients in without a password, also those from other machines
    #[arg(long)]
    pub(crate) allow_anonymous: bool,

    /// Threads that serve connections [default: one per core]
    #[arg(long, value_name = "N", value_parser = shards)]
    pub(crate) shards: Option<u16>,

    /// Directory for what is kept over restarts [default: $XDG_DATA_HOME/martlet or
    /// ~/.local/share/martlet]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,

    /// When a message counts as stored, and so is acknowledged: sync (on the disk, survives a power
    /// cut), interval=100ms (survives the end of the process; a power cut takes at most that long),
    /// memory (nothing is kept)
    #[arg(long, value_name = "LEVEL", value_parser = level, default_value = "sync")]
    pub(crate) durability: Level,

    /// Messages that may wait for one client [default: 10000000, with --durability memory 100000]
    #[arg(long, value_name = "N")]
    pub(crate) queue_messages_max: Option<usize>,

    /// Bytes that may wait for one client [default: 2GiB, with --durability memory 64MiB]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) queue_bytes_max: Option<usize>,

    /// Bytes that may wait for all clients together [default: 8GiB for each shard, with
    /// --durability memory 1GiB]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) queues_bytes_max: Option<usize>,

    /// What happens when a queue is full: drop-new (the message is dropped for that client),
    /// drop-oldest, or refuse (the publisher is told, reason 0x97)
    #[arg(long, value_name = "WHAT", value_parser = queue_full, default_value = "drop-new")]
    pub(crate) queue_full: QueueFull,

    /// Log more
    #[arg(short, long, action = ArgAction::SetTrue, conflicts_with = "quiet")]
    pub(crate) verbose: bool,

    /// Log warnings only, and do not greet
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// An address of the command line; where it has no port, `--port` counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BindAddress {
    Ip(IpAddr),
    Socket(SocketAddr),
    /// Both loopback addresses.
    Localhost,
}

impl BindAddress {
    /// The addresses it stands for.
    pub(crate) fn addresses(self, port: u16) -> Vec<SocketAddr> {
        match self {
            Self::Ip(ip) => vec![SocketAddr::new(ip, port)],
            Self::Socket(address) => vec![address],
            Self::Localhost => vec![
                SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port),
                SocketAddr::new(Ipv6Addr::LOCALHOST.into(), port),
            ],
        }
    }
}

fn bind_address(text: &str) -> Result<BindAddress, String> {
    if text.eq_ignore_ascii_case("localhost") {
        return Ok(BindAddress::Localhost);
    }
    if let Ok(address) = text.parse() {
        return Ok(BindAddress::Socket(address));
    }
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse().map(BindAddress::Ip).map_err(|_| {
        "give an IP address of this machine, such as 127.0.0.1, 0.0.0.0 (all) or [::1]:1884"
            .to_owned()
    })
}

fn shards(text: &str) -> Result<u16, String> {
    let max = martlet_broker::SHARDS_MAX;
    let valid = text.parse().ok().filter(|shards| (1..=max).contains(shards));
    valid.ok_or_else(|| format!("give a number from 1 to {max}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_the_forms_people_write() {
        let with = |text: &str| bind_address(text).map(|bind| bind.addresses(7));
        let one = |text: &str| Ok(vec![text.parse::<SocketAddr>().unwrap()]);
        assert_eq!(with("10.0.0.1"), one("10.0.0.1:7"));
        assert_eq!(with("10.0.0.1:9"), one("10.0.0.1:9"));
        assert_eq!(with("::1"), one("[::1]:7"));
        assert_eq!(with("[::1]"), one("[::1]:7"));
        assert_eq!(with("[::]:9"), one("[::]:9"));
        assert_eq!(with("Localhost").unwrap().len(), 2);
        for bad in ["", "example", "1.2.3", "1.2.3.4:99999", "[::1"] {
            assert!(with(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_definitions_are_consistent() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }
}
