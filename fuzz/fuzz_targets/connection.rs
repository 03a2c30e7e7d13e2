//! A whole shard under arbitrary input: connections open, send any bytes in any pieces, read or do
//! not read, end, and time passes.
//!
//! Owns the script format (one opcode byte, then its operands) and the promises that the caller of
//! `Shard::step` gives. The claim: no assertion of the engine fails, whatever the peers do.
#![no_main]

use libfuzzer_sys::fuzz_target;
use martlet_engine::{ConnId, Input, Now, Outputs, Shard, ShardConfig, ShardId, TransportEnd};

/// Connections that a script can use at a time.
const CONNECTIONS: usize = 4;
/// Turns after which a shard that still reports work is taken for one that never ends.
const TURNS_MAX: usize = 10_000;

fuzz_target!(|script: &[u8]| {
    let mut run = Run::new();
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
    Open { paused: bool },
}

struct Run {
    shard: Shard,
    out: Outputs,
    now: Now,
    transports: [Transport; CONNECTIONS],
}

impl Run {
    fn new() -> Self {
        let mut config = ShardConfig::new(ShardId(0), 1, 7);
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
        }
    }

    /// Carries out one opcode and returns what follows its operands.
    fn act<'a>(&mut self, op: u8, rest: &'a [u8]) -> &'a [u8] {
        let at = usize::from(op >> 3) % CONNECTIONS;
        let conn = ConnId(at as u32);
        let open = self.transports[at] != Transport::Free;
        match op & 7 {
            // Most bytes of a script are what peers send: two opcodes for it.
            0 | 1 => {
                let (piece, rest) = piece(rest);
                if !open {
                    self.open(at);
                }
                if self.transports[at] == (Transport::Open { paused: false }) {
                    self.step(Input::Bytes { conn, bytes: piece });
                }
                return rest;
            }
            2 => self.turn(true),
            3 => self.turn(false), // nobody reads
            4 if open => {
                let ends = [TransportEnd::Eof, TransportEnd::Reset, TransportEnd::Error];
                self.transports[at] = Transport::Free;
                self.step(Input::Closed { conn, end: ends[usize::from(op >> 5) % ends.len()] });
                self.turn(true);
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

    fn pass(&mut self, ms: u64) {
        self.now.mono_ms += ms;
        self.now.wall_ms += ms;
        self.turn(true);
    }

    fn step(&mut self, input: Input<'_>) {
        self.shard.step(self.now, input, &mut self.out);
        self.shard.check_invariants();
    }

    /// Ends the turn and does what the shard asked for, as the loop does.
    fn turn(&mut self, peers_read: bool) {
        self.step(Input::TurnEnd);
        let mut out = std::mem::take(&mut self.out);
        assert!(out.mail.is_empty() && out.moves.is_empty(), "there is one shard only");
        if peers_read {
            for conn in out.dirty.drain(..) {
                self.write(conn);
            }
        }
        for conn in out.close.drain(..) {
            let transport = &mut self.transports[conn.0 as usize];
            assert!(*transport != Transport::Free, "closed twice");
            *transport = Transport::Free;
        }
        for (list, paused) in [(&out.pause, true), (&out.resume, false)] {
            for conn in list {
                let transport = &mut self.transports[conn.0 as usize];
                if *transport != Transport::Free {
                    *transport = Transport::Open { paused };
                }
            }
        }
        let more = out.more;
        out.clear();
        self.out = out;
        self.out.more = more;
    }

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
            self.turn(true);
            if !self.out.more {
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
