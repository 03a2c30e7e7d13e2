//! A message as it is written: a head of at most 32 bytes, then topic name, forwarded properties
//! and payload as they are. Must not know who waits for it.

use martlet_engine::MessageFields;
use martlet_engine::store::{BodyId, StoredMessage};
use martlet_proto::Qos;

use super::bytes::{FormatError, Reader, Result, Write, text};

const QOS_BITS: u8 = 0b11;
const RETAIN: u8 = 1 << 2;
const EXPIRES: u8 = 1 << 3;
const HAS_BODY: u8 = 1 << 4;

/// Appends a message: flags, origin, expiry if any, body id if any, lengths, data.
pub(crate) fn put_message(out: &mut Vec<u8>, message: &MessageFields<'_>) {
    put_head(out, message);
    out.write(message.topic.as_bytes());
    out.write(message.forward);
    out.write(message.payload);
}

/// The same for a message that was read back.
pub(crate) fn put_stored_message(out: &mut Vec<u8>, message: &StoredMessage) {
    let (topic, rest) = message.data.split_at(message.topic_len as usize);
    let (forward, payload) = rest.split_at(message.forward_len as usize);
    put_message(
        out,
        &MessageFields {
            topic: std::str::from_utf8(topic).expect("whoever makes a message has checked it"),
            forward,
            payload,
            qos: message.qos,
            retain: message.retain,
            expires_at_wall_ms: message.expires_at_wall_ms,
            origin: message.origin,
            body: message.body,
        },
    );
}

fn put_head(out: &mut Vec<u8>, message: &MessageFields<'_>) {
    let expires = message.expires_at_wall_ms != u64::MAX;
    let retain = if message.retain { RETAIN } else { 0 };
    let expiry = if expires { EXPIRES } else { 0 };
    let body = if message.body.is_some() { HAS_BODY } else { 0 };
    out.write_u8(message.qos as u8 | retain | expiry | body);
    out.write_u64(message.origin);
    if expires {
        out.write_u64(message.expires_at_wall_ms);
    }
    if let Some(body) = message.body {
        out.write_u64(body.0);
    }
    out.write_u16(u16::try_from(message.topic.len()).expect("MQTT strings have 16 bits of length"));
    out.write_u32(message.forward.len() as u32);
}

/// A message in a record, not copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MessageView<'a> {
    /// Topic name, forwarded properties and payload.
    pub(crate) data: &'a [u8],
    pub(crate) topic_len: u32,
    pub(crate) forward_len: u32,
    pub(crate) qos: Qos,
    pub(crate) retain: bool,
    pub(crate) expires_at_wall_ms: u64,
    pub(crate) origin: u64,
    pub(crate) body: Option<BodyId>,
}

impl<'a> MessageView<'a> {
    /// Reads a message that ends with the bytes.
    pub(crate) fn read(mut reader: Reader<'a>) -> Result<Self> {
        let flags = reader.flags(QOS_BITS | RETAIN | EXPIRES | HAS_BODY)?;
        let qos = Qos::from_bits(flags & QOS_BITS).ok_or(FormatError::Value("QoS"))?;
        let origin = reader.u64()?;
        let expires_at_wall_ms = match flags & EXPIRES {
            0 => u64::MAX,
            _ => reader.u64()?,
        };
        let body = match flags & HAS_BODY {
            0 => None,
            _ => Some(BodyId(reader.u64()?)),
        };
        let (topic_len, forward_len) = (u32::from(reader.u16()?), reader.u32()?);
        let data = reader.rest();
        let lens = u64::from(topic_len) + u64::from(forward_len);
        if lens > data.len() as u64 {
            return Err(FormatError::Short);
        }
        text(&data[..topic_len as usize])?;
        let retain = flags & RETAIN != 0;
        Ok(Self { data, topic_len, forward_len, qos, retain, expires_at_wall_ms, origin, body })
    }

    pub(crate) fn topic(&self) -> &'a str {
        text(&self.data[..self.topic_len as usize]).expect("checked when it was read")
    }

    pub(crate) fn to_stored(self) -> StoredMessage {
        let Self { topic_len, forward_len, qos, retain, expires_at_wall_ms, origin, body, .. } =
            self;
        let data = Box::from(self.data);
        StoredMessage {
            data,
            topic_len,
            forward_len,
            qos,
            retain,
            expires_at_wall_ms,
            origin,
            body,
        }
    }
}
