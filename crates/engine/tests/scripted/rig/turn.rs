//! Turns: inputs in, outputs carried out. Must not know packets.

use std::io::IoSlice;

use martlet_engine::{ConnId, Input, Outputs, TransportEnd};

use super::{Chunks, Event, First, Rig};

/// Turns after which a script that still is not quiet will never be.
const TURNS_MAX: u64 = 200_000;

/// What is sent byte by byte takes about so many reads at most: then larger pieces come.
const SINGLE_READS: usize = 500;

impl Rig {
    /// Runs turns until no shard has anything left to do.
    pub(crate) fn settle(&mut self) {
        let limit = self.turns + TURNS_MAX;
        loop {
            let busy: Vec<usize> = (0..self.nodes.len()).filter(|n| self.has_work(*n)).collect();
            if busy.is_empty() {
                break;
            }
            for node in busy {
                self.turn(node);
                assert!(self.turns < limit, "the shards do not come to rest");
            }
        }
        for node in &self.nodes {
            node.shard.check_invariants();
        }
    }

    /// Runs single turns, shard after shard, until a client has got something.
    pub(crate) fn settle_until_answered(&mut self, name: &str) {
        for n in (0..self.nodes.len()).cycle().take(1000) {
            if self.client(name).inbox_len() > 0 {
                return;
            }
            if self.has_work(n) {
                self.turn(n);
            }
        }
        panic!("{name} got nothing");
    }

    /// One turn for each shard that has anything to do.
    pub(crate) fn turn_each(&mut self) {
        for n in 0..self.nodes.len() {
            if self.has_work(n) {
                self.turn(n);
            }
        }
    }

    fn has_work(&self, n: usize) -> bool {
        let node = &self.nodes[n];
        let is_due = node.shard.next_deadline_ms().is_some_and(|due| due <= self.now.mono_ms);
        let is_readable = |name: &String| {
            let client = &self.clients[name];
            !client.paused && !client.to_server.is_empty()
        };
        node.more || is_due || !node.events.is_empty() || node.conns.values().any(is_readable)
    }

    /// One turn of one shard.
    fn turn(&mut self, n: usize) {
        self.turns += 1;
        self.nodes[n].more = false;
        let events = std::mem::take(&mut self.nodes[n].events);
        if self.first == First::Clients {
            self.read_clients(n);
        }
        for event in events {
            self.take_event(n, event);
        }
        if self.first == First::Mail {
            self.read_clients(n);
        }
        self.step(n, Input::TurnEnd);
        let mut out = std::mem::take(&mut self.nodes[n].out);
        self.carry_out(n, &mut out);
        // What the writes brought about stands in the new outputs, to be carried out a turn later.
        self.nodes[n].more |= out.more | self.nodes[n].out.more;
    }

    fn step(&mut self, n: usize, input: Input<'_>) {
        let node = &mut self.nodes[n];
        node.shard.step(self.now, input, &mut node.out);
    }

    fn take_event(&mut self, n: usize, event: Event) {
        match event {
            Event::Mail(mail) => self.step(n, Input::Mail(mail)),
            Event::Opened(name) => {
                let conn = self.number(n, &name);
                self.step(n, Input::Opened { conn, peer: None });
            }
            Event::Adopted(name, moved) => {
                let conn = self.number(n, &name);
                self.step(n, Input::Adopted { conn, moved });
            }
            Event::Closed(name, end) => self.close_transport(n, &name, end),
            Event::Writable(name) => {
                if let Some(conn) = self.conn_at(n, &name) {
                    self.write(n, conn);
                }
            }
            Event::Verdict(token, verdict) => self.step(n, Input::Verdict { token, verdict }),
            Event::Shutdown => self.step(n, Input::Shutdown),
        }
    }

    /// A number for a connection: a used one as soon as that is allowed.
    fn number(&mut self, n: usize, name: &str) -> ConnId {
        let turns = self.turns;
        let node = &mut self.nodes[n];
        let conn = match node.free.pop_front_if(|(freed, _)| *freed < turns) {
            Some((_, conn)) => conn,
            None => {
                node.next_conn += 1;
                ConnId(node.next_conn - 1)
            }
        };
        node.conns.insert(conn, name.to_owned());
        self.clients.get_mut(name).expect("a client has opened it").at = Some((n, conn));
        conn
    }

    fn conn_at(&self, n: usize, name: &str) -> Option<ConnId> {
        let (node, conn) = self.clients[name].at?;
        (node == n).then_some(conn)
    }

    fn close_transport(&mut self, n: usize, name: &str, end: TransportEnd) {
        if let Some(conn) = self.conn_at(n, name) {
            self.step(n, Input::Closed { conn, end });
            self.release(n, conn);
        }
    }

    /// The transport has gone from this shard.
    fn release(&mut self, n: usize, conn: ConnId) -> String {
        let turns = self.turns;
        let node = &mut self.nodes[n];
        let name = node.conns.remove(&conn).expect("the shard names its own connections");
        node.free.push_back((turns, conn));
        self.clients.get_mut(&name).expect("known").at = None;
        name
    }

    /// Gives the shard what its clients have sent, one read for each, in the order of sending.
    fn read_clients(&mut self, n: usize) {
        let mut read = Vec::new();
        for (conn, name) in &self.nodes[n].conns {
            let client = self.clients.get_mut(name).expect("known");
            if client.paused || client.to_server.is_empty() {
                continue;
            }
            let at = client.sent_at;
            let count = match self.chunks {
                Chunks::Whole => client.to_server.len(),
                Chunks::Single => client.to_server.len().div_ceil(SINGLE_READS),
            };
            read.push((at, *conn, client.to_server.drain(..count).collect::<Vec<u8>>()));
        }
        read.sort_by_key(|(at, ..)| *at);
        for (_, conn, bytes) in read {
            self.step(n, Input::Bytes { conn, bytes: &bytes });
        }
    }

    /// Mail, writes, closes, moves, log: in this order.
    fn carry_out(&mut self, n: usize, out: &mut Outputs) {
        for (to, mail) in out.mail.drain(..) {
            self.nodes[usize::from(to.0)].events.push_back(Event::Mail(mail));
        }
        for conn in out.dirty.drain(..) {
            self.write(n, conn);
        }
        for conn in out.close.drain(..) {
            self.write(n, conn);
            let name = self.release(n, conn);
            self.clients.get_mut(&name).expect("known").closed = true;
        }
        for (conn, to, moved) in out.moves.drain(..) {
            let name = self.release(n, conn);
            self.nodes[usize::from(to.0)].events.push_back(Event::Adopted(name, moved));
        }
        for (ids, paused) in [(&out.pause, true), (&out.resume, false)] {
            for conn in ids {
                if let Some(name) = self.nodes[n].conns.get(conn) {
                    self.clients.get_mut(name).expect("known").paused = paused;
                }
            }
        }
        self.asked.extend(out.auth.drain(..).map(|request| (n, request)));
        self.log.append(&mut out.log);
    }

    /// One write of a connection, as much as the client's side takes.
    fn write(&mut self, n: usize, conn: ConnId) {
        let Some(name) = self.nodes[n].conns.get(&conn).cloned() else { return };
        let client = self.clients.get_mut(&name).expect("known");
        let Some(outbox) = self.nodes[n].shard.outbox(conn) else { return };
        let mut slices = [IoSlice::new(&[]); 4];
        let filled = outbox.slices(&mut slices);
        let mut written = 0;
        for slice in &slices[..filled] {
            let taken = slice.len().min(client.window - written);
            client.raw.extend_from_slice(&slice[..taken]);
            written += taken;
        }
        let left = outbox.len() - written;
        if client.window != usize::MAX {
            client.window -= written;
        }
        if left > 0 && client.window > 0 {
            self.nodes[n].events.push_back(Event::Writable(name));
        }
        if written > 0 {
            client.take_packets();
            self.step(n, Input::Wrote { conn, bytes: written });
        }
    }
}
