//! All other records, and any record by its key. Must not know the order in which they are read.

use martlet_engine::store::{
    BodyId, EntryTerms, Seq, SessionId, SessionRecord, StoredMessage, SubscriptionRecord,
    WillRecord,
};
use martlet_proto::PacketId;

use super::bytes::{FormatError, Reader, Result, Write};
use super::entry::{BodyPlace, EntryView};
use super::key::{Key, Name, Space};
use super::message::{MessageView, put_stored_message};
use crate::open::Maxima;

const HAS_LEFT_AT: u8 = 1;
const HAS_WILL: u8 = 1 << 1;
const WILL_EXPIRES: u8 = 1 << 2;

/// What became of a message that had been waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// It is in flight.
    Flight(PacketId),
    /// Its PUBREL is.
    Release(PacketId),
}

const MARK_FLIGHT: u8 = 1;
const MARK_RELEASE: u8 = 2;

/// Any record, owned: for those who read a whole store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Record {
    Session(SessionId, SessionRecord),
    Subscription(SessionId, SubscriptionRecord),
    Incoming(SessionId, PacketId),
    Mark(SessionId, Seq, Mark),
    Entry {
        session: SessionId,
        seq: Seq,
        terms: EntryTerms,
        data_len: u32,
        body: BodyPlace<StoredMessage>,
    },
    Maxima(Maxima),
    Body(BodyId, StoredMessage),
    OwnBody(SessionId, Seq, StoredMessage),
    Retained(StoredMessage),
}

/// Reads any record. Whether the key of a long name fits its value is not judged here.
pub(crate) fn decode(space: Space, key: &[u8], value: &[u8]) -> Result<Record> {
    Ok(match Key::read(space, key)? {
        Key::Session(session) => Record::Session(session, read_session(value)?),
        Key::Subscription(session, name) => {
            Record::Subscription(session, read_subscription(name, value)?)
        }
        Key::Incoming(session, packet_id) => {
            read_incoming(value)?;
            Record::Incoming(session, packet_id)
        }
        Key::Mark(session, seq) => Record::Mark(session, seq, read_mark(value)?),
        Key::Entry(session, seq) => {
            let view = EntryView::read(value)?;
            let body = match view.body()? {
                BodyPlace::Inline(message) => BodyPlace::Inline(message.to_stored()),
                BodyPlace::Shared(body) => BodyPlace::Shared(body),
                BodyPlace::Own => BodyPlace::Own,
            };
            let (terms, data_len) = (view.terms(), view.data_len);
            Record::Entry { session, seq, terms, data_len, body }
        }
        Key::Maxima => Record::Maxima(read_maxima(value)?),
        Key::Body(body) => Record::Body(body, read_message(value)?.to_stored()),
        Key::OwnBody(session, seq) => {
            Record::OwnBody(session, seq, read_message(value)?.to_stored())
        }
        Key::Retained(_, name) => {
            let message = read_message(value)?;
            match name {
                Name::Whole(topic) if topic != message.topic() => return Err(FormatError::Key),
                _ => Record::Retained(message.to_stored()),
            }
        }
    })
}

/// A message that is a record of its own: a body or a retained message.
pub(crate) fn read_message(value: &[u8]) -> Result<MessageView<'_>> {
    let mut reader = Reader::new(value);
    reader.version()?;
    MessageView::read(reader)
}

pub(crate) fn put_session(out: &mut Vec<u8>, record: &SessionRecord) {
    let SessionRecord { client_id, expiry_s, left_at_wall_ms, will } = record;
    let expires = will.as_ref().is_some_and(|will| will.expiry_s.is_some());
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    out.write_u8(super::RECORD_VERSION);
    out.write_u8(
        flag(left_at_wall_ms.is_some(), HAS_LEFT_AT)
            | flag(will.is_some(), HAS_WILL)
            | flag(expires, WILL_EXPIRES),
    );
    out.write_u32(*expiry_s);
    if let Some(left_at) = left_at_wall_ms {
        out.write_u64(*left_at);
    }
    out.write_text(client_id);
    if let Some(will) = will {
        out.write_u32(will.delay_s);
        if let Some(expiry_s) = will.expiry_s {
            out.write_u32(expiry_s);
        }
        put_stored_message(out, &will.message);
    }
}

pub(crate) fn read_session(value: &[u8]) -> Result<SessionRecord> {
    let mut reader = Reader::new(value);
    reader.version()?;
    let flags = reader.flags(HAS_LEFT_AT | HAS_WILL | WILL_EXPIRES)?;
    let expiry_s = reader.u32()?;
    let left_at_wall_ms = match flags & HAS_LEFT_AT {
        0 => None,
        _ => Some(reader.u64()?),
    };
    let client_id = Box::from(reader.text()?);
    let will = match flags & (HAS_WILL | WILL_EXPIRES) {
        0 => {
            reader.end()?;
            None
        }
        WILL_EXPIRES => return Err(FormatError::Value("flags")),
        _ => {
            let delay_s = reader.u32()?;
            let expiry_s = match flags & WILL_EXPIRES {
                0 => None,
                _ => Some(reader.u32()?),
            };
            let message = MessageView::read(reader)?.to_stored();
            Some(Box::new(WillRecord { message, delay_s, expiry_s }))
        }
    };
    Ok(SessionRecord { client_id, expiry_s, left_at_wall_ms, will })
}

/// The filter stands in the value only when the key has its hash.
pub(crate) fn put_subscription(out: &mut Vec<u8>, name: Name<'_>, record: &SubscriptionRecord) {
    out.write_u8(super::RECORD_VERSION);
    out.write_u8(record.options);
    out.write_u32(record.subscription_id);
    if matches!(name, Name::Long(_)) {
        out.write_text(&record.filter);
    }
}

pub(crate) fn read_subscription(name: Name<'_>, value: &[u8]) -> Result<SubscriptionRecord> {
    let mut reader = Reader::new(value);
    reader.version()?;
    let (options, subscription_id) = (reader.u8()?, reader.u32()?);
    let filter = match name {
        Name::Whole(filter) => filter,
        Name::Long(_) => reader.text()?,
    };
    reader.end()?;
    Ok(SubscriptionRecord { filter: Box::from(filter), options, subscription_id })
}

pub(crate) fn put_incoming(out: &mut Vec<u8>) {
    out.write_u8(super::RECORD_VERSION);
}

pub(crate) fn read_incoming(value: &[u8]) -> Result<()> {
    let mut reader = Reader::new(value);
    reader.version()?;
    reader.end()
}

pub(crate) fn put_mark(out: &mut Vec<u8>, mark: Mark) {
    let (kind, packet_id) = match mark {
        Mark::Flight(packet_id) => (MARK_FLIGHT, packet_id),
        Mark::Release(packet_id) => (MARK_RELEASE, packet_id),
    };
    out.write_u8(super::RECORD_VERSION);
    out.write_u8(kind);
    out.write_u16(packet_id.get());
}

pub(crate) fn read_mark(value: &[u8]) -> Result<Mark> {
    let mut reader = Reader::new(value);
    reader.version()?;
    let kind = reader.u8()?;
    let packet_id = PacketId::new(reader.u16()?).ok_or(FormatError::Value("packet id"))?;
    reader.end()?;
    match kind {
        MARK_FLIGHT => Ok(Mark::Flight(packet_id)),
        MARK_RELEASE => Ok(Mark::Release(packet_id)),
        _ => Err(FormatError::Value("kind")),
    }
}

pub(crate) fn put_maxima(out: &mut Vec<u8>, maxima: Maxima) {
    out.write_u8(super::RECORD_VERSION);
    out.write_u64(maxima.session_number);
    out.write_u64(maxima.body_counter);
}

pub(crate) fn read_maxima(value: &[u8]) -> Result<Maxima> {
    let mut reader = Reader::new(value);
    reader.version()?;
    let (session_number, body_counter) = (reader.u64()?, reader.u64()?);
    reader.end()?;
    Ok(Maxima { session_number, body_counter })
}
