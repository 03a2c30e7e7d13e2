//! The broker in a box: its shards, their mailboxes, the transports and the time. Turns of the
//! shards run in whatever order the caller chooses; between two outputs of one turn others may run.
//! Must not know clients or oracles: it keeps the broker's log for them.

use std::io::IoSlice;

use martlet_engine::{
    AuthMode, AuthRequest, ConnId, Input, LogEvent, Now, Shard, ShardConfig, ShardId, TransportEnd,
};

use crate::host::{Chore, Host, Letter};
use crate::plan::Plan;
use crate::random::Random;
use crate::trace::Trace;
use crate::wire::{ClientEnd, Place, Wire};

/// The broker and all transports to it.
#[derive(Debug)]
pub struct World {
    /// The shards.
    pub hosts: Vec<Host>,
    /// Every transport there ever was.
    pub wires: Vec<Wire>,
    /// Wires whose server side is not gone.
    pub live: Vec<usize>,
    /// The time.
    pub now: Now,
    /// Counts everything that happens.
    pub step: u64,
    /// Log events not yet taken by the oracles: shard, time, event.
    pub log: Vec<(usize, LogEvent)>,
    /// Wires whose end was told to a shard, with the step of its last turn and the time: the log
    /// says so only at the end of a turn.
    pub ends: Vec<(usize, u64, u64)>,
    /// Questions to the authentication port: shard and request.
    pub questions: Vec<(usize, AuthRequest)>,
    /// Hash and lines of the run.
    pub trace: Trace,
    whole_reads_percent: usize,
    /// Bytes that a transport holds towards a client before it blocks.
    pub pipe_bytes: usize,
    check_each_input: bool,
}

impl World {
    /// A broker as the plan says, and no connections.
    #[must_use]
    pub fn new(plan: &Plan, trace: Trace) -> Self {
        let host = |shard: u16| {
            let mut config = ShardConfig::new(ShardId(shard), plan.shards, plan.seed);
            config.limits = plan.limits.clone();
            config.auth = if plan.auth_port { AuthMode::Port } else { AuthMode::AllowAnonymous };
            config.sys_interval_ms = plan.sys_interval_ms;
            Host::new(Shard::new(config))
        };
        Self {
            hosts: (0..plan.shards).map(host).collect(),
            wires: Vec::new(),
            live: Vec::new(),
            now: Now { mono_ms: 1_000, wall_ms: 1_700_000_000_000 },
            step: 0,
            log: Vec::new(),
            ends: Vec::new(),
            questions: Vec::new(),
            trace,
            whole_reads_percent: plan.whole_reads_percent,
            pipe_bytes: plan.pipe_bytes,
            check_each_input: plan.check_each_input,
        }
    }

    /// A client opens a transport; some shard will accept it.
    pub fn open(&mut self, random: &mut Random) -> usize {
        let shard = random.below(self.hosts.len());
        self.wires.push(Wire::new(shard));
        self.live.push(self.wires.len() - 1);
        self.wires.len() - 1
    }

    /// Whether no shard has anything to do but to read.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.hosts.iter().all(|host| host.is_quiet(self.now.mono_ms))
    }

    /// Whether a turn (or a chore) of the shard would do anything.
    #[must_use]
    pub fn is_runnable(&self, shard: usize) -> bool {
        !self.hosts[shard].is_quiet(self.now.mono_ms)
            || self.live.iter().any(|wire| self.is_ready(shard, *wire))
    }

    /// Whether the shard would accept or read this wire.
    fn is_ready(&self, shard: usize, number: usize) -> bool {
        let wire = &self.wires[number];
        match wire.place {
            Place::Backlog(at) => at == shard,
            Place::At(at, _) if at == shard => {
                wire.client_end == Some(ClientEnd::Reset)
                    || !wire.paused && (wire.readable() > 0 || wire.client_end.is_some())
            }
            _ => false,
        }
    }

    /// When time alone makes something happen next.
    #[must_use]
    pub fn next_deadline_ms(&self) -> Option<u64> {
        self.hosts.iter().filter_map(|host| host.shard.next_deadline_ms()).min()
    }

    /// One chore of the shard, or a whole turn when there is none left.
    pub fn run(&mut self, shard: usize, random: &mut Random) {
        self.step += 1;
        match self.hosts[shard].chores.pop_front() {
            Some(chore) => self.carry_out(shard, chore, random),
            None => self.turn(shard, random),
        }
    }

    /// Carries out everything that is left of the shard's last turn.
    pub fn finish_chores(&mut self, shard: usize, random: &mut Random) {
        while let Some(chore) = self.hosts[shard].chores.pop_front() {
            self.step += 1;
            self.carry_out(shard, chore, random);
        }
    }

    fn turn(&mut self, shard: usize, random: &mut Random) {
        self.trace.numbers(&[self.step, shard as u64, self.now.mono_ms]);
        self.hosts[shard].more = false;
        self.hosts[shard].reuse_numbers();
        self.hosts[shard].turned = self.step;
        self.take_letters(shard);
        let mut ready: Vec<usize> =
            self.live.iter().copied().filter(|wire| self.is_ready(shard, *wire)).collect();
        while !ready.is_empty() {
            let wire = ready.swap_remove(random.below(ready.len()));
            self.serve(shard, wire, random);
        }
        self.input(shard, Input::TurnEnd);
        self.hosts[shard].shard.check_invariants();
        self.hosts[shard].turned_at_ms = self.now.mono_ms;
        self.collect(shard);
        self.live.retain(|wire| self.wires[*wire].place != Place::Gone);
    }

    /// All that is there, before any connection is read: a client's bytes may have been caused by
    /// what another shard had said before (a publisher that saw its acknowledgement told another
    /// one).
    fn take_letters(&mut self, shard: usize) {
        while let Some(letter) = self.hosts[shard].mailbox.pop_front() {
            match letter {
                Letter::Mail(mail) => self.input(shard, Input::Mail(mail)),
                Letter::Verdict(token, verdict) => {
                    self.input(shard, Input::Verdict { token, verdict });
                }
                Letter::Shutdown => self.input(shard, Input::Shutdown),
                Letter::Moved(wire, moved) => {
                    let conn = self.hosts[shard].number(wire);
                    self.wires[wire].place = Place::At(shard, conn);
                    self.input(shard, Input::Adopted { conn, moved });
                }
            }
        }
    }

    /// Accepts, reads or ends one wire.
    fn serve(&mut self, shard: usize, number: usize, random: &mut Random) {
        let conn = match self.wires[number].place {
            Place::Backlog(_) => {
                let conn = self.hosts[shard].number(number);
                self.wires[number].place = Place::At(shard, conn);
                self.input(shard, Input::Opened { conn, peer: Some(Wire::peer(number)) });
                conn
            }
            Place::At(_, conn) => conn,
            Place::Moving | Place::Gone => return,
        };
        // Several reads in one turn are rare but allowed.
        for _ in 0..random.pick(&[1, 1, 1, 1, 1, 1, 1, 2, 3]) {
            let wire = &mut self.wires[number];
            if wire.readable() > 0 && !(wire.paused && wire.client_end != Some(ClientEnd::Reset)) {
                let count = read_size(self.whole_reads_percent, random);
                let bytes = wire.server_reads(count, self.now.mono_ms);
                self.trace.numbers(&[number as u64, bytes.len() as u64]);
                self.trace.bytes(&bytes);
                self.input(shard, Input::Bytes { conn, bytes: &bytes });
            }
        }
        let wire = &self.wires[number];
        let end = match wire.client_end {
            Some(ClientEnd::Fin) if wire.readable() == 0 && !wire.paused => TransportEnd::Eof,
            Some(ClientEnd::Reset) if wire.readable() == 0 => TransportEnd::Reset,
            _ => return,
        };
        if random.chance(60) {
            self.transport_ended(shard, conn, end);
        }
    }

    fn transport_ended(&mut self, shard: usize, conn: ConnId, end: TransportEnd) {
        if let Some(wire) = self.hosts[shard].release(conn) {
            self.gone(wire);
            // What is in the mailbox by now comes later for the shard.
            let taken = self.hosts[shard].turned;
            self.ends.push((wire, taken, self.now.mono_ms));
            self.input(shard, Input::Closed { conn, end });
            self.hosts[shard].more = true;
        }
    }

    fn gone(&mut self, wire: usize) {
        self.wires[wire].place = Place::Gone;
        self.wires[wire].server_ended = true;
    }

    fn input(&mut self, shard: usize, input: Input<'_>) {
        let host = &mut self.hosts[shard];
        host.shard.step(self.now, input, &mut host.out);
        if self.check_each_input {
            host.shard.check_invariants();
        }
    }

    /// Turns the outputs of a turn into chores, in the documented order.
    fn collect(&mut self, shard: usize) {
        let Host { out, chores, more, rewrite, .. } = &mut self.hosts[shard];
        *more |= out.more;
        for event in &out.log {
            self.trace.numbers(&[event.to_string().len() as u64]);
            self.trace.line(self.step, format_args!("shard {shard}: {event}"));
        }
        self.log.extend(out.log.drain(..).map(|event| (shard, event)));
        self.questions.extend(out.auth.drain(..).map(|request| (shard, request)));
        chores.extend(out.mail.drain(..).map(|(to, mail)| Chore::Mail(to, mail)));
        chores.extend(out.dirty.drain(..).chain(rewrite.drain(..)).map(Chore::Write));
        chores.extend(out.close.drain(..).map(Chore::Close));
        chores.extend(out.moves.drain(..).map(|(conn, to, moved)| Chore::Move(conn, to, moved)));
        let pauses = out.pause.drain(..).map(|conn| (conn, true)).collect::<Vec<_>>();
        let resumes = out.resume.drain(..).map(|conn| (conn, false)).collect::<Vec<_>>();
        out.clear();
        for (conn, paused) in pauses.into_iter().chain(resumes) {
            if let Some(wire) = self.hosts[shard].wire(conn) {
                self.wires[wire].paused = paused;
                self.wires[wire].paused_ms = self.now.mono_ms;
            }
        }
    }

    fn carry_out(&mut self, shard: usize, chore: Chore, random: &mut Random) {
        match chore {
            Chore::Mail(to, mail) => {
                self.hosts[usize::from(to.0)].mailbox.push_back(Letter::Mail(mail));
            }
            Chore::Write(conn) => self.write(shard, conn, random),
            Chore::Close(conn) => self.close(shard, conn),
            Chore::Move(conn, to, moved) => {
                if let Some(wire) = self.hosts[shard].release(conn) {
                    self.wires[wire].place = Place::Moving;
                    let letter = Letter::Moved(wire, moved);
                    self.hosts[usize::from(to.0)].mailbox.push_back(letter);
                }
            }
        }
    }

    /// The front of a connection's outbox, as far as `room` goes, and its whole length.
    fn front(&mut self, shard: usize, conn: ConnId, room: usize) -> (Vec<u8>, usize) {
        let Some(outbox) = self.hosts[shard].shard.outbox(conn) else { return (Vec::new(), 0) };
        let mut slices = [IoSlice::new(&[]); 64];
        let filled = outbox.slices(&mut slices);
        let mut bytes = Vec::new();
        for slice in &slices[..filled] {
            let left = room - bytes.len();
            bytes.extend_from_slice(&slice[..left.min(slice.len())]);
        }
        (bytes, outbox.len())
    }

    fn write(&mut self, shard: usize, conn: ConnId, random: &mut Random) {
        let Some(number) = self.hosts[shard].wire(conn) else { return };
        let is_closing = self.hosts[shard]
            .chores
            .iter()
            .any(|chore| matches!(chore, Chore::Close(other) if *other == conn));
        let wire = &self.wires[number];
        if wire.blocked || is_closing {
            return;
        }
        if wire.client_end == Some(ClientEnd::Reset) {
            return self.transport_ended(shard, conn, TransportEnd::Reset);
        }
        let mut room = self.pipe_bytes.saturating_sub(wire.unread_by_client());
        if random.chance(10) {
            room = random.between(0, room.min(300));
        }
        let (bytes, whole) = self.front(shard, conn, room);
        if whole == 0 {
            return;
        }
        let wire = &mut self.wires[number];
        wire.blocked = bytes.len() < whole && bytes.len() == room;
        wire.server_writes(&bytes);
        self.trace.numbers(&[number as u64, bytes.len() as u64]);
        self.trace.bytes(&bytes);
        if bytes.len() < whole && !wire.blocked {
            self.hosts[shard].rewrite.push(conn);
        }
        if !bytes.is_empty() {
            self.input(shard, Input::Wrote { conn, bytes: bytes.len() });
            let host = &mut self.hosts[shard];
            host.more |= host.out.more;
        }
    }

    /// The last write of a connection, and its end.
    fn close(&mut self, shard: usize, conn: ConnId) {
        let Some(number) = self.hosts[shard].wire(conn) else { return };
        let wire = &self.wires[number];
        let room = match wire.blocked {
            true => 0,
            false => self.pipe_bytes.saturating_sub(wire.unread_by_client()),
        };
        let (bytes, whole) = self.front(shard, conn, room);
        let wire = &mut self.wires[number];
        wire.server_writes(&bytes);
        wire.truncated = bytes.len() < whole;
        self.trace.bytes(&bytes);
        self.hosts[shard].release(conn);
        self.gone(number);
    }

    /// The client has taken bytes: a blocked wire may be written again.
    pub fn unblock(&mut self, number: usize) {
        let wire = &mut self.wires[number];
        if !wire.blocked || wire.unread_by_client() > self.pipe_bytes / 2 {
            return;
        }
        wire.blocked = false;
        if let Place::At(shard, conn) = wire.place {
            self.hosts[shard].rewrite.push(conn);
        }
    }

    /// Whether a connection has nothing left to send and nothing left to be read, on either side.
    pub fn is_drained(&mut self, number: usize) -> bool {
        let wire = &self.wires[number];
        let Place::At(shard, conn) = wire.place else { return false };
        wire.readable() == 0
            && wire.unread_by_client() == 0
            && self.hosts[shard].shard.outbox(conn).is_none_or(|outbox| outbox.is_empty())
    }
}

/// How much one read takes: all, one byte, or something between.
fn read_size(whole_percent: usize, random: &mut Random) -> usize {
    if random.chance(whole_percent) {
        return usize::MAX;
    }
    match random.below(3) {
        0 => 1,
        1 => random.between(1, 8),
        _ => random.between(1, 400),
    }
}
