//! One transport: a byte pipe in each direction, which can be cut at any byte. It remembers the
//! packets that were written to it. Must not know shards and clients.

use std::collections::VecDeque;

use martlet_engine::ConnId;
use martlet_proto::{Framing, Packet, Sender, Version, decode, frame};

/// A direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    ToServer,
    ToClient,
}

/// Where a transport breaks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cut {
    /// The direction whose bytes are counted.
    pub(crate) way: Way,
    /// It breaks when so many bytes have arrived.
    pub(crate) after: usize,
    /// Whether what is under way in the other direction still arrives.
    pub(crate) rest_arrives: bool,
    /// Whether the server learns of it; otherwise it has a dead connection until it is told.
    pub(crate) server_learns: bool,
}

/// A packet that was written whole to a transport.
#[derive(Debug, Clone)]
pub(crate) struct Crossing {
    pub(crate) way: Way,
    version: Version,
    pub(crate) bytes: Vec<u8>,
}

impl Crossing {
    pub(crate) fn packet(&self) -> Packet<'_> {
        let Ok(Framing::Complete(frame)) = frame(&self.bytes, usize::MAX) else {
            panic!("cut out as a whole packet")
        };
        let sender = match self.way {
            Way::ToServer => Sender::Client,
            Way::ToClient => Sender::Server,
        };
        let packet = decode(&frame, self.version, sender);
        packet.unwrap_or_else(|error| panic!("{sender:?} sent {:02x?}: {error}", self.bytes))
    }
}

/// A transport.
#[derive(Debug)]
pub(crate) struct Link {
    pub(super) client: &'static str,
    version: Version,
    queues: [VecDeque<u8>; 2],
    /// Where the server's end is.
    pub(super) at: Option<(usize, ConnId)>,
    /// The server does not read.
    pub(super) paused: bool,
    pub(super) closed_by_client: bool,
    pub(super) closed_by_server: bool,
    /// The cut has happened.
    broken: bool,
    /// The server is to learn of the cut.
    pub(super) reset: bool,
    cut: Option<Cut>,
    /// Bytes that arrived in the direction of the cut since it was ordered.
    counted: usize,
    partial: [Vec<u8>; 2],
    crossings: Vec<Crossing>,
}

impl Link {
    pub(super) fn new(client: &'static str, version: Version) -> Self {
        Self {
            client,
            version,
            queues: [VecDeque::new(), VecDeque::new()],
            at: None,
            paused: false,
            closed_by_client: false,
            closed_by_server: false,
            broken: false,
            reset: false,
            cut: None,
            counted: 0,
            partial: [Vec::new(), Vec::new()],
            crossings: Vec::new(),
        }
    }

    pub(super) fn order_cut(&mut self, cut: Cut) {
        self.cut = Some(cut);
        self.counted = 0;
    }

    /// The cut whose position is reached.
    pub(super) fn due_cut(&self) -> Option<Cut> {
        self.cut.filter(|cut| !self.broken && self.counted >= cut.after)
    }

    pub(super) fn queued(&self, way: Way) -> usize {
        self.queues[way as usize].len()
    }

    pub(super) fn crossings(&self) -> &[Crossing] {
        &self.crossings
    }

    pub(super) fn write(&mut self, way: Way, bytes: &[u8]) {
        if self.broken {
            return;
        }
        self.queues[way as usize].extend(bytes);
        let partial = &mut self.partial[way as usize];
        partial.extend_from_slice(bytes);
        loop {
            match frame(partial, usize::MAX) {
                Ok(Framing::Complete(frame)) => {
                    let rest = partial.split_off(frame.len);
                    let bytes = std::mem::replace(partial, rest);
                    let crossing = Crossing { way, version: self.version, bytes };
                    crossing.packet();
                    self.crossings.push(crossing);
                }
                Ok(Framing::Incomplete { .. }) => return,
                Err(error) => panic!("{way:?}: {partial:02x?}: {error}"),
            }
        }
    }

    /// Up to `count` bytes arrive, but none beyond the cut.
    pub(super) fn read(&mut self, way: Way, count: usize) -> Vec<u8> {
        let mut count = count.min(self.queued(way));
        if let Some(cut) = self.cut.filter(|cut| cut.way == way) {
            count = count.min(cut.after - self.counted);
            self.counted += count;
        }
        self.queues[way as usize].drain(..count).collect()
    }

    /// The transport breaks: what is under way is lost, but for what the cut spares.
    pub(super) fn break_off(&mut self) -> Option<(Way, Vec<u8>)> {
        self.broken = true;
        self.reset = self.cut.is_some_and(|cut| cut.server_learns);
        let [to_server, to_client] = std::mem::take(&mut self.queues);
        let cut = self.cut.filter(|cut| cut.rest_arrives)?;
        let rest = match cut.way {
            Way::ToServer => (Way::ToClient, to_client.into()),
            Way::ToClient => (Way::ToServer, to_server.into()),
        };
        Some(rest)
    }
}
