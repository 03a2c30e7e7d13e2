//! The arguments of the client commands. Letters and meanings are those of mosquitto_pub and
//! mosquitto_sub; `-h` is the host, so help is `--help`. Says what is wrong with an argument; must
//! not know how a command works.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, ArgGroup, Args};
use martlet_proto::{Qos, Version, topic};

use crate::args::MQTT_PORT;

/// How to connect; the same for all client commands.
#[derive(Debug, Args)]
pub(crate) struct ConnectArguments {
    /// Host to connect to
    #[arg(short = 'h', long, value_name = "HOST", default_value = "localhost")]
    pub(super) host: String,

    /// Port to connect to
    #[arg(short, long, value_name = "PORT", default_value_t = MQTT_PORT)]
    pub(super) port: u16,

    /// Client identifier [default: the server assigns one]
    #[arg(short, long, value_name = "ID", conflicts_with = "id_prefix")]
    pub(super) id: Option<String>,

    /// Client identifier: this and the number of the process
    #[arg(short = 'I', long, value_name = "PREFIX")]
    pub(super) id_prefix: Option<String>,

    /// User name
    #[arg(short, long, value_name = "NAME")]
    pub(super) username: Option<String>,

    /// Password; everybody on this machine can see it in the list of processes
    #[arg(short = 'P', long = "pw", value_name = "PASSWORD")]
    pub(super) password: Option<OsString>,

    /// Read the password from the first line of a file
    #[arg(long, value_name = "FILE", conflicts_with = "password")]
    pub(super) password_file: Option<PathBuf>,

    /// Read the password from an environment variable
    #[arg(long, value_name = "VARIABLE", conflicts_with_all = ["password", "password_file"])]
    pub(super) password_env: Option<String>,

    /// Protocol version: 5, 311 or 31 [default: 5, and 3.1.1 if the server does not speak 5]
    #[arg(short = 'V', long, value_name = "VERSION", value_parser = version)]
    pub(super) protocol_version: Option<Version>,

    /// Quality of service: 0, 1 or 2
    #[arg(short, long, value_name = "QOS", default_value = "0", value_parser = qos)]
    pub(super) qos: Qos,

    /// Keep alive in seconds
    #[arg(short, long, value_name = "SECONDS", default_value_t = 60)]
    pub(super) keepalive: u16,

    /// Keep the session when the connection ends (needs -i)
    #[arg(short = 'c', long)]
    pub(super) disable_clean_session: bool,

    /// Seconds that the session outlives the connection, -1 for ever (MQTT 5; with -c alone: for
    /// ever)
    #[arg(short = 'x', long, value_name = "SECONDS", value_parser = expiry)]
    #[arg(allow_negative_numbers = true)]
    pub(super) session_expiry_interval: Option<u32>,

    /// Give up after so many seconds, with exit code 27
    #[arg(short = 'W', value_name = "SECONDS", value_parser = seconds)]
    pub(super) timeout: Option<Duration>,

    /// Topic of the will, which the server publishes if this client disappears
    #[arg(long, value_name = "TOPIC", value_parser = topic_name)]
    pub(super) will_topic: Option<String>,

    /// Payload of the will
    #[arg(long, value_name = "MESSAGE", requires = "will_topic")]
    pub(super) will_payload: Option<OsString>,

    /// QoS of the will
    #[arg(long, value_name = "QOS", value_parser = qos, requires = "will_topic")]
    pub(super) will_qos: Option<Qos>,

    /// Retain the will
    #[arg(long, requires = "will_topic")]
    pub(super) will_retain: bool,

    /// Tell on standard error what is sent and received
    #[arg(short, long)]
    pub(super) debug: bool,

    /// Do not tell errors
    #[arg(long)]
    pub(super) quiet: bool,

    /// Print help
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,
}

/// Publish messages
///
/// Publishes one message, or one for each line of standard input, and waits until the server has
/// confirmed all of them (QoS 1 and 2).
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
#[command(group = ArgGroup::new("payload").required(true))]
pub(crate) struct PubArguments {
    #[command(flatten)]
    pub(super) connect: ConnectArguments,

    /// Topic to publish to
    #[arg(short, long, value_name = "TOPIC", value_parser = topic_name)]
    pub(super) topic: String,

    /// The message
    #[arg(short, long, value_name = "MESSAGE", group = "payload", allow_hyphen_values = true)]
    pub(super) message: Option<OsString>,

    /// Send a file as the message
    #[arg(short, long, value_name = "FILE", group = "payload")]
    pub(super) file: Option<PathBuf>,

    /// Send an empty message; with -r this removes what is retained
    #[arg(short, long, group = "payload")]
    pub(super) null_message: bool,

    /// Send all of standard input as one message
    #[arg(short, long, group = "payload")]
    pub(super) stdin_file: bool,

    /// Send each line of standard input as a message
    #[arg(short = 'l', long, group = "payload")]
    pub(super) stdin_line: bool,

    /// Let the server keep the message for later subscribers
    #[arg(short, long)]
    pub(super) retain: bool,
}

/// Subscribe and print the messages
///
/// Prints each payload and a newline, until it is interrupted. A message of QoS 1 or 2 is
/// acknowledged when it has been written. When the connection is lost it connects again.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct SubArguments {
    #[command(flatten)]
    pub(super) connect: ConnectArguments,

    /// Topic filter to subscribe to; can be given several times
    #[arg(short, long, value_name = "FILTER", required = true, value_parser = topic_filter)]
    pub(super) topic: Vec<String>,

    /// Print the topic before each payload
    #[arg(short, long)]
    pub(super) verbose: bool,

    /// Exit after so many messages
    #[arg(short = 'C', value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) count: Option<u64>,

    /// Exit when the subscriptions are confirmed
    #[arg(short = 'E')]
    pub(super) exit_after_subscribe: bool,

    /// No newline after the payload
    #[arg(short = 'N')]
    pub(super) no_newline: bool,

    /// Do not print retained messages
    #[arg(short = 'R')]
    pub(super) no_retained: bool,

    /// Exit when the connection is lost
    #[arg(long)]
    pub(super) no_reconnect: bool,
}

fn version(text: &str) -> Result<Version, String> {
    match text.strip_prefix("mqttv").unwrap_or(text) {
        "5" | "5.0" => Ok(Version::V5),
        "311" | "3.1.1" => Ok(Version::V311),
        "31" | "3.1" => Ok(Version::V31),
        _ => Err("give 5, 311 or 31".to_owned()),
    }
}

fn qos(text: &str) -> Result<Qos, String> {
    let qos = text.parse().ok().and_then(Qos::from_bits);
    qos.ok_or_else(|| "give 0, 1 or 2".to_owned())
}

fn expiry(text: &str) -> Result<u32, String> {
    if text == "-1" || text == "∞" {
        return Ok(u32::MAX);
    }
    text.parse().map_err(|_| "give a number of seconds, or -1 for ever".to_owned())
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds| *seconds > 0);
    seconds.map(Duration::from_secs).ok_or_else(|| "give a number of seconds".to_owned())
}

fn topic_name(text: &str) -> Result<String, String> {
    match topic::check_name(text) {
        Ok(()) => Ok(text.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn topic_filter(text: &str) -> Result<String, String> {
    match topic::check_filter(text) {
        Ok(()) => Ok(text.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_as_people_write_them() {
        for (text, expected) in
            [("5", Version::V5), ("mqttv311", Version::V311), ("3.1", Version::V31)]
        {
            assert_eq!(version(text), Ok(expected));
        }
        assert!(version("4").is_err() && version("mqttv").is_err());
        assert_eq!(qos("2"), Ok(Qos::ExactlyOnce));
        assert!(qos("3").is_err() && qos("").is_err() && qos("-1").is_err());
        assert_eq!(expiry("-1"), Ok(u32::MAX));
        assert_eq!(expiry("60"), Ok(60));
        assert!(expiry("-2").is_err());
        assert!(seconds("0").is_err());
        assert!(
            topic_name("a/#").is_err() && topic_filter("a/#").is_ok() && topic_filter("").is_err()
        );
    }
}
