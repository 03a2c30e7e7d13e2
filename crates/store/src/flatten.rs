//! From a group to the operations on single records that the disk is given, and what is known
//! afterwards. Decides where messages go: into the entry, into a shared body, into an own one.
//! Must not know how it is committed.

use std::sync::Arc;

use fjall::Slice;
use martlet_engine::store::{BodyId, Seq, SessionId};
use martlet_engine::{Message, MessageFields, Now};

use crate::disk::{Disk, DiskOp};
use crate::format::{
    BodyPlace, EntryView, Key, RECORD_VERSION, Space, put_entry, put_incoming, put_mark,
    put_maxima, put_message, session_prefix,
};
use crate::group::{Change, EntryPut, Group, NamedValue};
use crate::known::{Known, Map, Place, Set};

/// Bytes of data up to which a message that nobody shares stands in its entry. A restart reads all
/// entries: a million of them must not be more than a few hundred megabytes.
const INLINE_BYTES_MAX: usize = 512;
/// How much further than needed the largest body number is written, so that it is written rarely.
const BODY_COUNTER_STEP: u64 = 1 << 16;

/// A shared body that gains or loses references with this group.
#[derive(Debug)]
struct Touched {
    before: u32,
    message: Option<(Arc<Message>, Now)>,
}

/// Turns groups into operations.
#[derive(Debug)]
struct Flatten<'a> {
    known: &'a mut Known,
    ops: Vec<DiskOp>,
    value: Vec<u8>,
    key: Vec<u8>,
    touched: Map<BodyId, Touched>,
}

/// The operations that a group comes to, no key twice. `known` is as if they were written.
///
/// # Errors
/// When the disk cannot be read; `known` has not changed then in what matters, and the group can be
/// given again.
pub(crate) fn flatten(group: &Group, known: &mut Known, disk: &Disk) -> fjall::Result<Vec<DiskOp>> {
    // All reading comes first: nothing may be half done when it fails.
    let ends = read_ended(group, known, disk)?;
    let places = read_places(group, known, disk)?;
    let (value, key) = (Vec::with_capacity(1024), Vec::with_capacity(64));
    let ops = Vec::with_capacity(group.ops());
    let mut flatten = Flatten { known, ops, value, key, touched: Map::default() };
    flatten.put_ends(ends);
    flatten.put_queues(group, &places);
    flatten.put_incoming(group);
    flatten.put_named(group);
    flatten.put_bodies();
    let mut ops = flatten.ops;
    if !group.ended.is_empty() {
        keep_last(&mut ops);
    }
    // Neighbours find their place in the engine's memtable on a path that is still in the cache.
    ops.sort_unstable_by(|one, other| (one.space, &one.key).cmp(&(other.space, &other.key)));
    Ok(ops)
}

/// What an ended session has on the disk.
type Ended = (SessionId, Vec<(Slice, Option<BodyPlace<()>>)>);
/// Where the messages of removed entries are, as far as they had to be read.
type Places = Map<(u64, Seq), BodyPlace<()>>;

fn read_ended(group: &Group, known: &Known, disk: &Disk) -> fjall::Result<Vec<Ended>> {
    let mut ends = Vec::new();
    for session in group.ended.iter().filter(|session| known.has_session(session.number)) {
        let mut records = Vec::new();
        for guard in disk.set(Space::Records).prefix(session_prefix(*session)) {
            let (key, value) = guard.into_inner()?;
            let place = match Key::read(Space::Records, &key) {
                Ok(Key::Entry(..)) => EntryView::read(&value).ok().map(|view| view.place()),
                _ => None,
            };
            records.push((key, place));
        }
        ends.push((*session, records));
    }
    Ok(ends)
}

fn read_places(group: &Group, known: &Known, disk: &Disk) -> fjall::Result<Places> {
    let mut places = Places::default();
    let mut key = Vec::with_capacity(20);
    for (at, change) in group.queue.iter().enumerate() {
        let queue_key = (change.session.number, change.seq);
        let is_removed = matches!(change.entry, Change::Remove) && group.queue_stands(at);
        if !is_removed || known.place(queue_key) != Place::OnDisk {
            continue;
        }
        key.clear();
        Key::Entry(change.session, change.seq).put(&mut key);
        let value = disk.get(Space::Records, &key)?;
        let view = value.as_ref().and_then(|value| EntryView::read(value).ok());
        places.insert(queue_key, view.map_or(BodyPlace::Inline(()), |view| view.place()));
    }
    Ok(places)
}

/// Of operations on the same key only the last one counts.
fn keep_last(ops: &mut Vec<DiskOp>) {
    let mut seen = Set::default();
    ops.reverse();
    ops.retain(|op| seen.insert((op.space, op.key.clone())));
}

impl Flatten<'_> {
    fn push(&mut self, key: Key<'_>, value: Option<Slice>) {
        self.key.clear();
        key.put(&mut self.key);
        self.ops.push(DiskOp { space: key.space(), key: Slice::from(&self.key[..]), value });
    }

    /// Writes what stands in `self.value`.
    fn push_value(&mut self, key: Key<'_>) {
        let value = Slice::from(&self.value[..]);
        self.push(key, Some(value));
    }

    fn put_ends(&mut self, ends: Vec<Ended>) {
        for (session, records) in ends {
            for (key, place) in records {
                match Key::read(Space::Records, &key) {
                    Ok(Key::Entry(_, seq)) => {
                        self.known.remove_entry((session.number, seq));
                        self.remove_body(session, seq, place.unwrap_or(BodyPlace::Inline(())));
                    }
                    Ok(Key::Mark(_, seq)) => self.known.remove_mark((session.number, seq)),
                    Ok(Key::Incoming(_, packet_id)) => {
                        self.known.remove_incoming(session.number, packet_id.get());
                    }
                    _ => {}
                }
                self.ops.push(DiskOp { space: Space::Records, key, value: None });
            }
            self.known.remove_session(session);
        }
    }

    fn put_queues(&mut self, group: &Group, places: &Places) {
        for (at, change) in group.queue.iter().enumerate() {
            if !group.queue_stands(at) {
                continue;
            }
            let (session, seq) = (change.session, change.seq);
            let key = (session.number, seq);
            match &change.entry {
                Change::Keep => {}
                Change::Put(put) => self.put_entry(session, seq, put),
                Change::Remove => {
                    let place = match self.known.remove_entry(key) {
                        Place::Known(place) => place,
                        Place::OnDisk => places.get(&key).copied().unwrap_or(BodyPlace::Inline(())),
                    };
                    self.remove_body(session, seq, place);
                    self.push(Key::Entry(session, seq), None);
                }
            }
            match change.mark {
                Change::Keep => {}
                Change::Put(mark) => {
                    self.value.clear();
                    put_mark(&mut self.value, mark);
                    self.push_value(Key::Mark(session, seq));
                    self.known.put_mark(key, mark);
                }
                Change::Remove => {
                    self.push(Key::Mark(session, seq), None);
                    self.known.remove_mark(key);
                }
            }
        }
    }

    fn put_entry(&mut self, session: SessionId, seq: Seq, put: &EntryPut) {
        let fields = put.message.fields(put.now);
        let data_len = put.message.data_len();
        let place = match fields.body {
            Some(body) => BodyPlace::Shared(body),
            None if data_len > INLINE_BYTES_MAX => BodyPlace::Own,
            None => BodyPlace::Inline(&fields),
        };
        self.value.clear();
        put_entry(&mut self.value, &put.terms, data_len as u32, place);
        self.push_value(Key::Entry(session, seq));
        let place = match place {
            BodyPlace::Inline(_) => BodyPlace::Inline(()),
            BodyPlace::Own => {
                self.put_message(Key::OwnBody(session, seq), &fields);
                BodyPlace::Own
            }
            BodyPlace::Shared(body) => {
                let before = self.known.add_reference(body);
                let touched = self.touched.entry(body);
                let touched = touched.or_insert(Touched { before, message: None });
                if touched.message.is_none() && touched.before == 0 {
                    touched.message = Some((Arc::clone(&put.message), put.now));
                }
                BodyPlace::Shared(body)
            }
        };
        self.known.put_entry(session, seq, place);
    }

    fn remove_body(&mut self, session: SessionId, seq: Seq, place: BodyPlace<()>) {
        match place {
            BodyPlace::Inline(()) => {}
            BodyPlace::Own => self.push(Key::OwnBody(session, seq), None),
            BodyPlace::Shared(body) => {
                let before = self.known.drop_reference(body);
                self.touched.entry(body).or_insert(Touched { before, message: None });
            }
        }
    }

    fn put_message(&mut self, key: Key<'_>, fields: &MessageFields<'_>) {
        self.value.clear();
        self.value.push(RECORD_VERSION);
        put_message(&mut self.value, fields);
        self.push_value(key);
    }

    fn put_incoming(&mut self, group: &Group) {
        for (at, change) in group.incoming.iter().enumerate() {
            let (session, number) = (change.session, change.session.number);
            let is_on_disk = self.known.has_incoming(number, change.packet_id);
            if is_on_disk == change.is_there || !group.incoming_stands(at) {
                continue;
            }
            let Some(packet_id) = martlet_proto::PacketId::new(change.packet_id) else { continue };
            let key = Key::Incoming(session, packet_id);
            if change.is_there {
                self.value.clear();
                put_incoming(&mut self.value);
                self.push_value(key);
                self.known.put_incoming(number, change.packet_id);
            } else {
                self.push(key, None);
                self.known.remove_incoming(number, change.packet_id);
            }
        }
    }

    fn put_named(&mut self, group: &Group) {
        for (at, change) in group.named.iter().enumerate() {
            if !group.named_stands(at) {
                continue;
            }
            let value = match &change.value {
                NamedValue::Remove => None,
                NamedValue::Bytes(bytes) => Some(Slice::from(&bytes[..])),
                NamedValue::Session(bytes) => {
                    let session = change.session.expect("the record of a session has one");
                    self.known.put_session(session);
                    self.raise_session_number(session.number);
                    Some(Slice::from(&bytes[..]))
                }
                NamedValue::Message(message, now) => {
                    self.value.clear();
                    self.value.push(RECORD_VERSION);
                    put_message(&mut self.value, &message.fields(*now));
                    Some(Slice::from(&self.value[..]))
                }
            };
            let key = Slice::from(&change.key[..]);
            self.ops.push(DiskOp { space: change.space, key, value });
        }
    }

    /// Bodies that got their first reference or lost their last one; and the largest numbers.
    fn put_bodies(&mut self) {
        let touched = std::mem::take(&mut self.touched);
        for (body, Touched { before, message }) in touched {
            let after = self.known.references(body);
            match message {
                Some((message, now)) if before == 0 && after > 0 => {
                    self.raise_body_counter(body.counter());
                    self.put_message(Key::Body(body), &message.fields(now));
                }
                _ if before > 0 && after == 0 => self.push(Key::Body(body), None),
                _ => {}
            }
        }
        if self.known.maxima != self.known.maxima_written {
            self.known.maxima_written = self.known.maxima;
            self.value.clear();
            put_maxima(&mut self.value, self.known.maxima);
            self.push_value(Key::Maxima);
        }
    }

    fn raise_session_number(&mut self, number: u64) {
        let maximum = &mut self.known.maxima.session_number;
        *maximum = (*maximum).max(number);
    }

    fn raise_body_counter(&mut self, counter: u64) {
        let maximum = &mut self.known.maxima.body_counter;
        if counter > *maximum {
            *maximum = counter.saturating_add(BODY_COUNTER_STEP);
        }
    }
}
