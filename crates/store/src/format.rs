//! What stands on the disk: keys and records, written and read. Pure functions on bytes; must not
//! know the storage engine or files.
//!
//! Two spaces of keys ([`Space`]): `records` holds what belongs to sessions and is scanned at a
//! restart; `messages` holds what a scan need not touch: bodies of messages, and retained messages.
//! Integers in keys and values are big-endian. Every value begins with the version of its kind's
//! format. Reading is strict: what does not decode to the last byte, or has a bit that this version
//! does not know, is an error and never a panic.
//!
//! | space | key | value |
//! |---|---|---|
//! | records | partition u16, session u64, 1 | session |
//! | records | partition u16, session u64, 2, name | subscription |
//! | records | partition u16, session u64, 3, packet id u16 | received QoS 2 message |
//! | records | partition u16, session u64, 4, seq u64, 1 | mark: in flight or released |
//! | records | partition u16, session u64, 4, seq u64, 2 | entry |
//! | records | 0xFFFF, 1 | the largest numbers given |
//! | messages | 1, body id u64 | a body that several entries share |
//! | messages | 2, partition u16, session u64, seq u64 | the body of one entry |
//! | messages | 3, partition u16, name | a retained message |

mod bytes;
mod entry;
mod key;
mod long_name;
mod message;
mod record;
#[cfg(test)]
mod tests;

pub(crate) use bytes::FormatError;
pub(crate) use entry::{BodyPlace, EntryView, put_entry};
pub(crate) use key::{Key, Name, RETAINED_PREFIX, Space, queue_range, session_prefix};
pub(crate) use message::put_message;
pub(crate) use record::{
    Mark, Record, decode, put_incoming, put_mark, put_maxima, put_session, put_subscription,
    read_incoming, read_mark, read_maxima, read_message, read_session, read_subscription,
};

/// The format of the whole directory: raised when a reader of the old one would go wrong.
pub(crate) const FORMAT: u32 = 1;

/// The version byte of every kind of record. Each kind may get its own when one of them changes.
pub(crate) const RECORD_VERSION: u8 = 1;
