//! `martlet pub`: one message or one for each line of standard input, confirmed by the server
//! before it ends.

use std::io::Read as _;

use martlet_proto::{ForwardProperties, ReasonCode};
use martlet_session::client::{Event, Publication, PublishError};

use super::arguments::PubArguments;
use super::driver::{Client, Job, Progress, run as drive};
use super::failure::Failure;
use super::tell;

/// How many lines are read ahead of the server's confirmations.
const LINES_AHEAD: usize = 100;
/// No line is read while the server has not taken so much.
const UNWRITTEN_MAX: usize = 1024 * 1024;
/// The longest payload that MQTT can express, roughly.
const PAYLOAD_MAX: u64 = 268_435_455;

/// Publishes what the arguments say.
pub(super) fn run(arguments: &PubArguments) -> Result<(), Failure> {
    let payload = payload(arguments)?;
    let mut job = Publishing {
        arguments,
        lines: Lines { waiting: Vec::new(), permits: LINES_AHEAD, ended: payload.is_some() },
        payload,
        failure: None,
    };
    drive(&arguments.connect, &mut job)?;
    job.failure.map_or(Ok(()), Err)
}

/// The payload of the one message; `None` for lines of standard input.
fn payload(arguments: &PubArguments) -> Result<Option<Vec<u8>>, Failure> {
    if arguments.stdin_line {
        return Ok(None);
    }
    if let Some(message) = &arguments.message {
        return Ok(Some(message.as_encoded_bytes().to_vec()));
    }
    let mut payload = Vec::new();
    let read = if let Some(file) = &arguments.file {
        let mut read = std::fs::File::open(file).map(|file| file.take(PAYLOAD_MAX + 1));
        let result = read.as_mut().map_err(|error| std::io::Error::from(error.kind()));
        result
            .and_then(|file| file.read_to_end(&mut payload))
            .map_err(|error| (file.display().to_string(), error))
    } else if arguments.stdin_file {
        let stdin = std::io::stdin().lock().take(PAYLOAD_MAX + 1).read_to_end(&mut payload);
        stdin.map_err(|error| ("standard input".to_owned(), error))
    } else {
        Ok(0)
    };
    match read {
        Ok(_) if payload.len() as u64 > PAYLOAD_MAX => Err(too_large()),
        Ok(_) => Ok(Some(payload)),
        Err((what, error)) => Err(Failure::Other(format!("{what}: {error}"))),
    }
}

fn too_large() -> Failure {
    let what = "the message is larger than MQTT can carry".to_owned();
    Failure::Rejected { what, reason: None }
}

/// Lines of standard input.
struct Lines {
    /// Read and not published.
    waiting: Vec<Vec<u8>>,
    /// How many more may be read.
    permits: usize,
    ended: bool,
}

struct Publishing<'a> {
    arguments: &'a PubArguments,
    /// The one message, until it is published.
    payload: Option<Vec<u8>>,
    lines: Lines,
    /// The first thing that went wrong.
    failure: Option<Failure>,
}

impl Publishing<'_> {
    fn publish(&mut self, client: &mut Client<'_>, payload: &[u8]) -> Result<(), Failure> {
        let publication = Publication {
            topic: &self.arguments.topic,
            payload,
            qos: self.arguments.connect.qos,
            retain: self.arguments.retain,
            message_expiry_s: None,
            forward: ForwardProperties::default(),
        };
        match client.publish(&publication) {
            Ok(_) => Ok(()),
            Err(PublishError::NotConnected) => {
                Err(Failure::Lost("the connection is closed".to_owned()))
            }
            Err(error) => {
                let what = format!("cannot publish: {error}");
                self.fail(Failure::Rejected { what, reason: None });
                Ok(())
            }
        }
    }

    /// Remembers the first failure. With many lines each one is told, and the others go on.
    fn fail(&mut self, failure: Failure) {
        if self.arguments.stdin_line
            && self.failure.is_some()
            && !self.arguments.connect.quiet
            && let Some(text) = failure.text()
        {
            tell(&text);
        }
        self.failure.get_or_insert(failure);
    }
}

impl Job for Publishing<'_> {
    fn on_event(&mut self, event: &Event<'_>) {
        match event {
            Event::Published { reason, properties, .. } if reason.is_error() => {
                let detail = properties.reason_string.map(|text| format!(" ({text})"));
                let what = format!(
                    "the server refused the message: {}{}",
                    reason.name(),
                    detail.unwrap_or_default()
                );
                self.fail(Failure::Rejected { what, reason: Some(*reason) });
            }
            Event::Published { reason: ReasonCode::NoMatchingSubscribers, .. }
                if self.arguments.connect.debug =>
            {
                tell("nobody has subscribed to this topic");
            }
            Event::PublishFailed { error, .. } => {
                let what = format!("cannot publish: {error}");
                self.fail(Failure::Rejected { what, reason: None });
            }
            _ => {}
        }
    }

    fn on_line(&mut self, line: Option<Vec<u8>>) {
        match line {
            Some(line) => {
                self.lines.waiting.push(line);
                self.lines.permits += 1;
            }
            None => self.lines.ended = true,
        }
    }

    fn advance(&mut self, client: &mut Client<'_>) -> Result<Progress, Failure> {
        if !client.is_open() {
            return Ok(Progress::Going);
        }
        if let Some(payload) = self.payload.take() {
            self.publish(client, &payload)?;
        }
        for line in std::mem::take(&mut self.lines.waiting) {
            self.publish(client, &line)?;
        }
        if self.lines.ended {
            let done = client.session.is_idle();
            return Ok(if done { Progress::Done } else { Progress::Going });
        }
        if client.session.waiting() == 0 && client.unwritten_bytes() < UNWRITTEN_MAX {
            let permits = std::mem::take(&mut self.lines.permits);
            let permitted = client.inputs.permit_lines(permits);
            permitted.map_err(|error| Failure::Other(format!("standard input: {error}")))?;
        }
        Ok(Progress::Going)
    }

    fn reconnects(&self) -> bool {
        false
    }
}
