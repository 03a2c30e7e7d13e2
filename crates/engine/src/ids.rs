//! Names for connections, shards and sessions, and the home of a session or topic.
//! Must not know what lives behind a name.

/// A connection, as the caller of the shard numbers it: dense and reused (see [`crate::Input`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u32);

/// One shard of the broker, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u16);

/// Sessions and retained topics are spread over this many partitions, for ever: the layout of
/// stored state must not depend on the number of cores.
pub const PARTITIONS: u16 = 1024;

/// Most shards of one broker: a set of shards is one machine word.
pub const SHARDS_MAX: u16 = 64;

/// A session for as long as it exists, unique over all shards: a later session that takes the same
/// slot has another generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SessionKey(u64);

impl SessionKey {
    const GENERATION_BITS: u32 = 24;

    pub(crate) fn new(shard: ShardId, generation: u32, slot: u32) -> Self {
        let generation = generation & ((1 << Self::GENERATION_BITS) - 1);
        Self(u64::from(shard.0) << 56 | u64::from(generation) << 32 | u64::from(slot))
    }

    /// No session of `shard` has this one.
    pub(crate) fn nobody(shard: ShardId) -> Self {
        Self::new(shard, 0, u32::MAX)
    }

    pub(crate) fn shard(self) -> ShardId {
        ShardId((self.0 >> 56) as u16)
    }

    pub(crate) fn slot(self) -> u32 {
        self.0 as u32
    }
}

/// Who published a message: a client identifier, known by its hash. It outlives sessions, for No
/// Local is about the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Publisher(u64);

impl Publisher {
    /// The broker itself.
    pub(crate) const BROKER: Self = Self(0);

    pub(crate) fn client(client_id: &str) -> Self {
        Self(topic_hash(client_id) | 1)
    }

    /// For the store: the hash is the same in every life of the broker.
    pub(crate) fn number(self) -> u64 {
        self.0
    }

    pub(crate) fn from_number(number: u64) -> Self {
        Self(number)
    }
}

/// Where names live: the map from client identifier, share group or topic name to shard.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Homes {
    shards: u16,
}

impl Homes {
    pub(crate) fn new(shards: u16) -> Self {
        assert!((1..=SHARDS_MAX).contains(&shards), "shards out of range: {shards}");
        Self { shards }
    }

    /// The home shard of a client identifier [MQTT-3.1.3-2] [MQTT3-3.1.3-2], a retained topic or a
    /// share group.
    pub(crate) fn of(self, name: &str) -> ShardId {
        if self.shards == 1 {
            return ShardId(0);
        }
        self.of_partition(partition(name))
    }

    pub(crate) fn of_partition(self, partition: u16) -> ShardId {
        ShardId(partition % self.shards)
    }

    pub(crate) fn shards(self) -> u16 {
        self.shards
    }
}

/// The home of a partition among `shards` shards.
#[must_use]
pub fn home_of_partition(partition: u16, shards: u16) -> ShardId {
    Homes::new(shards).of_partition(partition)
}

/// The partition of a client identifier, topic name or share group, below [`PARTITIONS`]: the same
/// on every machine and in every run, for stored state is laid out by it.
#[must_use]
pub fn partition(name: &str) -> u16 {
    (stable_hash(name) % u64::from(PARTITIONS)) as u16
}

/// A topic's or client identifier's identity where a collision may only cost a skipped duplicate.
pub(crate) fn topic_hash(topic: &str) -> u64 {
    stable_hash(topic)
}

/// FNV-1a, 64 bits wide, with its bits mixed once more. Stored state is laid out by it and refers
/// to it: unlike a hasher of a library it is the same in every version, on every machine, for ever.
fn stable_hash(name: &str) -> u64 {
    mix(fnv1a(name.as_bytes()))
}

fn fnv1a(bytes: &[u8]) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    bytes.iter().fold(OFFSET, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME))
}

/// Names that differ in their last character only shall not lie next to each other.
fn mix(mut hash: u64) -> u64 {
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ hash >> 33
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_home_whatever_the_run() {
        let homes = Homes::new(8);
        assert_eq!(homes.of("sensor-1"), homes.of("sensor-1"));
    }

    #[test]
    fn the_layout_of_stored_state_is_for_ever() {
        // Test vectors of the hash's authors.
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
        // Ours: these values may not change.
        let names = ["", "sensor-1", "sensor-2", "$share/g/t"];
        assert_eq!(names.map(partition), [82, 311, 80, 490]);
    }

    #[test]
    fn names_spread_over_the_partitions() {
        let mut counts = vec![0; usize::from(PARTITIONS)];
        for number in 0..100_000 {
            counts[usize::from(partition(&format!("client-{number}")))] += 1;
        }
        let (least, most) = (counts.iter().min(), counts.iter().max());
        assert!(least >= Some(&50) && most <= Some(&160), "{least:?} to {most:?} of 98 each");
    }

    #[test]
    fn session_keys_tell_generations_apart() {
        let a = SessionKey::new(ShardId(3), 1, 7);
        let b = SessionKey::new(ShardId(3), 2, 7);
        assert_ne!(a, b);
        assert_eq!((a.shard(), a.slot()), (ShardId(3), 7));
    }
}
