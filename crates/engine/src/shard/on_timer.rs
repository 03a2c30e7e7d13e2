//! Whatever time alone brings about. Must not know clocks: the time is that of the turn.

use martlet_proto::ReasonCode;

use super::Shard;
use crate::ids::{ConnId, SessionKey};
use crate::log::Cause;
use crate::peers::Peers;
use crate::timers::Timer;

/// Timers served in one turn: sessions that end together must not hold everybody else up.
const DUE_PER_TURN_MAX: usize = 1024;

impl Shard {
    pub(super) fn run_timers(&mut self) {
        let now_ms = self.peers.now.mono_ms;
        self.run_connect_deadlines(now_ms);
        self.expire_retained();
        // What is left is due at once: the caller turns again, others come in between.
        for _ in 0..DUE_PER_TURN_MAX {
            let Some(timer) = self.peers.timers.pop_due(now_ms) else { break };
            match timer {
                Timer::KeepAlive { conn, serial } => self.on_keep_alive(conn, serial, now_ms),
                Timer::SessionExpiry(key) => self.on_session_expiry(key, now_ms),
                Timer::WillDelay(key) => self.on_will_delay(key, now_ms),
            }
        }
        if self.peers.timers.is_crowded() {
            self.sweep_timers();
        }
    }

    #[cold]
    fn sweep_timers(&mut self) {
        let Peers { timers, conns, sessions, .. } = &mut self.peers;
        timers.sweep(|at_ms, timer| match timer {
            Timer::KeepAlive { conn, serial } => {
                conns.get(conn).is_some_and(|c| c.serial == serial && c.session.is_some())
            }
            Timer::SessionExpiry(key) => {
                sessions.by_key(key).is_some_and(|s| s.conn.is_none() && s.expires_at_ms == at_ms)
            }
            Timer::WillDelay(key) => {
                sessions.by_key(key).is_some_and(|s| s.conn.is_none() && s.will_at_ms == at_ms)
            }
        });
    }

    fn run_connect_deadlines(&mut self, now_ms: u64) {
        while let Some((due_ms, id, serial)) = self.connect_deadlines.front().copied() {
            if due_ms > now_ms {
                return;
            }
            self.connect_deadlines.pop_front();
            let conn = self.peers.conns.get(id).filter(|conn| conn.serial == serial);
            let Some(conn) = conn.filter(|c| c.session.is_none() && c.end.is_none()) else {
                continue;
            };
            if conn.auth_token.is_some() {
                // The port takes its time: the client's starts anew.
                let due_ms = now_ms + self.config.limits.connect_timeout_ms.max(1);
                self.connect_deadlines.push_back((due_ms, id, serial));
            } else {
                self.end(id, Cause::ConnectTimeout);
            }
        }
    }

    /// [MQTT-3.1.2-22] [MQTT3-3.1.2-24] The client was silent for too long, or it was heard since
    /// and the timer is set anew.
    fn on_keep_alive(&mut self, id: ConnId, serial: u32, now_ms: u64) {
        let Some(conn) = self.peers.conns.get(id) else { return };
        if conn.serial != serial || conn.session.is_none() {
            return;
        }
        let Some(silence_max_ms) = conn.proto.silence_max_ms() else { return };
        // A connection that we do not read says nothing that we could hear; then what counts is
        // whether it takes what we say.
        let due_ms = match conn.paused {
            false => conn.heard_at_ms + silence_max_ms,
            true => conn.took_at_ms + silence_max_ms.max(self.config.limits.stall_max_ms),
        };
        if due_ms > now_ms {
            // A connection that is read again meanwhile is not left alone longer than its keep
            // alive.
            let next_ms = due_ms.min(now_ms + silence_max_ms);
            self.peers.timers.set(next_ms, Timer::KeepAlive { conn: id, serial });
            return;
        }
        self.end(id, Cause::ByServer(ReasonCode::KeepAliveTimeout));
    }

    /// [MQTT-4.1.0-2]
    fn on_session_expiry(&mut self, key: SessionKey, now_ms: u64) {
        let Some(session) = self.peers.sessions.by_key(key) else { return };
        if session.conn.is_none() && session.expires_at_ms <= now_ms {
            self.peers.stats.sessions_expired += 1;
            self.end_session(key.slot());
        }
    }

    /// [MQTT-3.1.2-8]
    fn on_will_delay(&mut self, key: SessionKey, now_ms: u64) {
        let Some(session) = self.peers.sessions.by_key(key) else { return };
        if session.conn.is_none() && session.will_at_ms <= now_ms {
            self.publish_will(key.slot());
        }
    }
}
