//! What a shard counts. Must not know how the figures are shown.

/// Why a message did not reach somebody it was meant for. Every drop has one of these reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(usize)]
pub enum Drop {
    /// The session's queue is full.
    QueueFull,
    /// All queues of the shard together are full.
    QueuesFull,
    /// The connection is too slow for QoS 0 messages.
    OutboxFull,
    /// The packet would be larger than the client takes.
    PacketTooLarge,
    /// The message expired before it could be sent.
    Expired,
    /// No member of the share group was left to take it.
    GroupEmpty,
    /// The retained store is full.
    RetainedFull,
    /// Clients may not publish there.
    NotAuthorized,
    /// It was the oldest in a queue that is full.
    QueueOldest,
    /// The store could not read it back.
    Damaged,
}

impl Drop {
    /// Every reason, in the order of their counters.
    pub const ALL: [Self; 10] = [
        Self::QueueFull,
        Self::QueuesFull,
        Self::OutboxFull,
        Self::PacketTooLarge,
        Self::Expired,
        Self::GroupEmpty,
        Self::RetainedFull,
        Self::NotAuthorized,
        Self::QueueOldest,
        Self::Damaged,
    ];

    /// The reason for a machine.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::QueuesFull => "queues_full",
            Self::OutboxFull => "outbox_full",
            Self::PacketTooLarge => "packet_too_large",
            Self::Expired => "expired",
            Self::GroupEmpty => "group_empty",
            Self::RetainedFull => "retained_full",
            Self::NotAuthorized => "not_authorized",
            Self::QueueOldest => "queue_oldest",
            Self::Damaged => "damaged",
        }
    }

    /// The reason for a person.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::QueueFull => "the client's queue is full",
            Self::QueuesFull => "the queues of all clients together are full",
            Self::OutboxFull => "the client reads too slowly for QoS 0",
            Self::PacketTooLarge => "larger than the client's Maximum Packet Size",
            Self::Expired => "the message expired first",
            Self::GroupEmpty => "the share group has no member left",
            Self::RetainedFull => "the retained store is full",
            Self::NotAuthorized => "clients may not publish to this topic",
            Self::QueueOldest => "the oldest in a client's full queue",
            Self::Damaged => "the store could not read the message back",
        }
    }
}

/// Counters and gauges of one shard; sums over shards mean the broker.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// Packets received, of all types.
    pub packets_received: u64,
    /// Packets sent, of all types.
    pub packets_sent: u64,
    /// Bytes received.
    pub bytes_received: u64,
    /// Bytes sent.
    pub bytes_sent: u64,
    /// PUBLISH packets received.
    pub publish_received: u64,
    /// PUBLISH packets sent.
    pub publish_sent: u64,
    /// Payload bytes received in PUBLISH packets.
    pub publish_bytes_received: u64,
    /// Payload bytes sent in PUBLISH packets.
    pub publish_bytes_sent: u64,
    /// Messages dropped, by [`Drop`].
    pub dropped: [u64; Drop::ALL.len()],
    /// Transports opened.
    pub connections_opened: u64,
    /// Connections let in (CONNACK with success).
    pub clients_accepted: u64,
    /// Sessions, connected or not.
    pub sessions: u64,
    /// Sessions with a connection.
    pub sessions_connected: u64,
    /// Sessions ended by their expiry interval.
    pub sessions_expired: u64,
    /// Subscriptions.
    pub subscriptions: u64,
    /// Shared subscriptions among them.
    pub subscriptions_shared: u64,
    /// Retained messages whose home is this shard.
    pub retained: u64,
    /// Their bytes.
    pub retained_bytes: u64,
    /// Messages waiting in session queues.
    pub queued: u64,
    /// Their bytes.
    pub queued_bytes: u64,
    /// Messages in flight to clients.
    pub in_flight: u64,
    /// Messages refused because the store could not take them.
    pub refused_by_store: u64,
}

impl Stats {
    pub(crate) fn drop(&mut self, reason: Drop) {
        self.dropped[reason as usize] += 1;
    }

    /// Messages dropped for whatever reason.
    #[must_use]
    pub fn dropped_all(&self) -> u64 {
        self.dropped.iter().sum()
    }

    /// Adds another shard's figures.
    pub fn add(&mut self, other: &Self) {
        let Self { dropped, .. } = other;
        for (own, theirs) in self.dropped.iter_mut().zip(dropped) {
            *own += theirs;
        }
        let pairs = [
            (&mut self.packets_received, other.packets_received),
            (&mut self.packets_sent, other.packets_sent),
            (&mut self.bytes_received, other.bytes_received),
            (&mut self.bytes_sent, other.bytes_sent),
            (&mut self.publish_received, other.publish_received),
            (&mut self.publish_sent, other.publish_sent),
            (&mut self.publish_bytes_received, other.publish_bytes_received),
            (&mut self.publish_bytes_sent, other.publish_bytes_sent),
            (&mut self.connections_opened, other.connections_opened),
            (&mut self.clients_accepted, other.clients_accepted),
            (&mut self.sessions, other.sessions),
            (&mut self.sessions_connected, other.sessions_connected),
            (&mut self.sessions_expired, other.sessions_expired),
            (&mut self.subscriptions, other.subscriptions),
            (&mut self.subscriptions_shared, other.subscriptions_shared),
            (&mut self.retained, other.retained),
            (&mut self.retained_bytes, other.retained_bytes),
            (&mut self.queued, other.queued),
            (&mut self.queued_bytes, other.queued_bytes),
            (&mut self.in_flight, other.in_flight),
            (&mut self.refused_by_store, other.refused_by_store),
        ];
        for (own, theirs) in pairs {
            *own += theirs;
        }
    }
}
