//! Turns: inputs in, outputs carried out, the store before everything else. Must not know packets.

use std::io::IoSlice;

use martlet_engine::{ConnId, Input, Outputs, ShardId, TransportEnd};

use super::{Event, First, Rig};

/// Turns after which a script that still is not quiet will never be.
const TURNS_MAX: u64 = 200_000;

impl Rig {
    /// Runs turns until nobody has anything left to do.
    pub(crate) fn settle(&mut self) {
        let limit = self.turns + TURNS_MAX;
        loop {
            self.take_store_events();
            let busy: Vec<usize> = (0..self.nodes.len()).filter(|n| self.has_work(*n)).collect();
            for node in &busy {
                self.turn(*node);
                assert!(self.turns < limit, "the shards do not come to rest");
            }
            if busy.is_empty() && (!self.auto || !self.store.do_everything()) {
                return;
            }
        }
    }

    fn take_store_events(&mut self) {
        for (shard, event) in self.store.take_events() {
            self.nodes[shard].events.push_back(Event::Store(event));
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
        if self.first == First::Events {
            self.read_clients(n);
        }
        self.step(n, Input::TurnEnd);
        self.nodes[n].shard.check_invariants();
        let mut out = std::mem::take(&mut self.nodes[n].out);
        self.carry_out(n, &mut out);
        // What the writes brought about stands in the new outputs, to be carried out a turn later.
        self.nodes[n].more |= out.more | self.nodes[n].out.more;
    }

    pub(super) fn step(&mut self, n: usize, input: Input<'_>) {
        let node = &mut self.nodes[n];
        node.shard.step(self.now, input, &mut node.out);
    }

    fn take_event(&mut self, n: usize, event: Event) {
        match event {
            Event::Mail(mail) => self.step(n, Input::Mail(mail)),
            Event::Store(event) => self.step(n, Input::Store(event)),
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
                if let Some((node, conn)) = self.clients[&name].at
                    && node == n
                {
                    self.write(n, conn);
                }
            }
        }
    }

    fn number(&mut self, n: usize, name: &str) -> ConnId {
        let node = &mut self.nodes[n];
        node.next_conn += 1;
        let conn = ConnId(node.next_conn);
        node.conns.insert(conn, name.to_owned());
        self.clients.get_mut(name).expect("a client has opened it").at = Some((n, conn));
        conn
    }

    fn close_transport(&mut self, n: usize, name: &str, end: TransportEnd) {
        if let Some((node, conn)) = self.clients[name].at
            && node == n
        {
            self.step(n, Input::Closed { conn, end });
            self.release(n, conn);
        }
    }

    /// The transport has gone from this shard. Its client's name, unless that has a newer one.
    fn release(&mut self, n: usize, conn: ConnId) -> Option<String> {
        let name = self.nodes[n].conns.remove(&conn)?;
        let client = self.clients.get_mut(&name).expect("known");
        (client.at == Some((n, conn))).then(|| {
            client.at = None;
            name
        })
    }

    /// Gives the shard what its clients have sent, in the order of sending.
    fn read_clients(&mut self, n: usize) {
        let mut read = Vec::new();
        for (conn, name) in &self.nodes[n].conns {
            let client = self.clients.get_mut(name).expect("known");
            if client.at != Some((n, *conn)) || client.paused || client.to_server.is_empty() {
                continue;
            }
            read.push((client.sent_at, *conn, client.to_server.drain(..).collect::<Vec<u8>>()));
        }
        read.sort_by_key(|(at, ..)| *at);
        for (_, conn, bytes) in read {
            self.step(n, Input::Bytes { conn, bytes: &bytes });
        }
    }

    /// Store, mail, writes, closes, moves: in this order.
    fn carry_out(&mut self, n: usize, out: &mut Outputs) {
        let shard = ShardId(n as u16);
        for batch in out.store.drain(..) {
            self.store.submit(shard, batch);
        }
        for load in out.loads.drain(..) {
            self.store.load(shard, load);
        }
        for (to, mail) in out.mail.drain(..) {
            self.nodes[usize::from(to.0)].events.push_back(Event::Mail(mail));
        }
        for conn in out.dirty.drain(..) {
            self.write(n, conn);
        }
        for conn in out.close.drain(..) {
            self.write(n, conn);
            if let Some(name) = self.release(n, conn) {
                self.clients.get_mut(&name).expect("known").closed = true;
            }
        }
        for (conn, to, moved) in out.moves.drain(..) {
            if let Some(name) = self.release(n, conn) {
                self.nodes[usize::from(to.0)].events.push_back(Event::Adopted(name, moved));
            }
        }
        for (ids, paused) in [(&out.pause, true), (&out.resume, false)] {
            for conn in ids {
                if let Some(name) = self.nodes[n].conns.get(conn) {
                    self.clients.get_mut(name).expect("known").paused = paused;
                }
            }
        }
        out.log.clear();
    }

    /// One write of a connection, as much as the client's side takes.
    fn write(&mut self, n: usize, conn: ConnId) {
        let Some(name) = self.nodes[n].conns.get(&conn).cloned() else { return };
        let client = self.clients.get_mut(&name).expect("known");
        if client.at != Some((n, conn)) {
            return;
        }
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
