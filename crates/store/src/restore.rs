//! Reading a store back at a restart: one pass over all records of sessions, one over retained
//! messages. Owns what counts as an orphan. Must not know the engine's side of a restart.

use std::time::{Duration, Instant};

use fjall::Slice;
use martlet_engine::store::{
    BodyId, Restored, RestoredFlight, RestoredSession, Seq, SessionId, SessionRecord, Waiting,
};
use martlet_proto::PacketId;

use crate::disk::{Disk, DiskOp};
use crate::format::{
    BodyPlace, EntryView, FormatError, Key, Mark, Name, RETAINED_PREFIX, Space, read_incoming,
    read_mark, read_maxima, read_message, read_session, read_subscription,
};
use crate::known::Known;
use crate::load::read_entry;
use crate::open::{Maxima, Progress, RestoreReport};

/// Nothing is told of a restart that is quicker.
const QUIET: Duration = Duration::from_secs(1);
/// From then on it is told so often at least; half of what is promised.
const TELL_EVERY: Duration = Duration::from_millis(50);
/// The clock is read once in so many records.
const RECORDS_PER_LOOK: u32 = 256;
/// Records that are removed at once.
const REMOVED_AT_ONCE: usize = 4096;

/// A restart under way.
pub(crate) struct Restore<'a> {
    disk: &'a Disk,
    secret: u128,
    known: &'a mut Known,
    report: RestoreReport,
    /// What is to be removed, and what gets another key instead.
    removed: Vec<DiskOp>,
    progress: &'a mut dyn FnMut(Progress),
    to: &'a mut dyn FnMut(Restored),
    started: Instant,
    told: Instant,
    records: u32,
    damaged: u64,
    given: &'a mut Given,
    /// Bodies that an entry without a session referred to.
    loose: Vec<BodyId>,
}

/// How far an earlier attempt came: what it gave is not given again.
#[derive(Debug, Default)]
pub(crate) struct Given {
    session: Option<SessionId>,
    retained: Option<Slice>,
}

/// A session of which not everything has been read.
struct Open {
    restored: RestoredSession,
    /// The last mark that says "in flight", as long as its entry has not come: place, packet
    /// identifier, key.
    flight: Option<(Seq, PacketId, Slice)>,
    /// Whether its record is there and can be read.
    is_whole: bool,
}

impl<'a> Restore<'a> {
    pub(crate) fn new(
        disk: &'a Disk,
        secret: u128,
        known: &'a mut Known,
        given: &'a mut Given,
        progress: &'a mut dyn FnMut(Progress),
        to: &'a mut dyn FnMut(Restored),
    ) -> Self {
        let started = Instant::now();
        Self {
            disk,
            secret,
            known,
            report: RestoreReport::default(),
            removed: Vec::new(),
            progress,
            to,
            started,
            told: started,
            records: 0,
            damaged: 0,
            given,
            loose: Vec::new(),
        }
    }

    /// Reads everything.
    ///
    /// # Errors
    /// When the disk cannot be read. What was given so far was right.
    pub(crate) fn run(mut self) -> fjall::Result<RestoreReport> {
        self.sessions()?;
        self.retained()?;
        self.remove()?;
        if self.damaged > 0 {
            let what = "records could not be read and were removed".to_owned();
            let damage = crate::alarm::Damage { what, aside: None, records: self.damaged };
            self.report.damage.push(damage);
        }
        Ok(self.report)
    }

    fn sessions(&mut self) -> fjall::Result<()> {
        let mut open: Option<Open> = None;
        for guard in self.disk.set(Space::Records).iter() {
            let (key, value) = guard.into_inner()?;
            self.tell();
            let Ok(parsed) = Key::read(Space::Records, &key) else {
                self.damaged(Space::Records, &key)?;
                continue;
            };
            let Some(session) = parsed.session() else {
                if let (Key::Maxima, Ok(maxima)) = (parsed, read_maxima(&value)) {
                    self.known.maxima = maxima;
                    self.known.maxima_written = maxima;
                }
                continue;
            };
            if open.as_ref().is_none_or(|open| open.restored.session != session) {
                self.close(open.take())?;
                open = Some(Open::new(session));
            }
            let Some(open) = &mut open else { continue };
            let is_good = match parsed {
                Key::Session(_) => open.put_record(&value),
                Key::Entry(_, seq) if !open.is_whole => {
                    self.drop_entry(session, seq, &key, &value)?;
                    true
                }
                _ if !open.is_whole => {
                    self.orphan(Space::Records, key)?;
                    continue;
                }
                Key::Entry(_, seq) => self.entry(open, seq, &key, &value)?,
                Key::Mark(_, seq) => self.mark(open, seq, &key, &value)?,
                other => open.put(other, &value),
            };
            if let (Key::Subscription(_, Name::Long(_)), true) = (parsed, is_good)
                && let Some(subscription) = open.restored.subscriptions.last()
            {
                let name = Name::new(&subscription.filter, self.secret);
                self.rename(&key, Key::Subscription(session, name), &value)?;
            }
            if !is_good {
                self.damaged(Space::Records, &key)?;
            }
        }
        self.close(open)?;
        self.remove_loose()
    }

    /// A session is complete: what is known of it, and out with it.
    fn close(&mut self, open: Option<Open>) -> fjall::Result<()> {
        let Some(mut open) = open else { return Ok(()) };
        if let Some((_, _, key)) = open.flight.take() {
            self.orphan(Space::Records, key)?;
        }
        if !open.is_whole {
            return Ok(());
        }
        let session = open.restored.session;
        let number = session.number;
        self.known.put_session(session);
        let incoming = open.restored.incoming.iter();
        incoming.for_each(|packet_id| self.known.put_incoming(number, packet_id.get()));
        // Long filters stand behind all others.
        open.restored.subscriptions.sort_by(|one, other| one.filter.cmp(&other.filter));
        let maximum = &mut self.known.maxima.session_number;
        *maximum = (*maximum).max(number);
        self.report.total.sessions += 1;
        if self.given.session.is_none_or(|given| given < session) {
            self.given.session = Some(session);
            (self.to)(Restored::Session(Box::new(open.restored)));
        }
        Ok(())
    }

    /// Whether the mark could be read.
    fn mark(
        &mut self,
        open: &mut Open,
        seq: Seq,
        key: &Slice,
        value: &[u8],
    ) -> fjall::Result<bool> {
        if let Some((_, _, key)) = open.flight.take() {
            self.orphan(Space::Records, key)?;
        }
        match read_mark(value) {
            Err(_) => Ok(false),
            Ok(Mark::Flight(packet_id)) => {
                open.flight = Some((seq, packet_id, key.clone()));
                Ok(true)
            }
            Ok(mark @ Mark::Release(packet_id)) => {
                self.known.put_mark((open.restored.session.number, seq), mark);
                open.restored.waiting.last = seq;
                open.restored.flights.push(RestoredFlight::Release { seq, packet_id });
                Ok(true)
            }
        }
    }

    /// Whether the entry could be read.
    fn entry(
        &mut self,
        open: &mut Open,
        seq: Seq,
        key: &Slice,
        value: &Slice,
    ) -> fjall::Result<bool> {
        let session = open.restored.session;
        let Ok(view) = EntryView::read(value) else { return Ok(false) };
        if matches!(self.known.mark((session.number, seq)), Some(Mark::Release(_))) {
            // Its message was taken: nothing but the release counts.
            self.drop_entry(session, seq, key, value)?;
            return Ok(true);
        }
        let flight = open.flight.take_if(|(of, _, _)| *of == seq);
        if flight.is_none() && view.packet_id.is_none() {
            open.count(seq, &view);
            self.report.total.messages += 1;
            self.know(session, seq, view.place());
            return Ok(true);
        }
        let Some(mut entry) = read_entry(self.disk, session, seq, value)? else {
            self.drop_entry(session, seq, key, value)?;
            self.damaged += 1;
            return Ok(true);
        };
        if let Some((_, packet_id, _)) = flight {
            self.known.put_mark((session.number, seq), Mark::Flight(packet_id));
            entry.terms.packet_id = Some(packet_id);
        }
        open.restored.waiting.last = seq;
        open.restored.flights.push(RestoredFlight::Publish(entry));
        self.know(session, seq, view.place());
        Ok(true)
    }

    fn know(&mut self, session: SessionId, seq: Seq, place: BodyPlace<()>) {
        self.known.put_session(session);
        self.known.put_entry(session, seq, place);
        if let BodyPlace::Shared(body) = place {
            self.known.add_reference(body);
            let maximum = &mut self.known.maxima.body_counter;
            *maximum = (*maximum).max(body.counter());
        }
    }

    /// An entry that nobody will ask for, with its body.
    fn drop_entry(
        &mut self,
        session: SessionId,
        seq: Seq,
        key: &Slice,
        value: &[u8],
    ) -> fjall::Result<()> {
        self.orphan(Space::Records, key.clone())?;
        match EntryView::read(value).map(|view| view.place()) {
            Ok(BodyPlace::Own) => self.remove_later(Key::OwnBody(session, seq)),
            Ok(BodyPlace::Shared(body)) => {
                self.loose.push(body);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Bodies that only entries without a session referred to.
    fn remove_loose(&mut self) -> fjall::Result<()> {
        for body in std::mem::take(&mut self.loose) {
            if self.known.references(body) == 0 {
                self.remove_later(Key::Body(body))?;
            }
        }
        Ok(())
    }

    fn retained(&mut self) -> fjall::Result<()> {
        let mut expected = Vec::new();
        for guard in self.disk.set(Space::Messages).prefix(RETAINED_PREFIX) {
            let (key, value) = guard.into_inner()?;
            self.tell();
            let Ok(message) = read_message(&value) else {
                self.damaged(Space::Messages, &key)?;
                continue;
            };
            expected.clear();
            let right = Key::retained(message.topic(), self.secret);
            right.put(&mut expected);
            if expected != *key {
                if !is_same_but_for_hash(&key, right) {
                    self.damaged(Space::Messages, &key)?;
                    continue;
                }
                self.rename(&key, right, &value)?;
            }
            self.report.total.retained += 1;
            if self.given.retained.as_ref().is_none_or(|given| *given < key) {
                (self.to)(Restored::Retained(message.to_stored()));
                self.given.retained = Some(key);
            }
        }
        Ok(())
    }

    fn orphan(&mut self, space: Space, key: Slice) -> fjall::Result<()> {
        self.report.orphans += 1;
        self.remove_at(space, key)
    }

    fn damaged(&mut self, space: Space, key: &Slice) -> fjall::Result<()> {
        self.damaged += 1;
        self.remove_at(space, key.clone())
    }

    fn remove_later(&mut self, key: Key<'_>) -> fjall::Result<()> {
        let mut bytes = Vec::with_capacity(20);
        key.put(&mut bytes);
        self.remove_at(key.space(), Slice::from(bytes))
    }

    /// The key of a long name depends on the server's identity. When that was lost, the record gets
    /// the key that the new one gives it: under the old one nobody would find it again.
    fn rename(&mut self, old: &Slice, new: Key<'_>, value: &Slice) -> fjall::Result<()> {
        let mut key = Vec::with_capacity(32);
        new.put(&mut key);
        if key[..] == old[..] {
            return Ok(());
        }
        let (space, value) = (new.space(), Some(value.clone()));
        self.removed.push(DiskOp { space, key: Slice::from(key), value });
        self.remove_at(space, old.clone())
    }

    fn remove_at(&mut self, space: Space, key: Slice) -> fjall::Result<()> {
        self.removed.push(DiskOp { space, key, value: None });
        if self.removed.len() >= REMOVED_AT_ONCE { self.remove() } else { Ok(()) }
    }

    fn remove(&mut self) -> fjall::Result<()> {
        let removed = std::mem::take(&mut self.removed);
        if removed.is_empty() { Ok(()) } else { self.disk.commit(&removed, false) }
    }

    fn tell(&mut self) {
        self.records += 1;
        if !self.records.is_multiple_of(RECORDS_PER_LOOK) {
            return;
        }
        let now = Instant::now();
        if now - self.started >= QUIET && now - self.told >= TELL_EVERY {
            self.told = now;
            (self.progress)(self.report.total);
        }
    }
}

impl Open {
    fn new(session: SessionId) -> Self {
        let (client_id, expiry_s, left_at_wall_ms, will) = (Box::default(), 0, None, None);
        let restored = RestoredSession {
            session,
            record: SessionRecord { client_id, expiry_s, left_at_wall_ms, will },
            subscriptions: Vec::new(),
            incoming: Vec::new(),
            flights: Vec::new(),
            waiting: Waiting::default(),
        };
        Self { restored, flight: None, is_whole: false }
    }

    /// The record of a session is the first of all that belongs to it.
    fn put_record(&mut self, value: &[u8]) -> bool {
        let record = read_session(value).map(|record| self.restored.record = record);
        self.is_whole = record.is_ok();
        self.is_whole
    }

    /// Whether a subscription or a received QoS 2 message could be read.
    fn put(&mut self, key: Key<'_>, value: &[u8]) -> bool {
        let Open { restored, .. } = self;
        let done = match key {
            Key::Subscription(_, name) => {
                let record = read_subscription(name, value);
                record.map(|record| restored.subscriptions.push(record))
            }
            Key::Incoming(_, packet_id) => {
                read_incoming(value).map(|()| restored.incoming.push(packet_id))
            }
            _ => Err(FormatError::Key),
        };
        done.is_ok()
    }

    fn count(&mut self, seq: Seq, view: &EntryView<'_>) {
        let waiting = &mut self.restored.waiting;
        if waiting.messages == 0 {
            waiting.first = seq;
        }
        waiting.messages += 1;
        waiting.bytes += u64::from(view.data_len);
        waiting.grouped |= view.group.is_some();
        waiting.last = seq;
    }
}

/// Whether a key differs from that of a retained message only in how a long topic was hashed.
fn is_same_but_for_hash(key: &[u8], right: Key<'_>) -> bool {
    let found = Key::read(Space::Messages, key);
    matches!((found, right), (
        Ok(Key::Retained(found, Name::Long(_))),
        Key::Retained(right, Name::Long(_)),
    ) if found == right)
}

/// The largest numbers as they were last written.
pub(crate) fn read_stored_maxima(disk: &Disk) -> Option<Maxima> {
    let mut key = Vec::new();
    Key::Maxima.put(&mut key);
    let value = disk.get(Space::Records, &key);
    match value {
        Ok(Some(value)) => read_maxima(&value).ok(),
        Ok(None) | Err(_) => None,
    }
}

/// The largest numbers of all records: for when what was written may be older than the records.
pub(crate) fn scan_maxima(disk: &Disk) -> Maxima {
    let mut maxima = read_stored_maxima(disk).unwrap_or_default();
    for space in [Space::Records, Space::Messages] {
        for guard in disk.set(space).iter() {
            let Ok((key, value)) = guard.into_inner() else { continue };
            let (session, body) = match Key::read(space, &key) {
                Ok(Key::Body(body)) => (None, Some(body)),
                Ok(key @ Key::Entry(..)) => {
                    let place = EntryView::read(&value).map(|view| view.place());
                    match place {
                        Ok(BodyPlace::Shared(body)) => (key.session(), Some(body)),
                        _ => (key.session(), None),
                    }
                }
                Ok(key) => (key.session(), None),
                Err(_) => (None, None),
            };
            let number = session.map_or(0, |session| session.number);
            maxima.session_number = maxima.session_number.max(number);
            maxima.body_counter = maxima.body_counter.max(body.map_or(0, BodyId::counter));
        }
    }
    maxima
}
