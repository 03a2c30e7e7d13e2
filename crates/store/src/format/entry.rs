//! A session's message in its queue: on what terms, how long, and the message itself or where it
//! is. The head stands first, so that counting needs no message. Must not know sessions.

use std::sync::Arc;

use martlet_engine::MessageFields;
use martlet_engine::store::{BodyId, EntryTerms};
use martlet_proto::{PacketId, Qos};

use super::bytes::{FormatError, Reader, Result, Write};
use super::message::{MessageView, put_message};

const QOS_2: u8 = 1;
const RETAIN: u8 = 1 << 1;
const HAS_PACKET_ID: u8 = 1 << 2;
const HAS_GROUP: u8 = 1 << 3;
const HAS_SUBSCRIPTION_IDS: u8 = 1 << 4;
const BODY_SHARED: u8 = 1 << 5;
const BODY_OWN: u8 = 1 << 6;
const KNOWN: u8 = 0x7F;

/// Where the message of an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyPlace<T> {
    /// In the entry.
    Inline(T),
    /// In a body that several entries share.
    Shared(BodyId),
    /// In a body of its own.
    Own,
}

/// Appends an entry: version, flags, length of the data, packet id, subscription ids, group, and
/// what `place` says of the message.
pub(crate) fn put_entry(
    out: &mut Vec<u8>,
    terms: &EntryTerms,
    data_len: u32,
    place: BodyPlace<&MessageFields<'_>>,
) {
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    let flags = flag(terms.qos == Qos::ExactlyOnce, QOS_2)
        | flag(terms.retain, RETAIN)
        | flag(terms.packet_id.is_some(), HAS_PACKET_ID)
        | flag(terms.group.is_some(), HAS_GROUP)
        | flag(!terms.subscription_ids.is_empty(), HAS_SUBSCRIPTION_IDS)
        | match place {
            BodyPlace::Inline(_) => 0,
            BodyPlace::Shared(_) => BODY_SHARED,
            BodyPlace::Own => BODY_OWN,
        };
    out.write_u8(super::RECORD_VERSION);
    out.write_u8(flags);
    out.write_u32(data_len);
    if let Some(packet_id) = terms.packet_id {
        out.write_u16(packet_id.get());
    }
    if !terms.subscription_ids.is_empty() {
        out.write_u32(terms.subscription_ids.len() as u32);
        terms.subscription_ids.iter().for_each(|id| out.write_u32(*id));
    }
    if let Some(group) = &terms.group {
        out.write_text(group);
    }
    match place {
        BodyPlace::Inline(message) => put_message(out, message),
        BodyPlace::Shared(body) => out.write_u64(body.0),
        BodyPlace::Own => {}
    }
}

/// An entry, its message not yet looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EntryView<'a> {
    pub(crate) qos: Qos,
    pub(crate) retain: bool,
    pub(crate) packet_id: Option<PacketId>,
    /// Bytes of the message's data.
    pub(crate) data_len: u32,
    pub(crate) group: Option<&'a str>,
    /// Four bytes each.
    subscription_ids: &'a [u8],
    body: BodyPlace<Reader<'a>>,
}

impl<'a> EntryView<'a> {
    /// Reads everything but an inline message.
    pub(crate) fn read(value: &'a [u8]) -> Result<Self> {
        let mut reader = Reader::new(value);
        reader.version()?;
        let flags = reader.flags(KNOWN)?;
        let data_len = reader.u32()?;
        let packet_id = match flags & HAS_PACKET_ID {
            0 => None,
            _ => Some(PacketId::new(reader.u16()?).ok_or(FormatError::Value("packet id"))?),
        };
        let subscription_ids = match flags & HAS_SUBSCRIPTION_IDS {
            0 => &[][..],
            _ => read_ids(&mut reader)?,
        };
        let group = match flags & HAS_GROUP {
            0 => None,
            _ => Some(reader.text()?),
        };
        let body = match flags & (BODY_SHARED | BODY_OWN) {
            0 => BodyPlace::Inline(reader),
            BODY_SHARED => BodyPlace::Shared(BodyId(reader.u64()?)),
            BODY_OWN => BodyPlace::Own,
            _ => return Err(FormatError::Value("flags")),
        };
        if !matches!(body, BodyPlace::Inline(_)) {
            reader.end()?;
        }
        let qos = if flags & QOS_2 == 0 { Qos::AtLeastOnce } else { Qos::ExactlyOnce };
        let retain = flags & RETAIN != 0;
        Ok(Self { qos, retain, packet_id, data_len, group, subscription_ids, body })
    }

    /// Where the message is, read if it is in here.
    pub(crate) fn body(&self) -> Result<BodyPlace<MessageView<'a>>> {
        Ok(match self.body {
            BodyPlace::Inline(reader) => {
                let message = MessageView::read(reader)?;
                if message.data.len() as u64 != u64::from(self.data_len) {
                    return Err(FormatError::Value("length"));
                }
                BodyPlace::Inline(message)
            }
            BodyPlace::Shared(body) => BodyPlace::Shared(body),
            BodyPlace::Own => BodyPlace::Own,
        })
    }

    /// Where the message is; an inline one is not looked at.
    pub(crate) fn place(&self) -> BodyPlace<()> {
        match self.body {
            BodyPlace::Inline(_) => BodyPlace::Inline(()),
            BodyPlace::Shared(body) => BodyPlace::Shared(body),
            BodyPlace::Own => BodyPlace::Own,
        }
    }

    pub(crate) fn terms(&self) -> EntryTerms {
        let (ids, _) = self.subscription_ids.as_chunks::<4>();
        EntryTerms {
            qos: self.qos,
            retain: self.retain,
            subscription_ids: ids.iter().map(|id| u32::from_be_bytes(*id)).collect(),
            group: self.group.map(Arc::from),
            packet_id: self.packet_id,
        }
    }
}

fn read_ids<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8]> {
    let count = reader.u32()?;
    if count == 0 {
        return Err(FormatError::Value("number of subscription ids"));
    }
    let len = (count as usize).checked_mul(4).ok_or(FormatError::Short)?;
    reader.bytes(len)
}
