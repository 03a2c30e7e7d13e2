//! A client says goodbye. Must not know what its session is worth.

use martlet_proto::{Disconnect, ReasonCode};
use martlet_session::server::{Phase, Violation};

use super::Shard;
use super::on_close::Will;
use crate::ids::ConnId;
use crate::log::Cause;

impl Shard {
    pub(super) fn on_disconnect(&mut self, id: ConnId, disconnect: &Disconnect<'_>) {
        let Some(conn) = self.peers.conns.get(id) else { return };
        if conn.proto.phase() == Phase::Open
            && let Some(expiry_s) = disconnect.session_expiry_s
            && let Some(session) = conn.session.and_then(|slot| self.peers.sessions.get_mut(slot))
        {
            if session.expiry_s == 0 && expiry_s != 0 {
                self.end(id, Cause::Violation(Violation::SessionExpiryRaised));
                return;
            }
            session.expiry_s = expiry_s.min(self.config.limits.session_expiry_max_s);
        }
        // [MQTT-3.14.4-3] [MQTT3-3.14.4-3] [MQTT-3.1.2-10]
        let normal = disconnect.reason == ReasonCode::Success;
        let will = if normal { Will::Discard } else { Will::Keep };
        self.close(id, Cause::ByClient(disconnect.reason), will);
    }
}
