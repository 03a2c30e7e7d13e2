//! The receiving half of QoS 2: which packet identifiers are between their PUBLISH and their
//! PUBREL, so that a repeated PUBLISH is not delivered twice.
//!
//! Lives in the session and survives the connection. It knows identifiers only, no messages; the
//! Receive Maximum is the caller's to compare with [`Incoming::len`].

use alloc::boxed::Box;
use alloc::vec::Vec;

use martlet_proto::PacketId;

/// Up to this many identifiers stay in a sorted list; more become a bitmap of 8 KiB.
const LIST_MAX: usize = 128;
/// A bitmap goes back to a list at this many: far enough below not to flap.
const LIST_AGAIN: usize = 32;

/// Whether an incoming QoS 2 PUBLISH is new, see [`Incoming::publish`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// A new message: deliver it and answer PUBREC.
    Fresh,
    /// Received before and not yet released: answer PUBREC, deliver nothing.
    Duplicate,
}

#[derive(Debug)]
enum Ids {
    List(Vec<u16>),
    Bitmap { bits: Box<[u64; 1024]>, len: u16 },
}

/// The set of QoS 2 packet identifiers of one session that await PUBREL. Allocates nothing while
/// empty.
#[derive(Debug)]
pub struct Incoming {
    ids: Ids,
}

impl Default for Incoming {
    fn default() -> Self {
        Self::new()
    }
}

impl Incoming {
    /// No identifier is known; allocates nothing.
    pub const fn new() -> Self {
        Self { ids: Ids::List(Vec::new()) }
    }

    /// A QoS 2 PUBLISH arrived. The DUP flag is not consulted: only the identifier counts.
    #[inline]
    pub fn publish(&mut self, id: PacketId) -> Seen {
        let id = id.get();
        let fresh = match &mut self.ids {
            Ids::List(list) => insert_sorted(list, id),
            Ids::Bitmap { bits, len } => {
                let fresh = bits[word(id)] & bit(id) == 0;
                bits[word(id)] |= bit(id);
                *len += u16::from(fresh);
                fresh
            }
        };
        // [MQTT-4.3.3-10] [MQTT-4.3.3-12] [MQTT3-4.3.3-2]
        if !fresh {
            return Seen::Duplicate;
        }
        if let Ids::List(list) = &self.ids
            && list.len() > LIST_MAX
        {
            self.ids = bitmap(list);
        }
        Seen::Fresh
    }

    /// The PUBLISH was answered by a PUBREC with an error: the next PUBLISH with this identifier
    /// is a new message.
    pub fn refuse(&mut self, id: PacketId) {
        self.remove(id); // [MQTT-4.3.3-9]
    }

    /// A PUBREL arrived: the identifier is free. False when it was not known (version 5 answers
    /// PUBCOMP with 0x92, earlier versions a plain PUBCOMP).
    #[inline]
    pub fn pubrel(&mut self, id: PacketId) -> bool {
        self.remove(id)
    }

    /// True when this identifier awaits its PUBREL.
    pub fn contains(&self, id: PacketId) -> bool {
        let id = id.get();
        match &self.ids {
            Ids::List(list) => list.binary_search(&id).is_ok(),
            Ids::Bitmap { bits, .. } => bits[word(id)] & bit(id) != 0,
        }
    }

    /// How many identifiers await PUBREL.
    #[inline]
    pub fn len(&self) -> usize {
        match &self.ids {
            Ids::List(list) => list.len(),
            Ids::Bitmap { len, .. } => usize::from(*len),
        }
    }

    /// True when no identifier awaits PUBREL.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The session ends: forgets everything and gives the memory back.
    pub fn clear(&mut self) {
        self.ids = Ids::List(Vec::new());
    }

    /// Gives back spare memory; for a session that will be idle for long.
    pub fn shrink(&mut self) {
        match &mut self.ids {
            Ids::Bitmap { bits, len } if usize::from(*len) <= LIST_MAX => {
                self.ids = list(bits, usize::from(*len));
            }
            Ids::Bitmap { .. } => {}
            Ids::List(list) => list.shrink_to_fit(),
        }
    }

    /// The identifiers, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = PacketId> + '_ {
        let (list, bits): (&[u16], &[u64]) = match &self.ids {
            Ids::List(list) => (list, &[]),
            Ids::Bitmap { bits, .. } => (&[], &bits[..]),
        };
        list.iter().copied().chain(ids_of(bits)).filter_map(PacketId::new)
    }

    #[inline]
    fn remove(&mut self, id: PacketId) -> bool {
        let id = id.get();
        match &mut self.ids {
            Ids::List(list) => match list.binary_search(&id) {
                Ok(at) => {
                    list.remove(at);
                    true
                }
                Err(_) => false,
            },
            Ids::Bitmap { bits, len } => {
                if bits[word(id)] & bit(id) == 0 {
                    return false;
                }
                bits[word(id)] &= !bit(id);
                *len -= 1;
                if usize::from(*len) <= LIST_AGAIN {
                    self.ids = list(bits, usize::from(*len));
                }
                true
            }
        }
    }
}

/// True when the identifier was not in the list yet. Peers count upwards, so the end is tried
/// first.
#[inline]
fn insert_sorted(list: &mut Vec<u16>, id: u16) -> bool {
    if list.last().is_none_or(|&last| last < id) {
        list.push(id);
        return true;
    }
    match list.binary_search(&id) {
        Ok(_) => false,
        Err(at) => {
            list.insert(at, id);
            true
        }
    }
}

#[cold]
fn bitmap(list: &[u16]) -> Ids {
    let mut bits = Box::new([0; 1024]);
    for &id in list {
        bits[word(id)] |= bit(id);
    }
    // At most LIST_MAX + 1 identifiers come from a list.
    Ids::Bitmap { bits, len: list.len() as u16 }
}

#[cold]
fn list(bits: &[u64; 1024], len: usize) -> Ids {
    let mut list = Vec::with_capacity(len);
    list.extend(ids_of(bits));
    Ids::List(list)
}

/// The positions of the set bits, in ascending order.
fn ids_of(bits: &[u64]) -> impl Iterator<Item = u16> + '_ {
    (0..=u16::MAX).step_by(64).zip(bits).flat_map(|(first, &word)| {
        let mut rest = word;
        core::iter::from_fn(move || {
            if rest == 0 {
                return None;
            }
            let at = rest.trailing_zeros() as u16;
            rest &= rest - 1;
            Some(first + at)
        })
    })
}

#[inline]
fn word(id: u16) -> usize {
    usize::from(id >> 6)
}

#[inline]
fn bit(id: u16) -> u64 {
    1 << (id & 63)
}

#[cfg(test)]
#[path = "incoming_tests.rs"]
mod tests;
