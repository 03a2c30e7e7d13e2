//! The loop under every client command: connects, feeds the client role of the session with bytes
//! and time, falls back to 3.1.1 once, reconnects for who wants it, and leaves in an orderly way.
//! What the command is about is a [`Job`].

use std::io;
use std::time::{Duration, Instant};

use martlet_proto::{
    Connect, ConnectProperties, Disconnect, ForwardProperties, PacketId, ReasonCode, Version, Will,
};
use martlet_session::client::{
    ClientConnection, ClientSession, ConnectionOptions, End, Event, Phase, Publication,
    PublishError, RequestError, SubscribeRequest, Token,
};

use super::arguments::ConnectArguments;
use super::failure::Failure;
use super::link::{Input, Inputs, Link};
use super::{tell, trace};

/// What may wait for the server, in bytes.
const WAITING_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long it may take, when leaving, until the server has taken all that is written, and until it
/// has closed too.
const LAST_WRITE_TIMEOUT: Duration = Duration::from_secs(5);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// How long to wait before the first reconnect; doubled each time up to the second value.
const RECONNECT_MIN: Duration = Duration::from_secs(1);
const RECONNECT_MAX: Duration = Duration::from_secs(30);
/// How soon to try again to write what the server did not take.
const WRITE_AGAIN: Duration = Duration::from_millis(5);

/// Whether a job goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    Going,
    Done,
}

/// What a command is about. Its methods are called in this order again and again: events as they
/// come, then `advance`.
pub(super) trait Job {
    /// Something happened; commands have to wait for `advance`.
    fn on_event(&mut self, event: &Event<'_>);

    /// A line of standard input, or its end; only for who permits lines.
    fn on_line(&mut self, line: Option<Vec<u8>>);

    /// Commands what follows from the events, and says whether the job is done.
    fn advance(&mut self, client: &mut Client<'_>) -> Result<Progress, Failure>;

    /// Whether a lost connection is made anew.
    fn reconnects(&self) -> bool;
}

/// A connected client.
pub(super) struct Client<'a> {
    pub(super) session: &'a mut ClientSession,
    pub(super) inputs: &'a mut Inputs,
    connection: ClientConnection,
    link: Link,
    out: Vec<u8>,
    clock: Clock,
    debug: bool,
    /// CONNACK with success came.
    was_open: bool,
    /// The server has closed, or the connection is broken.
    is_closed: bool,
    /// What a CONNACK without success says besides its reason.
    refusal: Option<String>,
}

/// Milliseconds since the start of the command.
#[derive(Debug, Clone, Copy)]
struct Clock(Instant);

impl Clock {
    fn now_ms(self) -> u64 {
        u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn at(self, ms: u64) -> Instant {
        self.0 + Duration::from_millis(ms)
    }
}

/// Why one connection is over before the job is done.
enum Over {
    Failure(Failure),
    /// Another connection may help.
    Lost(Failure),
    /// The server does not speak this version.
    Version,
}

impl From<Failure> for Over {
    fn from(failure: Failure) -> Self {
        Over::Failure(failure)
    }
}

/// Does a job, over one connection or several.
pub(super) fn run(arguments: &ConnectArguments, job: &mut dyn Job) -> Result<(), Failure> {
    let who = Who::of(arguments)?;
    let clock = Clock(Instant::now());
    let deadline = arguments.timeout.map(|timeout| clock.0 + timeout);
    let mut inputs = Inputs::new().map_err(|error| Failure::Other(error.to_string()))?;
    let mut session = if arguments.disable_clean_session {
        // An earlier process may have left a session at the server; it finished what it began.
        ClientSession::resumed(WAITING_BYTES_MAX)
    } else {
        ClientSession::new(WAITING_BYTES_MAX)
    };
    let fixed = arguments.protocol_version.or(who.expiry_s.map(|_| Version::V5));
    let mut version = fixed.unwrap_or(Version::V5);
    let mut was_open = false;
    let mut pause = RECONNECT_MIN;
    loop {
        let attempt = Attempt { arguments, who: &who, version, clock, deadline };
        let over = match attempt.run(&mut session, &mut inputs, job, &mut was_open, &mut pause) {
            Ok(()) => return Ok(()),
            Err(over) => over,
        };
        match over {
            Over::Failure(failure) => return Err(failure),
            Over::Version if fixed.is_none() && version == Version::V5 => {
                if !arguments.quiet {
                    tell("the server does not speak MQTT 5; connecting with 3.1.1");
                }
                version = Version::V311;
            }
            Over::Version => {
                let reason = ReasonCode::UnsupportedProtocolVersion;
                return Err(Failure::Refused { reason, detail: None });
            }
            Over::Lost(failure) => {
                if !was_open || !job.reconnects() {
                    return Err(failure);
                }
                if let (Some(text), false) = (failure.text(), arguments.quiet) {
                    tell(&format!("{text}; connecting again in {} s", pause.as_secs()));
                }
                wait(&inputs, pause, deadline)?;
                pause = (pause * 2).min(RECONNECT_MAX);
            }
        }
    }
}

/// Lets time pass before the next connection.
fn wait(inputs: &Inputs, pause: Duration, deadline: Option<Instant>) -> Result<(), Failure> {
    let until = Instant::now() + pause;
    loop {
        match inputs.next(Some(deadline.map_or(until, |deadline| deadline.min(until)))) {
            Some(Input::Interrupted) => return Err(Failure::Interrupted),
            Some(_) => {} // the rest of the connection before
            None if is_over(deadline) => return Err(Failure::TimedOut),
            None => return Ok(()),
        }
    }
}

fn is_over(deadline: Option<Instant>) -> bool {
    deadline.is_some_and(|deadline| deadline <= Instant::now())
}

/// Who connects: what the arguments say, with files and environment read.
struct Who {
    client_id: String,
    password: Option<Vec<u8>>,
    expiry_s: Option<u32>,
}

impl Who {
    fn of(arguments: &ConnectArguments) -> Result<Self, Failure> {
        let process = std::process::id();
        let client_id = match (&arguments.id, &arguments.id_prefix) {
            (Some(id), _) => id.clone(),
            (None, Some(prefix)) => format!("{prefix}{process}"),
            (None, None) if arguments.disable_clean_session => {
                return Err(Failure::Usage("-c needs a client identifier: give -i".to_owned()));
            }
            (None, None) if arguments.protocol_version == Some(Version::V31) => {
                format!("martlet-{process}")
            }
            (None, None) => String::new(),
        };
        Ok(Self {
            client_id,
            password: password(arguments)?,
            expiry_s: arguments.session_expiry_interval,
        })
    }
}

fn password(arguments: &ConnectArguments) -> Result<Option<Vec<u8>>, Failure> {
    if let Some(password) = &arguments.password {
        return Ok(Some(password.as_encoded_bytes().to_vec()));
    }
    if let Some(file) = &arguments.password_file {
        let bytes = std::fs::read(file)
            .map_err(|error| Failure::Usage(format!("{}: {error}", file.display())))?;
        let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
        return Ok(Some(line.strip_suffix(b"\r").unwrap_or(line).to_vec()));
    }
    let Some(variable) = &arguments.password_env else { return Ok(None) };
    match std::env::var_os(variable) {
        Some(password) => Ok(Some(password.into_encoded_bytes())),
        None => Err(Failure::Usage(format!("the environment has no {variable}"))),
    }
}

/// One connection.
struct Attempt<'a> {
    arguments: &'a ConnectArguments,
    who: &'a Who,
    version: Version,
    clock: Clock,
    deadline: Option<Instant>,
}

impl Attempt<'_> {
    fn run(
        &self,
        session: &mut ClientSession,
        inputs: &mut Inputs,
        job: &mut dyn Job,
        was_open: &mut bool,
        pause: &mut Duration,
    ) -> Result<(), Over> {
        let (host, port) = (&self.arguments.host, self.arguments.port);
        let link = inputs.connect(host, port, self.deadline).map_err(|error| {
            if is_over(self.deadline) {
                return Over::Failure(Failure::TimedOut);
            }
            Over::Lost(Failure::CannotReach(format!("cannot reach {host} port {port}: {error}")))
        })?;
        let mut out = Vec::new();
        let options = ConnectionOptions { manual_acks: true, ..ConnectionOptions::default() };
        let on_event = |event: Event<'_>| job.on_event(&event);
        let connection = self
            .connect(|connect| {
                let now_ms = self.clock.now_ms();
                ClientConnection::open(now_ms, session, connect, options, &mut out, on_event)
            })
            .map_err(|error| Failure::Usage(error.to_string()))?;
        let (clock, debug) = (self.clock, self.arguments.debug);
        let mut client = Client {
            session,
            inputs,
            connection,
            link,
            out,
            clock,
            debug,
            was_open: false,
            is_closed: false,
            refusal: None,
        };
        let result = self.work(&mut client, job);
        if client.was_open {
            *was_open = true;
            *pause = RECONNECT_MIN;
        }
        // Done, or going on without this connection: either way it is told goodbye.
        client.leave();
        let Client { session, connection, .. } = client;
        connection.transport_closed(session, |event| job.on_event(&event));
        result
    }

    /// Makes the CONNECT of the arguments.
    fn connect<T>(&self, open: impl FnOnce(&Connect<'_>) -> T) -> T {
        let arguments = self.arguments;
        let persistent = arguments.disable_clean_session;
        let will = arguments.will_topic.as_ref().map(|topic| Will {
            qos: arguments.will_qos.unwrap_or_default(),
            retain: arguments.will_retain,
            topic,
            payload: arguments.will_payload.as_ref().map_or(&[], |it| it.as_encoded_bytes()),
            delay_s: 0,
            message_expiry_s: None,
            forward: ForwardProperties::default(),
        });
        let session_expiry_s = self.who.expiry_s.or(persistent.then_some(u32::MAX));
        open(&Connect {
            keep_alive_s: arguments.keepalive,
            will,
            user_name: arguments.username.as_deref(),
            password: self.who.password.as_deref(),
            properties: ConnectProperties { session_expiry_s, ..ConnectProperties::default() },
            ..Connect::new(self.version, &self.who.client_id, !persistent)
        })
    }

    fn work(&self, client: &mut Client<'_>, job: &mut dyn Job) -> Result<(), Over> {
        loop {
            if job.advance(client)? == Progress::Done {
                return Ok(());
            }
            client.write().map_err(|error| Over::Lost(Failure::Lost(error.to_string())))?;
            let due = client.connection.next_deadline_ms().map(|ms| self.clock.at(ms));
            let again = (!client.out.is_empty()).then(|| Instant::now() + WRITE_AGAIN);
            let deadline = [due, again, self.deadline].into_iter().flatten().min();
            let end = match client.inputs.next(deadline) {
                Some(input) => client.take(input, job)?,
                None => client.connection.tick(self.clock.now_ms(), &mut client.out),
            };
            if let Err(end) = end {
                // The last bytes may have completed the job.
                let done = matches!(job.advance(client), Ok(Progress::Done));
                return if done { Ok(()) } else { Err(over(end, client.refusal.take())) };
            }
            if is_over(self.deadline) {
                return Err(Failure::TimedOut.into());
            }
        }
    }
}

impl Client<'_> {
    /// Whether the server has accepted the connection, and it is not over.
    pub(super) fn is_open(&self) -> bool {
        self.connection.phase() == Phase::Open
    }

    /// Publishes, see [`ClientConnection::publish`].
    pub(super) fn publish(
        &mut self,
        publication: &Publication<'_>,
    ) -> Result<Option<Token>, PublishError> {
        let now_ms = self.clock.now_ms();
        self.connection.publish(now_ms, self.session, publication, &mut self.out)
    }

    /// Subscribes, see [`ClientConnection::subscribe`].
    pub(super) fn subscribe(
        &mut self,
        request: &SubscribeRequest<'_>,
    ) -> Result<Token, RequestError> {
        let now_ms = self.clock.now_ms();
        self.connection.subscribe(now_ms, self.session, request, &mut self.out)
    }

    /// Acknowledges a received message, if this connection is still the one that it came from.
    pub(super) fn acknowledge(&mut self, id: PacketId) {
        let now_ms = self.clock.now_ms();
        // A message that is not acknowledged comes again: nothing to do about an error.
        let success = ReasonCode::Success;
        let _ = self.connection.acknowledge(now_ms, self.session, id, success, &mut self.out);
    }

    /// How many bytes the server has not taken yet.
    pub(super) fn unwritten_bytes(&self) -> usize {
        self.out.len()
    }

    fn take(&mut self, input: Input, job: &mut dyn Job) -> Result<Result<(), End>, Over> {
        match input {
            Input::Bytes(number, bytes) if number == self.link.number() => {
                let (debug, was_open, refusal) =
                    (self.debug, &mut self.was_open, &mut self.refusal);
                let on_event = |event: Event<'_>| {
                    if debug {
                        trace::event(&event);
                    }
                    match event {
                        Event::Connected(_) => *was_open = true,
                        Event::Refused(connack) => {
                            *refusal = connack.properties.reason_string.map(str::to_owned);
                        }
                        _ => {}
                    }
                    job.on_event(&event);
                };
                let now_ms = self.clock.now_ms();
                let out = &mut self.out;
                Ok(self.connection.receive(now_ms, self.session, &bytes, out, on_event))
            }
            Input::Closed(number, error) if number == self.link.number() => {
                self.is_closed = true;
                let text = error.map_or("closed by the server".to_owned(), |it| it.to_string());
                Err(Over::Lost(if self.was_open {
                    Failure::Lost(text)
                } else {
                    Failure::CannotReach(format!("no answer to CONNECT: {text}"))
                }))
            }
            Input::Bytes(..) | Input::Closed(..) => Ok(Ok(())), // of a connection before
            Input::Line(Ok(line)) => {
                job.on_line(line);
                Ok(Ok(()))
            }
            Input::Line(Err(error)) => {
                Err(Failure::Other(format!("standard input: {error}")).into())
            }
            Input::Interrupted => Err(Failure::Interrupted.into()),
        }
    }

    fn write(&mut self) -> io::Result<()> {
        if self.debug && !self.link.is_writing() {
            trace::packets(&self.out, self.connection.version());
        }
        self.link.write(&mut self.out)
    }

    /// Says goodbye and waits, within bounds, until the server has taken all.
    fn leave(&mut self) {
        if self.is_closed {
            return;
        }
        let goodbye = Disconnect::new(ReasonCode::NormalDisconnection);
        // An error says that the connection is over already.
        let _ = self.connection.disconnect(self.session, &goodbye, &mut self.out);
        if self.out.is_empty() {
            return; // nothing to say: the server has ended it
        }
        let deadline = Instant::now() + LAST_WRITE_TIMEOUT;
        while !self.out.is_empty() {
            if self.write().is_err() || is_over(Some(deadline)) {
                return;
            }
        }
        self.link.finish();
        let deadline = Instant::now() + CLOSE_TIMEOUT;
        while let Some(input) = self.inputs.next(Some(deadline)) {
            match input {
                Input::Closed(number, _) if number == self.link.number() => return,
                Input::Interrupted => return,
                _ => {}
            }
        }
    }
}

/// What the end of a connection means for the job.
fn over(end: End, detail: Option<String>) -> Over {
    match end {
        End::Refused(ReasonCode::UnsupportedProtocolVersion) => Over::Version,
        End::Refused(reason) => {
            let refused = Failure::Refused { reason, detail };
            match reason {
                ReasonCode::ServerUnavailable
                | ReasonCode::ServerBusy
                | ReasonCode::ConnectionRateExceeded => Over::Lost(refused),
                _ => Over::Failure(refused),
            }
        }
        End::ServerDisconnected(reason) => match reason {
            ReasonCode::NotAuthorized
            | ReasonCode::Banned
            | ReasonCode::SessionTakenOver
            | ReasonCode::AdministrativeAction => Over::Failure(Failure::Disconnected(reason)),
            _ => Over::Lost(Failure::Disconnected(reason)),
        },
        End::ConnAckTimeout => Over::Lost(Failure::CannotReach(end.to_string())),
        End::KeepAliveTimeout => Over::Lost(Failure::Lost(end.to_string())),
        End::Violation(_) | End::PacketSizeMaxTooSmall | End::Disconnected => {
            Over::Failure(Failure::Other(end.to_string()))
        }
    }
}
