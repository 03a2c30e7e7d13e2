//! `martlet sub`: prints what comes. A message is acknowledged when it has been written to standard
//! output, so that none is lost between the server and the next program.

use std::io::{self, BufWriter, ErrorKind, IsTerminal as _, StdoutLock, Write};

use martlet_proto::{PacketId, Publish, ReasonCode, SubscriptionOptions};
use martlet_session::client::{Event, SubscribeRequest};

use super::arguments::SubArguments;
use super::driver::{Client, Job, Progress, run as drive};
use super::failure::Failure;
use super::tell;

/// Subscribes and prints until the end.
pub(super) fn run(arguments: &SubArguments) -> Result<(), Failure> {
    let mut job = Subscribing {
        arguments,
        output: Output { writer: BufWriter::new(io::stdout().lock()), dirty: false, error: None },
        left: arguments.count,
        to_subscribe: false,
        subscribed: false,
        written: Vec::new(),
        failure: None,
    };
    drive(&arguments.connect, &mut job)
}

/// Standard output, with its first error.
struct Output {
    writer: BufWriter<StdoutLock<'static>>,
    dirty: bool,
    error: Option<io::Error>,
}

impl Output {
    fn print(&mut self, arguments: &SubArguments, message: &Publish<'_>) {
        if self.error.is_some() {
            return;
        }
        self.error = write_message(&mut self.writer, arguments, message).err();
        self.dirty = true;
    }

    fn flush(&mut self) -> Result<(), Failure> {
        let result = match self.error.take() {
            Some(error) => Err(error),
            None if self.dirty => self.writer.flush(),
            None => Ok(()),
        };
        self.dirty = false;
        result.map_err(|error| match error.kind() {
            ErrorKind::BrokenPipe => Failure::OutputClosed,
            _ => Failure::Other(format!("standard output: {error}")),
        })
    }
}

/// As mosquitto_sub does it: an empty payload is `(null)` with -v and nothing without.
fn write_message(
    writer: &mut impl Write,
    arguments: &SubArguments,
    message: &Publish<'_>,
) -> io::Result<()> {
    match (arguments.verbose, message.payload.is_empty()) {
        (false, true) => return Ok(()),
        (true, true) => write!(writer, "{} (null)", message.topic)?,
        (true, false) => write!(writer, "{} ", message.topic)?,
        (false, false) => {}
    }
    writer.write_all(message.payload)?;
    if arguments.no_newline { Ok(()) } else { writer.write_all(b"\n") }
}

struct Subscribing<'a> {
    arguments: &'a SubArguments,
    output: Output,
    /// How many messages are still wanted; `None` for all.
    left: Option<u64>,
    to_subscribe: bool,
    subscribed: bool,
    /// Messages that are written, or not wanted, and not acknowledged.
    written: Vec<PacketId>,
    failure: Option<Failure>,
}

impl Subscribing<'_> {
    fn on_message(&mut self, message: &Publish<'_>) {
        if self.left == Some(0) {
            return; // not acknowledged either: a persistent session gets it again
        }
        if !(self.arguments.no_retained && message.retain) {
            self.output.print(self.arguments, message);
            self.left = self.left.map(|left| left - 1);
        }
        self.written.extend(message.packet_id);
    }

    fn on_subscribed(&mut self, codes: &[u8]) {
        for (filter, code) in self.arguments.topic.iter().zip(codes) {
            match ReasonCode::from_u8(*code) {
                Some(reason) if !reason.is_error() => {
                    if io::stderr().is_terminal() && !self.arguments.connect.quiet {
                        tell(&format!("subscribed {filter} (granted QoS {code})"));
                    }
                }
                reason => {
                    let name = reason.map_or("unknown reason", ReasonCode::name);
                    let what = format!("the server refused the subscription to {filter}: {name}");
                    self.failure.get_or_insert(Failure::Rejected { what, reason });
                }
            }
        }
        self.subscribed = true;
    }

    fn subscribe(&self, client: &mut Client<'_>) -> Result<(), Failure> {
        let options = SubscriptionOptions {
            qos: self.arguments.connect.qos,
            ..SubscriptionOptions::default()
        };
        let filters: Vec<_> =
            self.arguments.topic.iter().map(|filter| (filter.as_str(), options)).collect();
        let request =
            SubscribeRequest { filters: &filters, subscription_id: None, user_properties: &[] };
        client.subscribe(&request).map(drop).map_err(|error| Failure::Rejected {
            what: format!("cannot subscribe: {error}"),
            reason: None,
        })
    }
}

impl Job for Subscribing<'_> {
    fn on_event(&mut self, event: &Event<'_>) {
        match event {
            Event::Connected(_) => {
                self.to_subscribe = true;
                self.written.clear();
            }
            Event::Message(message) => self.on_message(message),
            Event::Subscribed { ack, .. } => self.on_subscribed(ack.codes),
            Event::RequestFailed { error, .. } => {
                let what = format!("cannot subscribe: {error}");
                self.failure.get_or_insert(Failure::Rejected { what, reason: None });
            }
            _ => {}
        }
    }

    fn on_line(&mut self, _line: Option<Vec<u8>>) {}

    fn advance(&mut self, client: &mut Client<'_>) -> Result<Progress, Failure> {
        self.output.flush()?;
        for id in self.written.drain(..) {
            client.acknowledge(id);
        }
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        if self.to_subscribe && client.is_open() {
            self.to_subscribe = false;
            // A request that a lost connection left unanswered has been sent again already.
            if client.session.requests() == 0 {
                self.subscribe(client)?;
            }
        }
        let enough =
            self.left == Some(0) || (self.arguments.exit_after_subscribe && self.subscribed);
        Ok(if enough { Progress::Done } else { Progress::Going })
    }

    fn reconnects(&self) -> bool {
        !self.arguments.no_reconnect
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use crate::args::{Arguments, Command};

    use super::*;

    fn printed(flags: &[&str], topic: &str, payload: &[u8]) -> String {
        let line = ["martlet", "sub", "-t", "#"].into_iter().chain(flags.iter().copied());
        let Ok(Arguments { command: Command::Sub(arguments) }) = Arguments::try_parse_from(line)
        else {
            panic!("arguments of sub");
        };
        let mut out = Vec::new();
        let message = Publish { topic, payload, ..Publish::default() };
        write_message(&mut out, &arguments, &message).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn output_is_that_of_mosquitto_sub() {
        assert_eq!(printed(&[], "a/b", b"x y"), "x y\n");
        assert_eq!(printed(&["-v"], "a/b", b"x y"), "a/b x y\n");
        assert_eq!(printed(&["-N"], "a/b", b"x"), "x");
        assert_eq!(printed(&["-v", "-N"], "a/b", b"x"), "a/b x");
        assert_eq!(printed(&["-v"], "a/b", b""), "a/b (null)\n");
        assert_eq!(printed(&[], "a/b", b""), "");
    }
}
