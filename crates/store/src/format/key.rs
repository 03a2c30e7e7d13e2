//! The keys of all records. Must not know values.

use martlet_engine::store::{BodyId, Seq, SessionId};
use martlet_engine::{PARTITIONS, partition};
use martlet_proto::PacketId;

use super::bytes::{FormatError, Reader, Result, Write, text};
use super::long_name::{LONG_NAME_LEN, long_name};

/// Which of the two sorted sets a record is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Space {
    Records,
    Messages,
}

/// A key, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Key<'a> {
    Session(SessionId),
    Subscription(SessionId, Name<'a>),
    Incoming(SessionId, PacketId),
    Mark(SessionId, Seq),
    Entry(SessionId, Seq),
    Maxima,
    Body(BodyId),
    OwnBody(SessionId, Seq),
    Retained(u16, Name<'a>),
}

/// A topic name or filter in a key: whole, or as its hash when it is long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Name<'a> {
    Whole(&'a str),
    Long([u8; LONG_NAME_LEN]),
}

/// Longer names stand in the key as a hash and in the value as they are. Far above what anybody
/// uses, far below the 65,535 bytes that a key may have.
pub(crate) const NAME_IN_KEY_MAX: usize = 1024;

const KIND_SESSION: u8 = 1;
const KIND_SUBSCRIPTION: u8 = 2;
const KIND_INCOMING: u8 = 3;
const KIND_QUEUE: u8 = 4;
const PART_MARK: u8 = 1;
const PART_ENTRY: u8 = 2;
/// Where a partition stands for sessions: no partition is so large.
const META: u16 = 0xFFFF;
const META_MAXIMA: u8 = 1;
const MESSAGES_BODY: u8 = 1;
const MESSAGES_OWN_BODY: u8 = 2;
const MESSAGES_RETAINED: u8 = 3;
const NAME_WHOLE: u8 = 0;
const NAME_LONG: u8 = 1;

/// Bytes of what all keys of a session begin with.
pub(crate) const SESSION_PREFIX_LEN: usize = 10;

impl<'a> Name<'a> {
    /// `secret` is the store's identity: nobody outside can find two names with one hash.
    pub(crate) fn new(name: &'a str, secret: u128) -> Self {
        match name.len() <= NAME_IN_KEY_MAX {
            true => Self::Whole(name),
            false => Self::Long(long_name(name, secret)),
        }
    }

    fn put(self, out: &mut impl Write) {
        match self {
            Self::Whole(name) => {
                out.write_u8(NAME_WHOLE);
                out.write(name.as_bytes());
            }
            Self::Long(hash) => {
                out.write_u8(NAME_LONG);
                out.write(&hash);
            }
        }
    }

    fn read(reader: &mut Reader<'a>) -> Result<Self> {
        match reader.u8()? {
            NAME_WHOLE => {
                let rest = reader.rest();
                if rest.len() > NAME_IN_KEY_MAX {
                    return Err(FormatError::Key);
                }
                Ok(Self::Whole(text(reader.bytes(rest.len())?)?))
            }
            NAME_LONG => {
                let hash = reader.bytes(LONG_NAME_LEN)?;
                Ok(Self::Long(hash.try_into().map_err(|_| FormatError::Key)?))
            }
            _ => Err(FormatError::Key),
        }
    }
}

impl<'a> Key<'a> {
    /// The key of a retained message.
    pub(crate) fn retained(topic: &'a str, secret: u128) -> Self {
        Self::Retained(partition(topic), Name::new(topic, secret))
    }

    pub(crate) fn space(self) -> Space {
        match self {
            Self::Body(_) | Self::OwnBody(..) | Self::Retained(..) => Space::Messages,
            _ => Space::Records,
        }
    }

    /// The session it belongs to, if any.
    pub(crate) fn session(self) -> Option<SessionId> {
        match self {
            Self::Session(session)
            | Self::Subscription(session, _)
            | Self::Incoming(session, _)
            | Self::Mark(session, _)
            | Self::Entry(session, _)
            | Self::OwnBody(session, _) => Some(session),
            Self::Maxima | Self::Body(_) | Self::Retained(..) => None,
        }
    }

    pub(crate) fn put(self, out: &mut impl Write) {
        match self {
            Self::Session(session) => put_session(out, session, KIND_SESSION),
            Self::Subscription(session, name) => {
                put_session(out, session, KIND_SUBSCRIPTION);
                name.put(out);
            }
            Self::Incoming(session, packet_id) => {
                put_session(out, session, KIND_INCOMING);
                out.write_u16(packet_id.get());
            }
            Self::Mark(session, seq) => put_queue(out, session, seq, PART_MARK),
            Self::Entry(session, seq) => put_queue(out, session, seq, PART_ENTRY),
            Self::Maxima => {
                out.write_u16(META);
                out.write_u8(META_MAXIMA);
            }
            Self::Body(body) => {
                out.write_u8(MESSAGES_BODY);
                out.write_u64(body.0);
            }
            Self::OwnBody(session, seq) => {
                out.write(&own_bodies_prefix(session));
                out.write_u64(seq);
            }
            Self::Retained(partition, name) => {
                out.write_u8(MESSAGES_RETAINED);
                out.write_u16(partition);
                name.put(out);
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn to_vec(self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.put(&mut bytes);
        bytes
    }

    pub(crate) fn read(space: Space, key: &'a [u8]) -> Result<Self> {
        let mut reader = Reader::new(key);
        let key = match space {
            Space::Records => read_record(&mut reader)?,
            Space::Messages => read_message(&mut reader)?,
        };
        reader.end().map_err(|_| FormatError::Key)?;
        Ok(key)
    }
}

fn put_session(out: &mut impl Write, session: SessionId, kind: u8) {
    out.write(&session_prefix(session));
    out.write_u8(kind);
}

fn put_queue(out: &mut impl Write, session: SessionId, seq: Seq, part: u8) {
    put_session(out, session, KIND_QUEUE);
    out.write_u64(seq);
    out.write_u8(part);
}

fn read_record<'a>(reader: &mut Reader<'a>) -> Result<Key<'a>> {
    let partition = reader.u16()?;
    if partition == META {
        return match reader.u8()? {
            META_MAXIMA => Ok(Key::Maxima),
            _ => Err(FormatError::Key),
        };
    }
    let session = read_session(partition, reader)?;
    match reader.u8()? {
        KIND_SESSION => Ok(Key::Session(session)),
        KIND_SUBSCRIPTION => Ok(Key::Subscription(session, Name::read(reader)?)),
        KIND_INCOMING => {
            let packet_id = PacketId::new(reader.u16()?).ok_or(FormatError::Key)?;
            Ok(Key::Incoming(session, packet_id))
        }
        KIND_QUEUE => {
            let seq = reader.u64()?;
            match reader.u8()? {
                PART_MARK => Ok(Key::Mark(session, seq)),
                PART_ENTRY => Ok(Key::Entry(session, seq)),
                _ => Err(FormatError::Key),
            }
        }
        _ => Err(FormatError::Key),
    }
}

fn read_message<'a>(reader: &mut Reader<'a>) -> Result<Key<'a>> {
    match reader.u8()? {
        MESSAGES_BODY => Ok(Key::Body(BodyId(reader.u64()?))),
        MESSAGES_OWN_BODY => {
            let partition = reader.u16()?;
            let session = read_session(partition, reader)?;
            Ok(Key::OwnBody(session, reader.u64()?))
        }
        MESSAGES_RETAINED => {
            let partition = reader.u16()?;
            if partition >= PARTITIONS {
                return Err(FormatError::Key);
            }
            Ok(Key::Retained(partition, Name::read(reader)?))
        }
        _ => Err(FormatError::Key),
    }
}

fn read_session(partition: u16, reader: &mut Reader<'_>) -> Result<SessionId> {
    if partition >= PARTITIONS {
        return Err(FormatError::Key);
    }
    Ok(SessionId { partition, number: reader.u64()? })
}

/// What all keys of a session in [`Space::Records`] begin with.
pub(crate) fn session_prefix(session: SessionId) -> [u8; SESSION_PREFIX_LEN] {
    let mut prefix = [0; SESSION_PREFIX_LEN];
    prefix[..2].copy_from_slice(&session.partition.to_be_bytes());
    prefix[2..].copy_from_slice(&session.number.to_be_bytes());
    prefix
}

/// What all keys of a session in [`Space::Messages`] begin with.
pub(crate) fn own_bodies_prefix(session: SessionId) -> [u8; 1 + SESSION_PREFIX_LEN] {
    let mut prefix = [MESSAGES_OWN_BODY; 1 + SESSION_PREFIX_LEN];
    prefix[1..].copy_from_slice(&session_prefix(session));
    prefix
}

/// The first possible key of a session's queue from a place on, and the last of it.
pub(crate) fn queue_range(session: SessionId, from: Seq) -> (Vec<u8>, Vec<u8>) {
    let (mut first, mut last) = (Vec::with_capacity(20), Vec::with_capacity(20));
    put_queue(&mut first, session, from, 0);
    put_queue(&mut last, session, Seq::MAX, u8::MAX);
    (first, last)
}

/// What the keys of all retained messages begin with.
pub(crate) const RETAINED_PREFIX: [u8; 1] = [MESSAGES_RETAINED];
