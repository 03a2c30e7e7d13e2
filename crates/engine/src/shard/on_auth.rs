//! The authentication exchange: questions to the port, verdicts from it, AUTH packets between. Must
//! not know any method: data passes through.

use martlet_proto::{Auth, Packet, ReasonCode, UserProperties};
use martlet_session::server::Phase;

use super::Shard;
use super::on_bytes::Next;
use crate::auth::{AuthRequest, AuthStep, AuthToken, Verdict};
use crate::ids::ConnId;
use crate::log::Cause;

/// Questions on their way to the port.
#[derive(Debug, Default)]
pub(super) struct AuthDesk {
    pub(super) requests: Vec<AuthRequest>,
    next_token: u64,
    /// Who waits for which verdict, in the order of the tokens.
    waiting: std::collections::BTreeMap<AuthToken, (ConnId, u32)>,
}

impl Shard {
    /// Asks the port; the connection waits for the verdict.
    pub(super) fn ask(&mut self, id: ConnId, step: AuthStep) {
        let Some(conn) = self.peers.conns.get_mut(id) else { return };
        self.auth.next_token += 1;
        let token = AuthToken(self.auth.next_token);
        conn.auth_token = Some(token);
        let session = conn.session.and_then(|slot| self.peers.sessions.get(slot));
        let in_session = session.map(|session| session.client_id.clone());
        let client_id = conn.connecting.as_ref().map(|c| c.client_id.clone()).or(in_session);
        self.auth.waiting.insert(token, (id, conn.serial));
        self.auth.requests.push(AuthRequest {
            token,
            client_id: client_id.unwrap_or_default(),
            peer: conn.peer,
            version: conn.proto.version(),
            step,
        });
        if conn.proto.phase() == Phase::Authenticating {
            self.peers.pause(id);
        }
    }

    pub(super) fn on_auth(&mut self, id: ConnId, auth: &Auth<'_>) -> Next {
        let Some(conn) = self.peers.conns.get_mut(id) else { return Next::Stop };
        let again = auth.reason == ReasonCode::ReAuthenticate;
        if let Err(violation) = conn.proto.admit_auth(again, auth.method) {
            self.end(id, Cause::Violation(violation));
            return Next::Stop;
        }
        // An answer while the port is still thinking comes out of turn.
        if conn.auth_token.is_some() {
            let violation = martlet_session::server::Violation::UnexpectedAuth;
            self.end(id, Cause::Violation(violation));
            return Next::Stop;
        }
        let method: Box<str> = auth.method.unwrap_or_default().into();
        let data = auth.data.map(Box::from);
        let connecting = conn.proto.phase() == Phase::Authenticating;
        let step = match again {
            true => AuthStep::ReAuthenticate { method, data },
            false => AuthStep::Continue { method, data },
        };
        self.ask(id, step);
        if connecting { Next::Hold } else { Next::Continue }
    }

    pub(super) fn on_verdict(&mut self, token: AuthToken, verdict: Verdict) {
        let Some((id, serial)) = self.auth.waiting.remove(&token) else { return };
        let Some(conn) = self.peers.conns.get_mut(id) else { return };
        if conn.serial != serial || conn.auth_token != Some(token) {
            return;
        }
        conn.auth_token = None;
        // The broker has stopped or the time for it has passed: whatever the verdict says is too
        // late.
        if conn.proto.phase() == Phase::Closing {
            return;
        }
        let has_method = conn.proto.auth_method().is_some();
        self.peers.resume(id);
        match verdict {
            Verdict::Allow { data } => self.on_allowed(id, data),
            // [MQTT-4.12.0-6] There is no exchange to continue: the port's mistake lets nobody in.
            Verdict::Continue { .. } if !has_method => {
                self.end(id, Cause::ByServer(ReasonCode::NotAuthorized));
            }
            // [MQTT-4.12.0-2]
            Verdict::Continue { data } => {
                self.send_auth(id, ReasonCode::ContinueAuthentication, data.as_deref());
                self.on_unread(id);
            }
            // [MQTT-4.12.0-4] [MQTT-4.12.1-2] [MQTT-3.1.4-2] [MQTT-3.1.4-6] [MQTT3-3.1.4-5]
            Verdict::Refuse { reason } => self.end(id, Cause::ByServer(reason)),
        }
    }

    fn on_allowed(&mut self, id: ConnId, data: Option<Box<[u8]>>) {
        let Some(conn) = self.peers.conns.get_mut(id) else { return };
        match conn.connecting.take() {
            Some(connecting) => {
                self.open_session(id, *connecting, data);
                self.on_unread(id);
            }
            None if conn.proto.phase() == Phase::Open => {
                conn.proto.re_authenticated();
                self.send_auth(id, ReasonCode::Success, data.as_deref());
            }
            None => {}
        }
    }

    /// [MQTT-3.15.2-1] [MQTT-4.12.0-5] [MQTT-3.15.2-2] [MQTT-3.15.2-3]
    fn send_auth(&mut self, id: ConnId, reason: ReasonCode, data: Option<&[u8]>) {
        let Some(conn) = self.peers.conns.get(id) else { return };
        let method: Option<Box<str>> = conn.proto.auth_method().map(Box::from);
        let auth = Packet::Auth(Auth {
            reason,
            method: method.as_deref(),
            data,
            reason_string: None,
            user_properties: UserProperties::default(),
        });
        self.peers.send(id, |version, out| auth.put(version, out));
    }
}
