//! A whole shard under arbitrary input: connections open, send any bytes in any pieces, read or do
//! not read, end, and time passes.
//!
//! Owns the script format (a byte of settings, then opcodes with their operands) and the promises
//! that the caller of `Shard::step` gives. The claim: no assertion of the engine fails, whatever
//! the peers do.
#![no_main]

use std::collections::VecDeque;

use libfuzzer_sys::fuzz_target;
use martlet_engine::{
    AuthMode, AuthRequest, AuthStep, ConnId, Input, Now, Outputs, Shard, ShardConfig, ShardId,
    TransportEnd, Verdict,
};
use martlet_proto::ReasonCode;

/// Connections that a script can use at a time.
const CONNECTIONS: usize = 4;
/// Turns after which a shard that still reports work is taken for one that never ends.
const TURNS_MAX: usize = 1_000;

fuzz_target!(|input: &[u8]| {
    let Some((&settings, script)) = input.split_first() else { return };
    let mut run = Run::new(settings);
    let mut rest = script;
    while let Some((&op, after)) = rest.split_first() {
        rest = run.act(op, after);
    }
    run.settle();
    run.step(Input::Shutdown);
    run.settle();
});

/// A connection as its transport sees it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Transport {
    Free,
    Open {
        paused: bool,
    },
    /// It ended by itself in this turn: its number is not used again before the next one, and the
    /// shard, which may have wanted to close it, may still name it.
    Ended,
}

struct Run {
    shard: Shard,
    out: Outputs,
    now: Now,
    transports: [Transport; CONNECTIONS],
    /// What the shard asked the authentication port, oldest first.
    questions: VecDeque<AuthRequest>,
}

impl Run {
    fn new(settings: u8) -> Self {
        let mut config = ShardConfig::new(ShardId(0), 1, 7);
        // $SYS costs more than all the rest, so few scripts have it.
        config.sys_interval_ms = u64::from(settings >= 0xf0) * 10_000;
        if settings & 2 != 0 {
            config.auth = AuthMode::Port;
        }
        // Small bounds, so that short scripts reach them.
        config.limits.packet_size_max = 2048;
        config.limits.queue_messages_max = 8;
        config.limits.queue_bytes_max = 2048;
        config.limits.outbox_bytes_max = 2048;
        config.limits.outbox_low_bytes = 128;
        config.limits.outbox_pause_bytes = 256;
        config.limits.retained_messages_max = 8;
        config.limits.subscriptions_max = 8;
        config.limits.topic_alias_max = 4;
        config.limits.receive_max = 4;
        config.limits.sessions_max = 6;
        config.limits.replay_budget = 3;
        Self {
            shard: Shard::new(config),
            out: Outputs::default(),
            now: Now { mono_ms: 1_000, wall_ms: 1_700_000_000_000 },
            transports: [Transport::Free; CONNECTIONS],
            questions: VecDeque::new(),
        }
    }

    /// Carries out one opcode and returns what follows its operands.
    fn act<'a>(&mut self, op: u8, rest: &'a [u8]) -> &'a [u8] {
        let at = usize::from(op >> 3) % CONNECTIONS;
        let conn = ConnId(at as u32);
        let open = matches!(self.transports[at], Transport::Open { .. });
        match op & 7 {
            0 => {
                let (piece, rest) = piece(rest);
                if self.transports[at] == Transport::Free {
                    self.open(at);
                }
                if self.transports[at] == (Transport::Open { paused: false }) {
                    self.step(Input::Bytes { conn, bytes: piece });
                }
                return rest;
            }
            1 => self.answer(op >> 3),
            2 => _ = self.turn(true),
            3 => _ = self.turn(false), // nobody reads
            4 if open => {
                let ends = [TransportEnd::Eof, TransportEnd::Reset, TransportEnd::Error];
                self.transports[at] = Transport::Ended;
                self.step(Input::Closed { conn, end: ends[usize::from(op >> 5) % ends.len()] });
                let _ = self.turn(true);
            }
            5 => self.pass(u64::from(op >> 3) * 100),
            6 => self.pass(u64::from(op >> 3) * 10_000),
            7 => {
                // To the next deadline of the shard itself.
                let deadline = self.shard.next_deadline_ms().unwrap_or(self.now.mono_ms);
                self.pass(deadline.saturating_sub(self.now.mono_ms).min(1 << 40));
            }
            _ => {}
        }
        rest
    }

    fn open(&mut self, at: usize) {
        self.transports[at] = Transport::Open { paused: false };
        self.step(Input::Opened { conn: ConnId(at as u32), peer: None });
    }

    /// The authentication port answers its oldest question.
    fn answer(&mut self, kind: u8) {
        let Some(AuthRequest { token, step, .. }) = self.questions.pop_front() else { return };
        // Who named no method cannot be asked on.
        let is_plain = matches!(step, AuthStep::Connect { method: None, .. });
        let data = (kind & 4 != 0).then(|| Box::from(*b"data"));
        let verdict = match kind & 3 {
            0 | 1 => Verdict::Allow { data },
            2 if !is_plain => Verdict::Continue { data },
            _ => Verdict::Refuse { reason: ReasonCode::NotAuthorized },
        };
        self.step(Input::Verdict { token, verdict });
    }

    fn pass(&mut self, ms: u64) {
        self.now.mono_ms += ms;
        self.now.wall_ms += ms;
        let _ = self.turn(true);
    }

    fn step(&mut self, input: Input<'_>) {
        self.shard.step(self.now, input, &mut self.out);
        self.shard.check_invariants();
    }

    /// Ends the turn and does what the shard asked for, in the loop's order. Whether there is work
    /// left for another turn.
    fn turn(&mut self, peers_read: bool) -> bool {
        self.step(Input::TurnEnd);
        let mut out = std::mem::take(&mut self.out);
        assert!(out.mail.is_empty() && out.moves.is_empty(), "there is one shard only");
        self.questions.extend(out.auth.drain(..));
        self.note_pauses(&out);
        if peers_read {
            for conn in out.dirty.iter().filter(|conn| !out.close.contains(conn)) {
                self.write(*conn);
            }
        }
        for conn in &out.close {
            let transport = &mut self.transports[conn.0 as usize];
            assert!(*transport != Transport::Free, "closed twice");
            *transport = Transport::Free;
        }
        for transport in &mut self.transports {
            if *transport == Transport::Ended {
                *transport = Transport::Free;
            }
        }
        // What the writes added is for the next turn.
        out.more || self.out.more || !self.out.dirty.is_empty()
    }

    fn note_pauses(&mut self, out: &Outputs) {
        for (list, paused) in [(&out.pause, true), (&out.resume, false)] {
            for conn in list {
                let transport = &mut self.transports[conn.0 as usize];
                if matches!(transport, Transport::Open { .. }) {
                    *transport = Transport::Open { paused };
                }
            }
        }
    }

    /// The peer takes all there is.
    fn write(&mut self, conn: ConnId) {
        let bytes = self.shard.outbox(conn).map_or(0, |outbox| outbox.len());
        if bytes > 0 {
            self.step(Input::Wrote { conn, bytes });
        }
    }

    /// Turns until the shard has nothing left to do.
    fn settle(&mut self) {
        for _ in 0..TURNS_MAX {
            for at in 0..CONNECTIONS {
                if self.transports[at] != Transport::Free {
                    self.write(ConnId(at as u32));
                }
            }
            if !self.turn(true) {
                return;
            }
        }
        panic!("the shard never comes to rest");
    }
}

/// A length byte and that many bytes (or what is left), and the rest.
fn piece(rest: &[u8]) -> (&[u8], &[u8]) {
    let Some((&length, rest)) = rest.split_first() else { return (&[], &[]) };
    rest.split_at(usize::from(length).min(rest.len()))
}
