//! Bytes of a connection into packets, packets to their handlers. Must not know what a packet does.

use std::sync::Arc;

use martlet_proto::{DecodeError, Frame, Framing, Packet, PacketType, Sender, decode, frame};
use martlet_session::server::Phase;

use super::Shard;
use crate::ids::{ConnId, ShardId};
use crate::log::Cause;
use crate::outbox::REFERENCE_BYTES_MIN;

/// What happens with the bytes behind a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// They are looked at.
    Continue,
    /// They wait: a verdict is due.
    Hold,
    /// They go, with this packet, to the connection's home.
    Move(ShardId),
    /// They do not matter any more.
    Stop,
}

impl Shard {
    pub(super) fn on_bytes(&mut self, id: ConnId, bytes: &[u8]) {
        let Some(conn) = self.peers.conns.get_mut(id) else {
            return self.on_bytes_behind(id, bytes);
        };
        if conn.proto.phase() == Phase::Closing {
            return;
        }
        self.peers.stats.bytes_received += bytes.len() as u64;
        if conn.is_held() {
            self.keep_unread(id, bytes);
            return;
        }
        if let Some(rest) = self.finish_first_frame(id, bytes) {
            self.on_frames(id, rest);
        }
        self.peers.pause_if_full(id);
    }

    /// The connection is leaving in this turn: what comes in behind goes with it.
    #[cold]
    fn on_bytes_behind(&mut self, id: ConnId, bytes: &[u8]) {
        if let Some((_, _, moved)) = self.moving.iter_mut().find(|(moving, ..)| *moving == id) {
            moved.unread.extend_from_slice(bytes);
        }
    }

    /// Looks at what waited while a verdict was due.
    pub(super) fn on_unread(&mut self, id: ConnId) {
        let Some(conn) = self.peers.conns.get_mut(id) else { return };
        let unread = std::mem::take(&mut conn.unread);
        self.on_frames(id, &unread);
    }

    fn keep_unread(&mut self, id: ConnId, bytes: &[u8]) {
        if let Some(conn) = self.peers.conns.get_mut(id) {
            conn.unread.extend_from_slice(bytes);
        }
    }

    /// Keeps the beginning of a packet of `total` bytes.
    fn keep_incomplete(&mut self, id: ConnId, bytes: &[u8], total: usize) {
        if total >= REFERENCE_BYTES_MIN
            && let Some(conn) = self.peers.conns.get_mut(id)
        {
            conn.unread = self.peers.frames.take(total);
        }
        self.keep_unread(id, bytes);
    }

    /// Completes and handles the packet that an earlier read left unfinished, copying only what it
    /// lacks. Returns the bytes behind it; `None` when there is nothing to look at.
    fn finish_first_frame<'b>(&mut self, id: ConnId, mut bytes: &'b [u8]) -> Option<&'b [u8]> {
        let conn = self.peers.conns.get_mut(id)?;
        if conn.unread.is_empty() {
            return Some(bytes);
        }
        let mut unread = std::mem::take(&mut conn.unread);
        loop {
            let lacking = match frame(&unread, self.packet_size_max(id)) {
                Ok(Framing::Complete(_)) => return self.on_first_frame(id, unread, bytes),
                Ok(Framing::Incomplete { total: Some(total) }) => total - unread.len(),
                Ok(Framing::Incomplete { total: None }) => 1,
                Err(error) => {
                    self.on_malformed(id, error);
                    return None;
                }
            };
            if lacking > bytes.len() {
                unread.extend_from_slice(bytes);
                if let Some(conn) = self.peers.conns.get_mut(id) {
                    conn.unread = unread;
                }
                return None;
            }
            let (head, tail) = bytes.split_at(lacking);
            unread.extend_from_slice(head);
            bytes = tail;
        }
    }

    /// Handles a packet that was assembled from several reads and returns the bytes behind it, if
    /// they are to be looked at.
    fn on_first_frame<'b>(
        &mut self,
        id: ConnId,
        whole: Vec<u8>,
        rest: &'b [u8],
    ) -> Option<&'b [u8]> {
        // Large messages are not copied again: whoever keeps one keeps the frame.
        let is_large = whole.len() >= REFERENCE_BYTES_MIN;
        let whole = if is_large { self.peers.frames.share(whole) } else { Arc::new(whole) };
        let shared = is_large.then_some(&whole);
        let Ok(Framing::Complete(frame)) = frame(&whole, self.packet_size_max(id)) else {
            unreachable!("it was complete before");
        };
        match self.on_frame(id, &frame, shared) {
            Next::Continue => Some(rest),
            Next::Hold => {
                self.keep_unread(id, rest);
                None
            }
            Next::Move(to) => {
                self.start_move(id, to, &whole, rest);
                None
            }
            Next::Stop => None,
        }
    }

    /// Handles every whole packet in `bytes` and keeps the rest.
    fn on_frames(&mut self, id: ConnId, mut bytes: &[u8]) {
        let mut packet_size_max = self.packet_size_max(id);
        while !bytes.is_empty() {
            match frame(bytes, packet_size_max) {
                Ok(Framing::Complete(frame)) => {
                    let rest = &bytes[frame.len..];
                    let is_connect = frame.packet_type() == Some(PacketType::Connect);
                    match self.on_frame(id, &frame, None) {
                        Next::Continue => bytes = rest,
                        Next::Hold => return self.keep_unread(id, rest),
                        Next::Move(to) => return self.start_move(id, to, bytes, &[]),
                        Next::Stop => return,
                    }
                    if is_connect {
                        packet_size_max = self.packet_size_max(id);
                    }
                }
                Ok(Framing::Incomplete { total }) => {
                    return self.keep_incomplete(id, bytes, total.unwrap_or(0));
                }
                Err(error) => return self.on_malformed(id, error),
            }
        }
    }

    /// Strangers get less than clients.
    fn packet_size_max(&self, id: ConnId) -> usize {
        let limits = &self.config.limits;
        let phase = self.peers.conns.get(id).map(|conn| conn.proto.phase());
        match phase {
            Some(Phase::AwaitConnect) => limits.connect_size_max,
            _ => limits.packet_size_max as usize,
        }
        .min(limits.packet_size_max as usize)
    }

    #[inline]
    fn on_frame(&mut self, id: ConnId, frame: &Frame<'_>, whole: Option<&Arc<Vec<u8>>>) -> Next {
        let now_ms = self.peers.now.mono_ms;
        let Some(conn) = self.peers.conns.get_mut(id) else { return Next::Stop };
        conn.heard_at_ms = now_ms;
        self.peers.stats.packets_received += 1;
        let Some(packet_type) = frame.packet_type() else { return Next::Stop };
        if let Err(violation) = conn.proto.admit(packet_type) {
            self.end(id, Cause::Violation(violation));
            return Next::Stop;
        }
        match packet_type {
            PacketType::Publish => self.on_publish(id, frame, whole),
            PacketType::Connect => self.on_connect(id, frame),
            _ => self.on_other(id, frame),
        }
    }

    fn on_other(&mut self, id: ConnId, frame: &Frame<'_>) -> Next {
        let Some(conn) = self.peers.conns.get_mut(id) else { return Next::Stop };
        let packet = match decode(frame, conn.proto.version(), Sender::Client) {
            Ok(packet) => packet,
            Err(error) => {
                self.on_malformed(id, error);
                return Next::Stop;
            }
        };
        match packet {
            Packet::PubAck(ack) => self.on_pub_ack(id, &ack),
            Packet::PubRec(ack) => self.on_pub_rec(id, &ack),
            Packet::PubRel(ack) => self.on_pub_rel(id, &ack),
            Packet::PubComp(ack) => self.on_pub_comp(id, &ack),
            Packet::Subscribe(subscribe) => self.on_subscribe(id, &subscribe),
            Packet::Unsubscribe(unsubscribe) => self.on_unsubscribe(id, &unsubscribe),
            // [MQTT-3.12.4-1] [MQTT3-3.12.4-1]
            Packet::PingReq => {
                self.peers.send(id, |version, out| Packet::PingResp.put(version, out));
            }
            Packet::Disconnect(disconnect) => {
                self.on_disconnect(id, &disconnect);
                return Next::Stop;
            }
            Packet::Auth(auth) => return self.on_auth(id, &auth),
            // The decoder refuses what only a server may send, and the others have their own way.
            Packet::Connect(_)
            | Packet::ConnAck(_)
            | Packet::Publish(_)
            | Packet::SubAck(_)
            | Packet::UnsubAck(_)
            | Packet::PingResp => unreachable!("not decoded from a client here"),
        }
        Next::Continue
    }

    /// The peer sent what is no packet: one connection ends, nothing else happens
    /// [MQTT-4.13.1-1] [MQTT3-4.8.0-1].
    #[cold]
    pub(super) fn on_malformed(&mut self, id: ConnId, error: DecodeError) {
        self.end(id, Cause::Malformed(error));
    }

    /// Hands a connection to its home: `frame_and_rest` and `more` are unread there.
    fn start_move(&mut self, id: ConnId, to: ShardId, unread: &[u8], more: &[u8]) {
        let Some(conn) = self.peers.remove_conn(id) else { return };
        let unread = [unread, more].concat();
        let moved = crate::Moved { peer: conn.peer, unread, opened_at_ms: conn.opened_at_ms };
        self.moving.push((id, to, Box::new(moved)));
    }
}
