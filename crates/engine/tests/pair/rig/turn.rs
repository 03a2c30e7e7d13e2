//! Who is next: a shard's turn with its inputs and outputs, or a client's read. Must not know
//! packets.

use std::io::IoSlice;

use martlet_engine::{Cause, ConnId, Input, LogEvent, Outputs, TransportEnd};

use super::link::{Cut, Way};
use super::{Event, Rig};

/// Turns after which a script that still is not quiet will never be.
const TURNS_MAX: u64 = 500_000;

#[derive(Debug, Clone, Copy)]
enum Actor {
    Shard(usize),
    /// The client's end of a transport.
    Client(usize),
}

impl Rig {
    /// Runs until nobody has anything left to do.
    pub(crate) fn settle(&mut self) {
        let limit = self.turns + TURNS_MAX;
        loop {
            let shards = (0..self.nodes.len()).filter(|n| self.has_work(*n)).map(Actor::Shard);
            let links = (0..self.links.len()).filter(|link| self.is_readable(*link));
            let actors: Vec<Actor> = shards.chain(links.map(Actor::Client)).collect();
            if actors.is_empty() {
                break;
            }
            match actors[self.random.below(actors.len())] {
                Actor::Shard(n) => self.turn(n),
                Actor::Client(link) => self.client_reads(link),
            }
            self.turns += 1;
            assert!(self.turns < limit, "no rest is found");
        }
        for node in &self.nodes {
            node.shard.check_invariants();
        }
    }

    fn has_work(&self, n: usize) -> bool {
        let node = &self.nodes[n];
        let is_due = node.shard.next_deadline_ms().is_some_and(|due| due <= self.now.mono_ms);
        let is_readable = |link: &usize| {
            let link = &self.links[*link];
            !link.paused && (link.queued(Way::ToServer) > 0 || link.closed_by_client)
        };
        !self.broker_hangs
            && (node.more
                || is_due
                || !node.events.is_empty()
                || node.conns.values().any(is_readable))
    }

    fn is_readable(&self, link: usize) -> bool {
        let pipe = &self.links[link];
        let client = &self.clients[pipe.client];
        client.link == Some(link)
            && !client.hangs
            && (pipe.queued(Way::ToClient) > 0 || pipe.closed_by_server)
    }

    fn piece(&mut self, len: usize) -> usize {
        match self.piece {
            Some(piece) => piece.min(len),
            None => self.random.piece(len),
        }
    }

    /// One read of a client.
    fn client_reads(&mut self, link: usize) {
        let (name, queued) = (self.links[link].client, self.links[link].queued(Way::ToClient));
        if queued == 0 {
            self.client(name).closed();
            return;
        }
        let count = self.piece(queued);
        let bytes = self.links[link].read(Way::ToClient, count);
        self.give_client(name, &bytes);
        self.cut_if_due(link);
    }

    fn give_client(&mut self, name: &'static str, bytes: &[u8]) {
        let now_ms = self.now.mono_ms;
        let (answer, end) = self.client(name).receive(now_ms, bytes);
        self.sent_by_client(name, &answer, end.is_some());
    }

    /// What a client has written; afterwards it closes the transport if its connection is over.
    pub(super) fn sent_by_client(&mut self, name: &'static str, bytes: &[u8], is_over: bool) {
        let Some(link) = self.client(name).link else { return };
        self.links[link].write(Way::ToServer, bytes);
        if is_over {
            self.links[link].closed_by_client = true;
            self.client(name).closed();
        }
    }

    /// Breaks the transport if it is to break here.
    pub(super) fn cut_if_due(&mut self, link: usize) {
        let Some(Cut { server_learns, .. }) = self.links[link].due_cut() else { return };
        let is_current = self.clients[self.links[link].client].link == Some(link);
        let (name, at) = (self.links[link].client, self.links[link].at);
        match self.links[link].break_off() {
            Some((Way::ToClient, bytes)) if is_current => {
                self.give_client(name, &bytes);
            }
            Some((Way::ToServer, bytes)) => {
                if let Some((n, conn)) = at {
                    self.step(n, Input::Bytes { conn, bytes: &bytes });
                    self.nodes[n].more = true;
                }
            }
            _ => {}
        }
        if self.client(name).link == Some(link) {
            self.client(name).closed();
        }
        if server_learns && let Some((n, _)) = at {
            self.nodes[n].events.push_back(Event::Closed(link, TransportEnd::Reset));
        }
    }

    /// One turn of one shard.
    fn turn(&mut self, n: usize) {
        self.nodes[n].more = false;
        for event in std::mem::take(&mut self.nodes[n].events) {
            self.take_event(n, event);
        }
        for (conn, link) in self.nodes[n].conns.clone() {
            self.read(n, conn, link);
        }
        self.step(n, Input::TurnEnd);
        let mut out = std::mem::take(&mut self.nodes[n].out);
        self.carry_out(n, &mut out);
        // What the writes brought about stands in the new outputs, for the next turn.
        self.nodes[n].more |= out.more | self.nodes[n].out.more;
    }

    pub(super) fn step(&mut self, n: usize, input: Input<'_>) {
        let node = &mut self.nodes[n];
        node.shard.step(self.now, input, &mut node.out);
    }

    fn read(&mut self, n: usize, conn: ConnId, link: usize) {
        let pipe = &mut self.links[link];
        if pipe.paused {
            return;
        }
        let queued = pipe.queued(Way::ToServer);
        if queued > 0 {
            let count = self.piece(queued);
            let bytes = self.links[link].read(Way::ToServer, count);
            self.step(n, Input::Bytes { conn, bytes: &bytes });
            self.cut_if_due(link);
        } else if pipe.closed_by_client {
            self.close_transport(n, link, TransportEnd::Eof);
        }
    }

    fn take_event(&mut self, n: usize, event: Event) {
        match event {
            Event::Mail(mail) => self.step(n, Input::Mail(mail)),
            Event::Opened(link) => {
                let conn = self.number(n, link);
                self.step(n, Input::Opened { conn, peer: None });
                self.reset_if_broken(n, link);
            }
            Event::Adopted(link, moved) => {
                let conn = self.number(n, link);
                self.step(n, Input::Adopted { conn, moved });
                self.reset_if_broken(n, link);
            }
            Event::Closed(link, end) => self.close_transport(n, link, end),
            Event::Writable(link) => {
                if let Some((node, conn)) = self.links[link].at
                    && node == n
                {
                    self.write(n, conn, false);
                }
            }
            Event::Verdict(token, verdict) => self.step(n, Input::Verdict { token, verdict }),
        }
    }

    /// A number for a connection: a used one as soon as that is allowed.
    fn number(&mut self, n: usize, link: usize) -> ConnId {
        let turns = self.turns;
        let node = &mut self.nodes[n];
        let conn = match node.free.pop_front_if(|(freed, _)| *freed < turns) {
            Some((_, conn)) => conn,
            None => {
                node.next_conn += 1;
                ConnId(node.next_conn - 1)
            }
        };
        node.conns.insert(conn, link);
        self.links[link].at = Some((n, conn));
        conn
    }

    /// The transport broke before this shard had it.
    fn reset_if_broken(&mut self, n: usize, link: usize) {
        if self.links[link].reset {
            self.close_transport(n, link, TransportEnd::Reset);
        }
    }

    fn close_transport(&mut self, n: usize, link: usize, end: TransportEnd) {
        if let Some((node, conn)) = self.links[link].at
            && node == n
        {
            self.step(n, Input::Closed { conn, end });
            self.release(n, conn);
        }
    }

    /// The transport has gone from this shard, if it had not in the same turn already.
    fn release(&mut self, n: usize, conn: ConnId) -> Option<usize> {
        let turns = self.turns;
        let node = &mut self.nodes[n];
        let link = node.conns.remove(&conn)?;
        node.free.push_back((turns, conn));
        self.links[link].at = None;
        Some(link)
    }

    /// Mail, writes, closes, moves, log: in this order.
    fn carry_out(&mut self, n: usize, out: &mut Outputs) {
        for (to, mail) in out.mail.drain(..) {
            self.nodes[usize::from(to.0)].events.push_back(Event::Mail(mail));
        }
        for conn in out.dirty.drain(..) {
            self.write(n, conn, false);
        }
        for conn in out.close.drain(..) {
            self.write(n, conn, true);
            if let Some(link) = self.release(n, conn) {
                self.links[link].closed_by_server = true;
            }
        }
        for (conn, to, moved) in out.moves.drain(..) {
            if let Some(link) = self.release(n, conn) {
                self.nodes[usize::from(to.0)].events.push_back(Event::Adopted(link, moved));
            }
        }
        for (ids, paused) in [(&out.pause, true), (&out.resume, false)] {
            for conn in ids {
                if let Some(link) = self.nodes[n].conns.get(conn) {
                    self.links[*link].paused = paused;
                }
            }
        }
        self.asked.extend(out.auth.drain(..).map(|request| (n, request)));
        out.log.drain(..).for_each(|event| check_log(&event));
    }

    /// One write of a connection: a piece, or as much as goes.
    fn write(&mut self, n: usize, conn: ConnId, all: bool) {
        let Some(link) = self.nodes[n].conns.get(&conn).copied() else { return };
        let Some(len) = self.nodes[n].shard.outbox(conn).map(|outbox| outbox.len()) else { return };
        if len == 0 {
            return;
        }
        let count = if all { len } else { self.piece(len) };
        let Some(outbox) = self.nodes[n].shard.outbox(conn) else { return };
        let mut slices = [IoSlice::new(&[]); 64];
        let filled = outbox.slices(&mut slices);
        let mut written = 0;
        for slice in &slices[..filled] {
            let taken = slice.len().min(count - written);
            self.links[link].write(Way::ToClient, &slice[..taken]);
            written += taken;
        }
        if written < len {
            self.nodes[n].events.push_back(Event::Writable(link));
        }
        self.step(n, Input::Wrote { conn, bytes: written });
    }
}

/// The broker never has reason to accuse a client of the client role.
fn check_log(event: &LogEvent) {
    if let LogEvent::Disconnected { cause, .. } | LogEvent::Refused { cause, .. } = event {
        assert!(!matches!(cause, Cause::Malformed(_) | Cause::Violation(_)), "{event}");
    }
}
