//! The broker in a box: its shards, their mailboxes, the transports and the time. Turns of the
//! shards run in whatever order the caller chooses; between two outputs of one turn others may run.
//! Must not know clients or oracles: it keeps the broker's log for them.

use std::collections::BTreeSet;
use std::io::IoSlice;

use martlet_engine::store::{SessionId, StoreBatch, StoreOp};
use martlet_engine::{
    AuthMode, AuthRequest, ConnId, Input, LogEvent, Now, Shard, ShardConfig, ShardId, TransportEnd,
};

use crate::host::{Chore, Host, Letter};
use crate::plan::Plan;
use crate::random::Random;
use crate::store::SimStore;
use crate::trace::Trace;
use crate::wire::{ClientEnd, Place, Wire};

/// The wall clock when a run begins.
const WALL_MS: u64 = 1_700_000_000_000;

/// A wall-clock time in the time of the run.
pub(crate) fn book_ms(wall_ms: u64) -> u64 {
    wall_ms - WALL_MS
}

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
    /// The store, if the broker has one.
    pub store: Option<SimStore>,
    /// The store does nothing until further notice.
    pub store_stuck: bool,
    /// New sessions of the store, not yet taken by the oracles, with their client identifiers.
    pub births: Vec<(SessionId, String)>,
    /// Sessions of the store that the oracles were told of.
    pub(crate) known: BTreeSet<SessionId>,
    /// How many brokers have died.
    pub life: u64,
    /// Messages that brokers of earlier lives dropped.
    pub(crate) dropped_before: u64,
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
        Self {
            hosts: new_hosts(plan, plan.shards),
            wires: Vec::new(),
            live: Vec::new(),
            now: Now { mono_ms: 1_000, wall_ms: WALL_MS + 1_000 },
            step: 0,
            log: Vec::new(),
            ends: Vec::new(),
            questions: Vec::new(),
            store: plan.store.is_some().then(|| SimStore::new(plan.shards)),
            store_stuck: false,
            births: Vec::new(),
            known: BTreeSet::new(),
            life: 0,
            dropped_before: 0,
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

    /// The time, from the beginning of the run: the clients' and the oracles'. The shards' own
    /// monotonic time begins anew with each broker.
    #[must_use]
    pub fn time_ms(&self) -> u64 {
        book_ms(self.now.wall_ms)
    }

    /// Whether no shard has anything to do but to read.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.hosts.iter().all(|host| host.is_quiet(self.now.mono_ms))
    }

    /// Whether, beyond that, nothing waits for the store.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.is_quiet() && self.store.as_ref().is_none_or(SimStore::is_idle)
    }

    /// Whether the store would do anything now.
    #[must_use]
    pub fn store_is_runnable(&self) -> bool {
        !self.store_stuck && self.store.as_ref().is_some_and(|store| !store.is_idle())
    }

    /// The store does something: a group commit, or an answer.
    pub fn run_store(&mut self, random: &mut Random) {
        let Some(store) = self.store.as_mut().filter(|_| !self.store_stuck) else { return };
        self.step += 1;
        match random.below(8) {
            0..=4 => {
                store.commit_some(random);
            }
            5 => store.pump(),
            _ => store.answer_one(random),
        }
        self.hear_store();
    }

    /// What the store says goes to the shards.
    pub fn hear_store(&mut self) {
        let Some(store) = &mut self.store else { return };
        for (shard, event) in store.take_events() {
            self.trace.numbers(&[self.step, u64::from(shard.0)]);
            self.trace.line(self.step, format_args!("store to shard {}: {event:?}", shard.0));
            self.hosts[usize::from(shard.0)].mailbox.push_back(Letter::Store(event));
        }
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
        self.hosts[shard].turned_at_ms = self.time_ms();
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
                Letter::Store(event) => self.input(shard, Input::Store(event)),
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
            let now_ms = self.time_ms();
            let wire = &mut self.wires[number];
            if wire.readable() > 0 && !(wire.paused && wire.client_end != Some(ClientEnd::Reset)) {
                let count = read_size(self.whole_reads_percent, random);
                let bytes = wire.server_reads(count, now_ms);
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
            self.ends.push((wire, taken, self.time_ms()));
            self.input(shard, Input::Closed { conn, end });
            self.hosts[shard].more = true;
        }
    }

    fn gone(&mut self, wire: usize) {
        self.wires[wire].place = Place::Gone;
        self.wires[wire].server_ended = true;
    }

    pub(crate) fn input(&mut self, shard: usize, input: Input<'_>) {
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
        for op in out.store.iter().flat_map(|batch| &batch.ops) {
            if let StoreOp::PutSession { session, record } = op
                && self.known.insert(*session)
            {
                self.births.push((*session, record.client_id.to_string()));
            }
        }
        chores.extend(out.store.drain(..).map(Chore::Store));
        chores.extend(out.loads.drain(..).map(Chore::Load));
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
                self.wires[wire].paused_ms = self.time_ms();
            }
        }
    }

    fn carry_out(&mut self, shard: usize, chore: Chore, random: &mut Random) {
        match chore {
            Chore::Store(batch) => self.submit(shard, batch),
            Chore::Load(load) => {
                self.trace.line(self.step, format_args!("shard {shard} asks: {load:?}"));
                let store = self.store.as_mut().expect("without a store nothing is asked");
                store.load(ShardId(shard as u16), load);
            }
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

    fn submit(&mut self, shard: usize, batch: StoreBatch) {
        let numbers = [self.step, shard as u64, batch.token.0, batch.ops.len() as u64];
        self.trace.numbers(&numbers);
        let (token, join) = (batch.token.0, batch.join);
        self.trace.line(self.step, format_args!("shard {shard} stores {token} {join:?}"));
        for op in &batch.ops {
            self.trace.line(self.step, format_args!("    {op:?}"));
        }
        let store = self.store.as_mut().expect("without a store nothing is stored");
        store.submit(ShardId(shard as u16), batch);
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

/// The shards of a new broker.
pub(crate) fn new_hosts(plan: &Plan, shards: u16) -> Vec<Host> {
    let host = |shard: u16| {
        let mut config = ShardConfig::new(ShardId(shard), shards, plan.seed);
        config.limits = plan.limits.clone();
        config.auth = if plan.auth_port { AuthMode::Port } else { AuthMode::AllowAnonymous };
        config.store = plan.store.is_some();
        config.sys_interval_ms = plan.sys_interval_ms;
        Host::new(Shard::new(config))
    };
    (0..shards).map(host).collect()
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
