//! Publishers and subscribers in pairs, each pair with a topic of its own, on one thread.
//!
//! Owns the clients, what they are owed, and the numbers of all messages: each payload carries
//! the number of its message, so that a missing, repeated or misplaced one is noticed.

use std::collections::VecDeque;
use std::io::{Error, Result};
use std::time::{Duration, Instant};

use martlet_bench_meter::Durations;
use mio::{Events, Poll, Token};

use crate::link::{Link, READ_BYTES};
use crate::packets::{self, Packet, Publish};

/// A publisher waits when its subscriber is so far behind: no broker is measured while it piles up
/// what it acknowledged.
const BEHIND_MAX: u64 = 64;
/// Connections that may be on their way at once.
const CONNECTING_MAX: usize = 64;
/// What setting up may take.
const SET_UP_WITHIN: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

/// What has been counted since the start.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Counts {
    pub(crate) sent: u64,
    pub(crate) acked: u64,
    /// Messages that came for the first time.
    pub(crate) delivered: u64,
    pub(crate) repeated: u64,
    /// Messages that came although an earlier one had not.
    pub(crate) skipped: u64,
}

struct Publisher {
    link: Link,
    publish: Publish,
    next_id: u16,
    next_number: u64,
    unacked: VecDeque<(u16, Instant)>,
}

struct Subscriber {
    /// `None`: not connected.
    link: Option<Link>,
    /// The number that comes next.
    expected: u64,
}

struct Pair {
    publisher: Publisher,
    subscriber: Subscriber,
    /// Whether the publisher may be able to send.
    open: bool,
}

/// How the clients behave.
pub(crate) struct Shape {
    pub(crate) port: u16,
    pub(crate) pairs: usize,
    pub(crate) in_flight: usize,
    pub(crate) payload_len: usize,
    /// Begins all names, so that a second fleet has sessions of its own.
    pub(crate) name: &'static str,
}

pub(crate) struct Fleet {
    shape: Shape,
    poll: Poll,
    events: Events,
    pairs: Vec<Pair>,
    /// Answers (CONNACK, SUBACK) that are still to come.
    awaited: usize,
    /// Whether publishers publish.
    publishing: bool,
    buffer: Vec<u8>,
    pub(crate) counts: Counts,
    /// From PUBLISH to PUBACK; kept while `measuring`.
    pub(crate) latencies: Durations,
    pub(crate) measuring: bool,
}

impl Fleet {
    /// Connects all clients and subscribes; the subscribers' sessions outlive their connections.
    pub(crate) fn new(shape: Shape) -> Result<Self> {
        let mut fleet = Self {
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            pairs: Vec::with_capacity(shape.pairs),
            awaited: 0,
            publishing: false,
            buffer: vec![0; READ_BYTES],
            counts: Counts::default(),
            latencies: Durations::default(),
            measuring: false,
            shape,
        };
        for number in 0..fleet.shape.pairs {
            let pair = fleet.pair(number)?;
            fleet.pairs.push(pair);
            fleet.attach(number, true)?;
            fleet.settle(CONNECTING_MAX)?;
        }
        fleet.settle(0)?;
        Ok(fleet)
    }

    /// The subscribers leave; their sessions stay.
    pub(crate) fn detach_all(&mut self) -> Result<()> {
        for pair in &mut self.pairs {
            if let Some(mut link) = pair.subscriber.link.take() {
                link.push(&packets::DISCONNECT);
                link.flush()?;
            }
        }
        // The broker reads them before the load begins.
        std::thread::sleep(Duration::from_millis(300));
        Ok(())
    }

    /// The subscribers come back to their sessions.
    pub(crate) fn attach_all(&mut self) -> Result<()> {
        for number in 0..self.pairs.len() {
            self.attach(number, false)?;
            self.settle(CONNECTING_MAX)?;
        }
        self.settle(0)
    }

    /// Publishes for so long.
    pub(crate) fn publish_for(&mut self, time: Duration) -> Result<()> {
        self.publishing = true;
        let end = Instant::now() + time;
        for number in 0..self.pairs.len() {
            self.pairs[number].open = true;
            self.fill(number)?;
        }
        while Instant::now() < end {
            self.turn(POLL.min(end.saturating_duration_since(Instant::now())))?;
        }
        self.publishing = false;
        Ok(())
    }

    /// Waits until every message sent is acknowledged; false when nothing came for `patience`.
    pub(crate) fn wait_acked(&mut self, patience: Duration) -> Result<bool> {
        self.wait(patience, |counts| counts.acked, |counts| counts.acked >= counts.sent)
    }

    /// Waits until every message sent is delivered; false when nothing came for `patience`.
    pub(crate) fn wait_delivered(&mut self, patience: Duration) -> Result<bool> {
        self.wait(patience, |counts| counts.delivered, |counts| counts.delivered >= counts.sent)
    }

    fn wait(
        &mut self,
        patience: Duration,
        progress: impl Fn(&Counts) -> u64,
        done: impl Fn(&Counts) -> bool,
    ) -> Result<bool> {
        let mut seen = progress(&self.counts);
        let mut until = Instant::now() + patience;
        while !done(&self.counts) {
            self.turn(POLL)?;
            if progress(&self.counts) != seen {
                seen = progress(&self.counts);
                until = Instant::now() + patience;
            } else if Instant::now() > until {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn topic(number: usize) -> String {
        format!("plant/{number:03}/state")
    }

    fn pair(&mut self, number: usize) -> Result<Pair> {
        let mut link = Link::open(self.shape.port, self.poll.registry(), Token(2 * number))?;
        link.push(&packets::connect(&format!("{}-p{number}", self.shape.name), true));
        self.awaited += 1;
        Ok(Pair {
            publisher: Publisher {
                link,
                publish: Publish::new(&Self::topic(number), self.shape.payload_len),
                next_id: 1,
                next_number: 0,
                unacked: VecDeque::with_capacity(self.shape.in_flight),
            },
            subscriber: Subscriber { link: None, expected: 0 },
            open: true,
        })
    }

    fn attach(&mut self, number: usize, subscribe: bool) -> Result<()> {
        let token = Token(2 * number + 1);
        let mut link = Link::open(self.shape.port, self.poll.registry(), token)?;
        link.push(&packets::connect(&format!("{}-s{number}", self.shape.name), false));
        self.awaited += 1;
        if subscribe {
            link.push(&packets::subscribe(&Self::topic(number)));
            self.awaited += 1;
        }
        self.pairs[number].subscriber.link = Some(link);
        Ok(())
    }

    /// Turns until at most `left` answers are awaited.
    fn settle(&mut self, left: usize) -> Result<()> {
        let end = Instant::now() + SET_UP_WITHIN;
        while self.awaited > left {
            self.turn(POLL)?;
            if Instant::now() > end {
                return Err(Error::other("setting up took too long"));
            }
        }
        Ok(())
    }

    /// Waits for events once and answers them.
    fn turn(&mut self, timeout: Duration) -> Result<()> {
        let mut events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        let polled = self.poll.poll(&mut events, Some(timeout));
        if let Err(error) = polled
            && error.kind() != std::io::ErrorKind::Interrupted
        {
            return Err(error);
        }
        let now = Instant::now();
        for event in &events {
            let number = event.token().0 / 2;
            if event.token().0 % 2 == 0 {
                self.publisher_event(number, event.is_readable(), now)?;
            } else {
                self.subscriber_event(number, event.is_readable())?;
            }
            self.fill(number)?;
        }
        self.events = events;
        Ok(())
    }

    fn publisher_event(&mut self, number: usize, readable: bool, now: Instant) -> Result<()> {
        let pair = &mut self.pairs[number];
        let Publisher { link, unacked, .. } = &mut pair.publisher;
        if readable {
            let (counts, awaited) = (&mut self.counts, &mut self.awaited);
            let (latencies, measuring) = (&mut self.latencies, self.measuring);
            link.read(&mut self.buffer, |packet, _| match packet {
                Packet::ConnAck(0) => {
                    *awaited -= 1;
                    Ok(())
                }
                Packet::PubAck(id) => {
                    let found = unacked.iter().position(|(sent, _)| *sent == id);
                    let found = found.ok_or_else(|| Error::other("PUBACK of nothing"))?;
                    let (_, at) = unacked.remove(found).expect("found");
                    counts.acked += 1;
                    if measuring {
                        latencies.note(now - at);
                    }
                    Ok(())
                }
                packet => Err(unexpected(&packet)),
            })?;
            pair.open = true;
        }
        link.flush()
    }

    fn subscriber_event(&mut self, number: usize, readable: bool) -> Result<()> {
        let pair = &mut self.pairs[number];
        let Subscriber { link, expected } = &mut pair.subscriber;
        // An event of a connection that is gone.
        let Some(link) = link else { return Ok(()) };
        if readable {
            let (counts, awaited) = (&mut self.counts, &mut self.awaited);
            link.read(&mut self.buffer, |packet, out| match packet {
                Packet::ConnAck(0) | Packet::SubAck(0..=2) => {
                    *awaited -= 1;
                    Ok(())
                }
                Packet::Publish(id, number) => {
                    if id != 0 {
                        out.extend(packets::puback(id));
                    }
                    if number < *expected {
                        counts.repeated += 1;
                    } else {
                        counts.skipped += number - *expected;
                        counts.delivered += 1;
                        *expected = number + 1;
                    }
                    Ok(())
                }
                packet => Err(unexpected(&packet)),
            })?;
            pair.open = true;
        }
        link.flush()
    }

    /// Sends as much as the publisher may.
    fn fill(&mut self, number: usize) -> Result<()> {
        let pair = &mut self.pairs[number];
        if !self.publishing || !pair.open {
            return Ok(());
        }
        pair.open = false;
        let Publisher { link, publish, next_id, next_number, unacked } = &mut pair.publisher;
        let online = pair.subscriber.link.is_some();
        let before = unacked.len();
        while unacked.len() < self.shape.in_flight
            && (!online || *next_number - pair.subscriber.expected < BEHIND_MAX)
        {
            link.push(publish.numbered(*next_id, *next_number));
            unacked.push_back((*next_id, Instant::now()));
            *next_id = if *next_id == u16::MAX { 1 } else { *next_id + 1 };
            *next_number += 1;
        }
        self.counts.sent += (unacked.len() - before) as u64;
        if unacked.len() > before { link.flush() } else { Ok(()) }
    }
}

fn unexpected(packet: &Packet) -> Error {
    match packet {
        Packet::ConnAck(code) => Error::other(format!("CONNECT was refused: {code}")),
        Packet::SubAck(code) => Error::other(format!("SUBSCRIBE was refused: {code}")),
        Packet::Publish(..) | Packet::PubAck(_) => Error::other("a packet in the wrong place"),
        Packet::Other(first) => Error::other(format!("unexpected packet {first:#04x}")),
    }
}
