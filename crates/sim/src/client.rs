//! A simulated client: a small model of its own on the bare protocol, so that it can also be slow,
//! rude or absent. It tells the oracles what it sends and sees. Must not know the broker's insides.

mod acts;
mod connect;
mod publish;
mod receive;
mod topics;

use std::collections::{BTreeMap, VecDeque};

use martlet_proto::{Packet, Qos, ReasonCode, Version};

use crate::oracle::{Book, Credentials};
use crate::plan::Plan;
use crate::random::Random;
use crate::wire::ClientRead;
use crate::world::World;

pub use topics::{GROUP_TOPICS, PLAIN_TOPICS, all_topics};

/// Everything a client needs to act.
#[derive(Debug)]
pub struct Stage<'a> {
    /// The broker and the transports.
    pub world: &'a mut World,
    /// The oracles.
    pub book: &'a mut Book,
    /// Chance.
    pub random: &'a mut Random,
    /// The plan of the run.
    pub plan: &'a Plan,
}

/// When a client acknowledges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AckPolicy {
    /// At once.
    Prompt,
    /// When it comes to it.
    Late,
    /// Not before the finale.
    Never,
}

/// What a client is like.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Its protocol.
    pub version: Version,
    /// Percent of its connections that ask for a clean start.
    pub clean_percent: usize,
    /// Its Session Expiry Interval (version 5).
    pub expiry_s: u32,
    /// Its Keep Alive.
    pub keep_alive_s: u16,
    /// Its Receive Maximum (version 5).
    pub receive_max: Option<u16>,
    /// Its Topic Alias Maximum (version 5).
    pub alias_max: Option<u16>,
    /// Its Maximum Packet Size (version 5).
    pub packet_size_max: Option<u32>,
    /// When it acknowledges.
    pub acks: AckPolicy,
    /// Percent of its connections over which it does not wait for CONNACK.
    pub early_percent: usize,
    /// It authenticates by AUTH packets (version 5, with the port).
    pub enhanced: bool,
    /// Nothing bad happens to it, and it sees everything.
    pub is_monitor: bool,
}

/// An answer that the client owes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owed {
    /// PUBACK.
    Ack(u16),
    /// PUBREC.
    Receipt(u16),
    /// PUBCOMP.
    Completion(u16),
}

/// Where a message from the broker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// PUBLISH was read; its acknowledgement was not sent.
    Unanswered,
    /// PUBREC was sent.
    Received,
}

/// A QoS 1 or 2 message from the broker that is not finished.
#[derive(Debug, Clone, Copy)]
struct Incoming {
    id: u16,
    qos: Qos,
    /// `None`: not a message of the run.
    message: Option<u32>,
    progress: Progress,
    /// Without a topic alias it would be too large: when the connection ends, the broker drops it.
    is_fragile: bool,
}

/// A QoS 1 or 2 message to the broker that is not finished.
#[derive(Debug, Clone, Copy)]
struct Outgoing {
    id: u16,
    message: u32,
    /// The wire of the first transmission.
    wire: usize,
    /// PUBREC was read: PUBREL is due or sent.
    released: bool,
}

/// What the client keeps between connections.
#[derive(Debug, Default)]
struct Memory {
    incoming: Vec<Incoming>,
    /// The message last finished under each identifier.
    finished: BTreeMap<u16, Option<u32>>,
    /// Identifiers of messages that the broker may have dropped, or sends again.
    fragile: Vec<u16>,
    outgoing: Vec<Outgoing>,
    next_id: u16,
    /// Which broker it spoke to last.
    life: u64,
    /// Which session that is, in the book.
    session: Option<usize>,
}

/// A connection as its client sees it.
#[derive(Debug)]
struct Link {
    wire: usize,
    /// CONNACK with success was read.
    open: bool,
    inbox: Vec<u8>,
    /// Which broker that is.
    life: u64,
    owed: VecDeque<Owed>,
    /// Subscription changes without an answer.
    asked: Vec<u16>,
    aliases_in: BTreeMap<u16, String>,
    aliases_out: Vec<&'static str>,
    alias_out_max: u16,
    receive_max: u16,
    keep_alive_s: u16,
    /// The session was there before.
    resumed: bool,
    /// Position in `incoming` of the last message that was sent again.
    resent: Option<usize>,
    /// A message that was not sent before has come: nothing is sent again any more.
    fresh_came: bool,
    /// The reason in the last packet that was read, if it was DISCONNECT or a refusing CONNACK.
    said: Option<ReasonCode>,
    sent_ms: u64,
    /// DISCONNECT was sent, or the transport ended: nothing more is sent.
    closing: bool,
    credentials: Credentials,
    /// The method of an enhanced authentication.
    method: bool,
    /// A re-authentication goes on.
    reauthenticating: bool,
    /// QoS 0 messages and where in the stream they end.
    unsure: Vec<(u32, u64)>,
}

/// A client.
#[derive(Debug)]
pub struct Client {
    /// Its number in the book.
    pub number: usize,
    /// Its identifier.
    pub id: String,
    /// What it is like.
    pub profile: Profile,
    link: Option<Link>,
    /// Connections that were taken over and are still being read.
    old_links: Vec<Link>,
    memory: Memory,
    /// The finale: acknowledge promptly, start nothing new.
    pub finishing: bool,
}

impl Client {
    /// A client that has not connected.
    #[must_use]
    pub fn new(number: usize, id: String, profile: Profile) -> Self {
        Self {
            number,
            id,
            profile,
            link: None,
            old_links: Vec::new(),
            memory: Memory::default(),
            finishing: false,
        }
    }

    /// The wire of its connection.
    #[must_use]
    pub fn wire(&self) -> Option<usize> {
        self.link.as_ref().map(|link| link.wire)
    }

    /// Whether it has read CONNACK with success, and its connection goes on.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.link.as_ref().is_some_and(|link| link.open && !link.closing)
    }

    /// Whether nothing is unfinished between it and the broker, as far as it knows.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        self.old_links.is_empty()
            && self.link.as_ref().is_some_and(|link| {
                link.open
                    && !link.closing
                    && link.inbox.is_empty()
                    && link.owed.is_empty()
                    && link.asked.is_empty()
                    && !link.reauthenticating
            })
            && self.memory.incoming.is_empty()
            && self.memory.outgoing.is_empty()
    }

    /// Its messages over this connection without an answer, and whether that would be PUBCOMP.
    #[must_use]
    pub fn unanswered(&self) -> Vec<(u32, bool)> {
        let resumed = self.link.as_ref().is_some_and(|link| link.resumed);
        let here = |outgoing: &&Outgoing| resumed || Some(outgoing.wire) == self.wire();
        let outgoing = self.memory.outgoing.iter().filter(here);
        outgoing.map(|outgoing| (outgoing.message, outgoing.released)).collect()
    }

    /// What is unfinished, for a person.
    #[must_use]
    pub fn unfinished(&self) -> String {
        let link = self.link.as_ref().map(|link| {
            let Link { wire, open, closing, asked, owed, resumed, .. } = link;
            let inbox = link.inbox.len();
            format!(
                "wire {wire} open {open} closing {closing} resumed {resumed} \
                 asked {asked:?} owed {owed:?} inbox {inbox} bytes"
            )
        });
        let Memory { incoming, outgoing, .. } = &self.memory;
        let old = self.old_links.len();
        format!("{}: {link:?}, {old} old, in {incoming:?}, out {outgoing:?}", self.id)
    }

    /// Writes a packet to the current connection; returns where in the stream it ends.
    fn send(&mut self, stage: &mut Stage<'_>, packet: &Packet<'_>) -> u64 {
        let version = self.profile.version;
        let Some(link) = &mut self.link else { return 0 };
        let mut bytes = Vec::new();
        packet.put(version, &mut bytes);
        link.sent_ms = stage.world.time_ms();
        let (step, wire) = (stage.world.step, link.wire);
        stage.world.trace.line(step, format_args!("{} wire {wire} sends {packet:?}", self.id));
        stage.world.wires[wire].client_writes(&bytes)
    }

    /// Reads up to `count` bytes of one of its connections, and acts on them.
    pub fn read(&mut self, stage: &mut Stage<'_>, wire: usize, count: usize) {
        stage.world.step += 1;
        stage.book.step = stage.world.step;
        let read = stage.world.wires[wire].client_reads(count);
        stage.world.unblock(wire);
        match read {
            ClientRead::Nothing => {}
            ClientRead::Bytes(bytes) => {
                stage.world.trace.numbers(&[stage.world.step, wire as u64, bytes.len() as u64]);
                match self.link.as_mut().filter(|link| link.wire == wire) {
                    Some(link) => {
                        link.inbox.extend(bytes);
                        self.take_packets(stage);
                    }
                    None => self.take_old_packets(stage, wire, &bytes),
                }
            }
            ClientRead::End => self.end_of(stage, wire),
        }
    }

    /// The server has ended a connection.
    fn end_of(&mut self, stage: &mut Stage<'_>, wire: usize) {
        let ended = match self.link.take_if(|link| link.wire == wire) {
            Some(link) => Some(link),
            None => {
                let at = self.old_links.iter().position(|link| link.wire == wire);
                at.map(|at| self.old_links.remove(at))
            }
        };
        let Some(link) = ended else { return };
        self.forget_early(&link);
        let step = stage.world.step;
        stage.world.trace.line(step, format_args!("{} reads the end of wire {wire}", self.id));
        stage.book.end_was_read(wire, &stage.world.wires[wire], link.said);
        self.end_own_side(stage, wire);
    }

    /// Closes the client's side, so that the wire is finished.
    fn end_own_side(&mut self, stage: &mut Stage<'_>, wire: usize) {
        stage.world.wires[wire].client_ends(crate::wire::ClientEnd::Fin, 0);
    }

    /// Ends the connections that wait to be taken over.
    pub fn leave_old_links(&mut self, stage: &mut Stage<'_>) {
        for link in &self.old_links {
            stage.world.wires[link.wire].client_ends(crate::wire::ClientEnd::Fin, 0);
        }
    }

    /// The connections that can be read now.
    pub fn readable(&self, world: &World) -> Vec<usize> {
        let links = self.link.iter().chain(&self.old_links).map(|link| link.wire);
        links.filter(|wire| world.wires[*wire].client_can_read()).collect()
    }
}
