//! What the store thread knows, without asking the disk, of what is on it. Filled at a restart,
//! kept in step by every group commit. Must not know how anything is written.

use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};
use martlet_engine::store::{BodyId, Seq, SessionId};

use crate::format::{BodyPlace, Mark};
use crate::open::Maxima;

pub(crate) type Map<K, V> = HashMap<K, V, RandomState>;
pub(crate) type Set<K> = HashSet<K, RandomState>;

/// A message in a queue: number of the session and place.
pub(crate) type QueueKey = (u64, Seq);

/// Bodies of entries that are remembered; of others the entry is read when it is removed. Enough
/// for what is in flight on a busy broker, little memory otherwise.
const BODY_PLACES_MAX: usize = 1 << 16;

/// All that is known.
#[derive(Debug, Default)]
pub(crate) struct Known {
    sessions: Map<u64, Session>,
    /// Exactly the marks on the disk: as many as messages that were read back from a queue and are
    /// in flight.
    marks: Map<QueueKey, Mark>,
    /// Exactly the received QoS 2 messages on the disk.
    incoming: Set<(u64, u16)>,
    /// How many entries refer to each shared body on the disk.
    references: Map<BodyId, u32>,
    places: Map<QueueKey, BodyPlace<()>>,
    pub(crate) maxima: Maxima,
    /// As they stand on the disk.
    pub(crate) maxima_written: Maxima,
}

/// A session that may have records on the disk.
#[derive(Debug, Clone, Copy)]
struct Session {
    /// No entry outside of these places has a body apart from it.
    bodies_first: Seq,
    bodies_last: Seq,
}

impl Session {
    const NEW: Self = Self { bodies_first: Seq::MAX, bodies_last: 0 };
}

/// Where the message of an entry is that is to be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Known(BodyPlace<()>),
    /// The entry has to be read.
    OnDisk,
}

impl Known {
    pub(crate) fn has_session(&self, number: u64) -> bool {
        self.sessions.contains_key(&number)
    }

    pub(crate) fn put_session(&mut self, session: SessionId) {
        self.sessions.entry(session.number).or_insert(Session::NEW);
    }

    pub(crate) fn remove_session(&mut self, session: SessionId) {
        self.sessions.remove(&session.number);
    }

    pub(crate) fn mark(&self, key: QueueKey) -> Option<Mark> {
        self.marks.get(&key).copied()
    }

    pub(crate) fn put_mark(&mut self, key: QueueKey, mark: Mark) {
        self.marks.insert(key, mark);
    }

    pub(crate) fn remove_mark(&mut self, key: QueueKey) {
        self.marks.remove(&key);
    }

    pub(crate) fn has_incoming(&self, number: u64, packet_id: u16) -> bool {
        self.incoming.contains(&(number, packet_id))
    }

    pub(crate) fn put_incoming(&mut self, number: u64, packet_id: u16) {
        self.incoming.insert((number, packet_id));
    }

    pub(crate) fn remove_incoming(&mut self, number: u64, packet_id: u16) {
        self.incoming.remove(&(number, packet_id));
    }

    /// An entry is written whose message is where `place` says.
    pub(crate) fn put_entry(&mut self, session: SessionId, seq: Seq, place: BodyPlace<()>) {
        if place == BodyPlace::Inline(()) && !self.sessions.contains_key(&session.number) {
            return;
        }
        let known = self.sessions.entry(session.number).or_insert(Session::NEW);
        if place != BodyPlace::Inline(()) {
            known.bodies_first = known.bodies_first.min(seq);
            known.bodies_last = known.bodies_last.max(seq);
        }
        // An inline entry between others is remembered too, so that it need not be read.
        if seq >= known.bodies_first && self.places.len() < BODY_PLACES_MAX {
            self.places.insert((session.number, seq), place);
        }
    }

    /// Where the message of an entry is.
    pub(crate) fn place(&self, key: QueueKey) -> Place {
        let inline = Place::Known(BodyPlace::Inline(()));
        match self.sessions.get(&key.0) {
            Some(session) if (session.bodies_first..=session.bodies_last).contains(&key.1) => {
                self.places.get(&key).map_or(Place::OnDisk, |place| Place::Known(*place))
            }
            _ => inline,
        }
    }

    /// An entry is removed: [`Known::place`] for the last time.
    pub(crate) fn remove_entry(&mut self, key: QueueKey) -> Place {
        let place = self.place(key);
        self.places.remove(&key);
        place
    }

    /// One more entry refers to a body; how many did before.
    pub(crate) fn add_reference(&mut self, body: BodyId) -> u32 {
        let references = self.references.entry(body).or_insert(0);
        *references += 1;
        *references - 1
    }

    /// One entry less refers to a body; how many did before, 0 when it is not known at all.
    pub(crate) fn drop_reference(&mut self, body: BodyId) -> u32 {
        let Some(references) = self.references.get_mut(&body) else { return 0 };
        let before = *references;
        *references -= 1;
        if *references == 0 {
            self.references.remove(&body);
        }
        before
    }

    pub(crate) fn references(&self, body: BodyId) -> u32 {
        self.references.get(&body).copied().unwrap_or(0)
    }
}
