//! What a shard is told at its birth: identity, seed and limits. Must not know where the values
//! come from (configuration files are another crate's).

use crate::ids::ShardId;

/// Everything a shard has to know about its surroundings.
#[derive(Debug, Clone)]
pub struct ShardConfig {
    /// This shard.
    pub shard: ShardId,
    /// How many shards there are; 1 to [`crate::SHARDS_MAX`].
    pub shards: u16,
    /// Source of all that looks random: hashes and assigned client identifiers. All shards of a
    /// broker share one seed.
    pub seed: u64,
    /// The bounds.
    pub limits: Limits,
    /// Who judges a CONNECT.
    pub auth: AuthMode,
    /// Whether there is a store: sessions that outlive their connection and retained messages are
    /// durable then.
    pub store: bool,
    /// The server's own identity, for ever the same with the same store: what makes the client
    /// identifiers that it assigns differ from those of other servers and other runs.
    pub identity: u128,
    /// How often `$SYS` topics are published, in milliseconds; 0 turns them off.
    pub sys_interval_ms: u64,
    /// Name and version for `$SYS/broker/version`.
    pub version: String,
}

impl ShardConfig {
    /// The built-in defaults for one shard of `shards`.
    #[must_use]
    pub fn new(shard: ShardId, shards: u16, seed: u64) -> Self {
        Self {
            shard,
            shards,
            seed,
            limits: Limits::default(),
            auth: AuthMode::AllowAnonymous,
            store: false,
            identity: u128::from(seed),
            sys_interval_ms: 10_000,
            version: concat!("martlet version ", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// Who judges a CONNECT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthMode {
    /// Everybody is let in; an authentication method is refused with 0x8C.
    AllowAnonymous,
    /// Every CONNECT and AUTH goes out as an [`crate::AuthRequest`] and waits for its verdict.
    Port,
}

/// What happens with a message for a session whose queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum QueueFull {
    /// It is dropped for that session; what was accepted before stays.
    #[default]
    DropNew,
    /// The oldest waiting messages are dropped for it.
    DropOldest,
    /// It is dropped for that session and its publisher is told: reason 0x97 in MQTT 5; an MQTT 3
    /// publisher gets no acknowledgement and is disconnected, so that it sends again.
    Refuse,
}

/// Bounds of what peers can make a shard hold or do. Each is per shard unless it says otherwise.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Largest packet taken from a client, in bytes, announced to v5 clients. 16 MiB: fifty times
    /// the largest payload habitual in the field, and one client cannot hold more than that
    /// unparsed.
    pub packet_size_max: u32,
    /// Unfinished QoS 2 exchanges taken from one client; announced to v5 clients as Receive
    /// Maximum.
    pub receive_max: u16,
    /// Topic aliases a client may set up on one connection, announced as Topic Alias Maximum.
    pub topic_alias_max: u16,
    /// QoS 1 and 2 messages in flight to one client, whatever larger Receive Maximum it allows.
    pub in_flight_max: u16,
    /// Messages waiting in one session's queue. Enough for a day of one message a second.
    pub queue_messages_max: usize,
    /// Bytes waiting in one session's queue; as many again may be in flight to it.
    pub queue_bytes_max: usize,
    /// Bytes waiting in all session queues of the shard. With as many in flight, each session gets
    /// one message at a time.
    pub queues_bytes_max: usize,
    /// What happens with a message for a queue that is full.
    pub queue_full: QueueFull,
    /// Messages waiting for one durable session: most of them on the disk.
    pub stored_queue_messages_max: usize,
    /// Bytes waiting for one durable session, on the disk.
    pub stored_queue_bytes_max: usize,
    /// Bytes waiting for all durable sessions of the shard, on the disk.
    pub stored_queues_bytes_max: usize,
    /// Messages of a durable session's queue kept in memory while it is connected.
    pub window_messages: usize,
    /// Bytes of them.
    pub window_bytes: usize,
    /// Milliseconds at most that a message to a client which acknowledges promptly is not written:
    /// its acknowledgement may come first, and then it never is. How long exactly follows from how
    /// quickly clients acknowledge at the time.
    pub linger_ms: u64,
    /// The same at least. Whoever published to a client that has just stopped answering waits so
    /// long for nothing.
    pub linger_min_ms: u64,
    /// Answers held back for one connection until the store has what they promise; with more the
    /// connection is not read.
    pub held_max: usize,
    /// Bytes of what is not durable yet, of the shard; with more, a connection that publishes
    /// something durable is not read until it has its answers.
    pub unstored_bytes_max: usize,
    /// Unsent bytes of one connection beyond which QoS 0 messages to it are dropped. A burst that
    /// fits here is delivered whole, however slow the client reads.
    pub outbox_bytes_max: usize,
    /// Unsent bytes of all connections of the shard; beyond it each may only hold
    /// `outbox_low_bytes`.
    pub outboxes_bytes_max: usize,
    /// Unsent bytes below which a connection is fed from its queue and its retained replays, and is
    /// read again after a pause.
    pub outbox_low_bytes: usize,
    /// Unsent bytes (mostly acknowledgements the client does not read) at which it is not read any
    /// more.
    pub outbox_pause_bytes: usize,
    /// Subscriptions of one session: what ends with it has to be taken out of the index in one go.
    pub subscriptions_max: usize,
    /// Shared subscriptions of one session: one message can come to it once for each of its groups,
    /// and all of them are told when its connection comes or goes.
    pub shared_subscriptions_max: usize,
    /// Bytes of the topic filters of one session. Every shard has a copy of those with wildcards.
    pub subscription_bytes_max: u32,
    /// Topic filters of one SUBSCRIBE that are looked at; the rest is refused with 0x97. A turn
    /// must not last as long as the largest packet could make it.
    pub subscribe_filters_max: usize,
    /// Levels of a topic name or filter; deeper ones are refused.
    pub topic_levels_max: usize,
    /// Sessions, connected or not.
    pub sessions_max: usize,
    /// Retained messages whose home is the shard.
    pub retained_messages_max: usize,
    /// Bytes of retained messages whose home is the shard.
    pub retained_bytes_max: usize,
    /// Longest session expiry interval granted, in seconds; `u32::MAX` grants "never".
    pub session_expiry_max_s: u32,
    /// Longest keep alive granted, in seconds: v5 clients that ask for more, or for none, are told
    /// this as Server Keep Alive. 0 grants everything.
    pub keep_alive_max_s: u16,
    /// Milliseconds that a connection with a keep alive may take no bytes while it is not read
    /// because of what it does not take.
    pub stall_max_ms: u64,
    /// Largest first packet, in bytes: what a stranger can make the shard hold.
    pub connect_size_max: usize,
    /// Milliseconds within which a new connection must have sent its whole CONNECT.
    pub connect_timeout_ms: u64,
    /// Entries of the retained store visited for one client per turn.
    pub replay_budget: usize,
    /// Longest client identifier in bytes.
    pub client_id_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        const MIB: usize = 1 << 20;
        Self {
            packet_size_max: 16 * MIB as u32,
            receive_max: 1024,
            topic_alias_max: 64,
            in_flight_max: 1024,
            queue_messages_max: 100_000,
            queue_bytes_max: 64 * MIB,
            queues_bytes_max: 1024 * MIB,
            queue_full: QueueFull::DropNew,
            stored_queue_messages_max: 10_000_000,
            stored_queue_bytes_max: 2048 * MIB,
            stored_queues_bytes_max: 8192 * MIB,
            window_messages: 256,
            window_bytes: MIB / 4,
            linger_ms: 100,
            linger_min_ms: 5,
            held_max: 4096,
            unstored_bytes_max: 64 * MIB,
            outbox_bytes_max: 16 * MIB,
            outboxes_bytes_max: 1024 * MIB,
            outbox_low_bytes: 64 * 1024,
            outbox_pause_bytes: 256 * 1024,
            subscriptions_max: 100_000,
            shared_subscriptions_max: 1_000,
            subscription_bytes_max: 16 * MIB as u32,
            subscribe_filters_max: 16_384,
            topic_levels_max: 128,
            sessions_max: 10_000_000,
            retained_messages_max: 10_000_000,
            retained_bytes_max: 1024 * MIB,
            session_expiry_max_s: u32::MAX,
            keep_alive_max_s: 0,
            stall_max_ms: 60_000,
            connect_size_max: MIB / 2,
            connect_timeout_ms: 10_000,
            replay_budget: 1024,
            client_id_bytes_max: 1024,
        }
    }
}
