//! Short ways to write batches, and to look at what comes back.

use std::sync::Arc;

use martlet_engine::store::{
    BodyId, EntryTerms, Join, Loaded, Message, Restored, RestoredSession, Seq, SessionId,
    SessionRecord, StoreBatch, StoreEvent, StoreLoad, StoreOp, StoreToken, StoredMessage,
    SubscriptionRecord,
};
use martlet_engine::{Now, ShardId, partition};
use martlet_proto::{PacketId, Qos};

use crate::{SHARDS, Subject};

pub(crate) const NOW: Now = Now { mono_ms: 5_000, wall_ms: 1_000_000 };
pub(crate) const ONE: SessionId = SessionId { partition: 1, number: 1 };
pub(crate) const TWO: SessionId = SessionId { partition: 2, number: 2 };
pub(crate) const FIRST: ShardId = ShardId(0);
pub(crate) const SECOND: ShardId = ShardId(1);

pub(crate) fn stored_message(topic: &str, payload: &[u8]) -> StoredMessage {
    StoredMessage {
        data: [topic.as_bytes(), payload].concat().into(),
        topic_len: topic.len() as u32,
        forward_len: 0,
        qos: Qos::ExactlyOnce,
        retain: false,
        expires_at_wall_ms: u64::MAX,
        origin: 7,
        body: None,
    }
}

pub(crate) fn message_of(stored: StoredMessage) -> Arc<Message> {
    Arc::new(Message::restore(stored, NOW))
}

pub(crate) fn message(text: &str) -> Arc<Message> {
    message_of(stored_message("topic", text.as_bytes()))
}

pub(crate) fn shared(text: &str, body: u64) -> Arc<Message> {
    let body = Some(BodyId::new(FIRST, body));
    message_of(StoredMessage { body, ..stored_message("topic", text.as_bytes()) })
}

pub(crate) fn terms() -> Box<EntryTerms> {
    let (qos, group) = (Qos::AtLeastOnce, None);
    Box::new(EntryTerms { qos, retain: false, subscription_ids: vec![], group, packet_id: None })
}

pub(crate) fn record_of(session: SessionId) -> SessionRecord {
    let client_id = format!("client-{}", session.number).into();
    SessionRecord { client_id, expiry_s: 100, left_at_wall_ms: Some(7), will: None }
}

pub(crate) fn put_session(session: SessionId) -> StoreOp {
    StoreOp::PutSession { session, record: Box::new(record_of(session)) }
}

pub(crate) fn put_subscription(session: SessionId, filter: &str) -> StoreOp {
    let record = SubscriptionRecord { filter: filter.into(), options: 1, subscription_id: 9 };
    StoreOp::PutSubscription { session, subscription: Box::new(record) }
}

pub(crate) fn put_entry(session: SessionId, seq: Seq, text: &str) -> StoreOp {
    StoreOp::PutEntry { session, seq, message: message(text), terms: terms() }
}

pub(crate) fn remove_entry(session: SessionId, seq: Seq) -> StoreOp {
    StoreOp::RemoveEntry { session, seq }
}

pub(crate) fn id(number: u16) -> PacketId {
    PacketId::new(number).expect("not 0")
}

/// A subject and the tokens of its shards.
pub(crate) struct Desk<'a> {
    pub(crate) store: &'a mut dyn Subject,
    tokens: [u64; SHARDS as usize],
}

impl<'a> Desk<'a> {
    pub(crate) fn new(store: &'a mut dyn Subject) -> Self {
        Self { store, tokens: [0; SHARDS as usize] }
    }

    pub(crate) fn submit(&mut self, shard: ShardId, ops: Vec<StoreOp>) -> u64 {
        self.submit_part(shard, None, ops)
    }

    /// Of an exchange and how many more parts.
    pub(crate) fn submit_part(
        &mut self,
        shard: ShardId,
        join: Option<(u64, u32)>,
        ops: Vec<StoreOp>,
    ) -> u64 {
        let token = &mut self.tokens[usize::from(shard.0)];
        *token += 1;
        let token = *token;
        let join = join.map(|(id, children)| Join { id, children });
        let batch = StoreBatch { token: StoreToken(token), join, now: NOW, ops };
        self.store.submit(shard, batch);
        token
    }

    /// The tokens that a shard is told of until the store is quiet.
    pub(crate) fn stored(&mut self, shard: ShardId) -> Vec<u64> {
        let events = self.store.settle().into_iter().filter(|(to, _)| *to == shard);
        let tokens = events.filter_map(|(_, event)| match event {
            StoreEvent::Stored(token) => Some(token.0),
            _ => None,
        });
        tokens.collect()
    }

    /// Everything that waits for a session.
    pub(crate) fn load(&mut self, session: SessionId) -> Loaded {
        self.load_some(session, 1, 1000, u64::MAX)
    }

    pub(crate) fn load_some(
        &mut self,
        session: SessionId,
        from: Seq,
        messages_max: u32,
        bytes_max: u64,
    ) -> Loaded {
        self.store.load(FIRST, StoreLoad { session, from, messages_max, bytes_max });
        let loaded = self.store.settle().into_iter().filter_map(|(_, event)| match event {
            StoreEvent::Loaded(loaded) => Some(*loaded),
            _ => None,
        });
        loaded.last().expect("every question is answered")
    }

    pub(crate) fn crash(&mut self) -> Life {
        self.tokens = [0; SHARDS as usize];
        Life::new(self.store.crash())
    }
}

/// What a life begins with, ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Life {
    pub(crate) session_number_max: u64,
    pub(crate) body_counter_max: u64,
    pub(crate) sessions: Vec<RestoredSession>,
    pub(crate) retained: Vec<StoredMessage>,
}

impl Life {
    pub(crate) fn new(restored: Vec<Restored>) -> Self {
        let (mut sessions, mut retained, mut begin) = (Vec::new(), Vec::new(), None);
        for item in restored {
            match item {
                Restored::Begin { session_number_max, body_counter_max } => {
                    begin = Some((session_number_max, body_counter_max));
                }
                Restored::Session(session) => sessions.push(*session),
                Restored::Retained(message) => retained.push(message),
            }
        }
        sessions.sort_by_key(|session| session.session);
        retained.sort_by_key(|message| (partition(message.topic()), message.topic().to_owned()));
        let (session_number_max, body_counter_max) = begin.expect("it begins");
        Self { session_number_max, body_counter_max, sessions, retained }
    }
}

/// Places and payloads.
pub(crate) fn texts(loaded: &Loaded) -> Vec<(Seq, String)> {
    let text = |message: &StoredMessage| {
        String::from_utf8_lossy(&message.data[message.topic_len as usize..]).into_owned()
    };
    loaded.entries.iter().map(|entry| (entry.seq, text(&entry.message))).collect()
}
