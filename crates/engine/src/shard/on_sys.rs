//! The broker's own figures as `$SYS/broker/...` topics, under the names that dashboards for
//! Mosquitto expect. One shard publishes the sums for all. Must not know who subscribes.

use martlet_proto::{ForwardProperties, Qos};

use super::Shard;
use crate::config::ShardConfig;
use crate::ids::{Publisher, ShardId};
use crate::mail::MailItem;
use crate::message::{NEVER, PublishView};
use crate::stats::Stats;
use crate::store::{StoreFigures, StoreHealth};
use crate::sys_load::Loads;
use crate::time::MS_PER_S;

/// The shard that publishes `$SYS`.
const PUBLISHER: ShardId = ShardId(0);

/// How long the other shards' figures are waited for before the sums are published.
const COLLECT_MS: u64 = 100;

/// Collects figures and remembers what was published.
#[derive(Debug)]
pub(super) struct SysDesk {
    interval_ms: u64,
    /// When the next figures are due; `None` until the first turn.
    due_ms: Option<u64>,
    started_ms: u64,
    /// The latest figures of each shard.
    latest: Vec<Stats>,
    loads: Loads,
    clients_maximum: u64,
    /// The store's latest figures, if there is one.
    pub(super) store: Option<StoreFigures>,
    /// What each topic says at present, in the order of publication.
    published: std::collections::BTreeMap<Box<str>, String>,
}

impl SysDesk {
    pub(super) fn new(config: &ShardConfig) -> Self {
        Self {
            interval_ms: config.sys_interval_ms,
            due_ms: None,
            started_ms: 0,
            latest: vec![Stats::default(); usize::from(config.shards)],
            loads: Loads::default(),
            clients_maximum: 0,
            store: None,
            published: std::collections::BTreeMap::new(),
        }
    }

    pub(super) fn deadline_ms(&self) -> Option<u64> {
        if self.interval_ms == 0 { None } else { self.due_ms.or(Some(0)) }
    }

    fn sum(&self) -> Stats {
        let mut sum = Stats::default();
        for stats in &self.latest {
            sum.add(stats);
        }
        sum
    }
}

impl Shard {
    /// The counters with the gauges as they are now.
    pub(super) fn current_stats(&self) -> Stats {
        let mut stats = self.peers.stats.clone();
        stats.retained = self.retained.store.len() as u64;
        stats.retained_bytes = self.retained.bytes() as u64;
        stats
    }

    pub(super) fn on_stats(&mut self, from: ShardId, stats: Stats) {
        self.sys.latest[usize::from(from.0)] = stats;
    }

    /// At the end of a turn: figures to the publisher, or the sums to the world.
    pub(super) fn publish_sys(&mut self) {
        let now_ms = self.peers.now.mono_ms;
        if self.sys.deadline_ms().is_none_or(|due_ms| due_ms > now_ms) {
            return;
        }
        self.peers.frames.trim();
        let is_first = self.sys.due_ms.is_none();
        if is_first {
            self.sys.started_ms = now_ms;
        }
        if self.config.shard != PUBLISHER {
            self.sys.due_ms = Some(now_ms + self.sys.interval_ms);
            let stats = Box::new(self.current_stats());
            self.mailroom.to(PUBLISHER).push(MailItem::Stats(stats));
            return;
        }
        // The publisher lags behind the others a little, so that their figures are of this
        // interval.
        let lag_ms = if is_first { COLLECT_MS.min(self.sys.interval_ms) } else { 0 };
        self.sys.due_ms = Some(now_ms + self.sys.interval_ms + lag_ms);
        self.sys.latest[usize::from(PUBLISHER.0)] = self.current_stats();
        let sum = self.sys.sum();
        self.sys.clients_maximum = self.sys.clients_maximum.max(sum.sessions);
        self.sys.loads.update(&sum, now_ms - self.sys.started_ms);
        for (topic, value) in self.sys_values(&sum, now_ms) {
            self.publish_value(topic, value);
        }
    }

    fn publish_value(&mut self, name: String, value: String) {
        if self.sys.published.get(name.as_str()) == Some(&value) {
            return;
        }
        let topic = format!("$SYS/broker/{name}");
        let mut view = PublishView {
            topic: &topic,
            forward: ForwardProperties::default(),
            payload: value.as_bytes(),
            qos: Qos::AtMostOnce,
            retain: true,
            expires_at_ms: NEVER,
            origin: Publisher::BROKER,
            body: None,
            frame: None,
            kept: None,
        };
        self.publish(&mut view);
        self.sys.published.insert(name.into(), value);
    }

    /// Whether what should be durable can be, in a word.
    fn store_state(&self) -> &'static str {
        match self.peers.ledger.health() {
            _ if !self.peers.ledger.is_enabled() => "memory",
            StoreHealth::Healthy => "healthy",
            StoreHealth::Full => "full",
            StoreHealth::Failing => "failing",
        }
    }

    fn sys_values(&self, sum: &Stats, now_ms: u64) -> Vec<(String, String)> {
        let uptime_s = (now_ms - self.sys.started_ms) / MS_PER_S;
        let mut values = vec![
            ("version".to_owned(), self.config.version.clone()),
            ("uptime".to_owned(), format!("{uptime_s} seconds")),
            ("store/state".to_owned(), self.store_state().to_owned()),
        ];
        let disconnected = sum.sessions - sum.sessions_connected;
        let stored = sum.queued + sum.in_flight + sum.retained;
        let figures = [
            ("clients/total", sum.sessions),
            ("clients/connected", sum.sessions_connected),
            ("clients/active", sum.sessions_connected),
            ("clients/disconnected", disconnected),
            ("clients/inactive", disconnected),
            ("clients/maximum", self.sys.clients_maximum),
            ("clients/expired", sum.sessions_expired),
            ("messages/received", sum.packets_received),
            ("messages/sent", sum.packets_sent),
            ("messages/inflight", sum.in_flight),
            ("messages/stored", stored),
            ("store/messages/count", stored),
            ("store/messages/bytes", sum.queued_bytes + sum.retained_bytes),
            ("publish/messages/received", sum.publish_received),
            ("publish/messages/sent", sum.publish_sent),
            ("publish/messages/dropped", sum.dropped_all()),
            ("publish/bytes/received", sum.publish_bytes_received),
            ("publish/bytes/sent", sum.publish_bytes_sent),
            ("bytes/received", sum.bytes_received),
            ("bytes/sent", sum.bytes_sent),
            ("subscriptions/count", sum.subscriptions),
            ("shared_subscriptions/count", sum.subscriptions_shared),
            ("retained messages/count", sum.retained),
            ("connections/socket/count", sum.connections_opened),
            ("publish/messages/refused by store", sum.refused_by_store),
        ];
        values.extend(figures.map(|(topic, value)| (topic.to_owned(), value.to_string())));
        for reason in crate::stats::Drop::ALL {
            let topic = format!("publish/messages/dropped/{}", reason.name());
            values.push((topic, sum.dropped[reason as usize].to_string()));
        }
        values.extend(self.sys.loads.values());
        values.extend(self.store_values());
        values
    }

    fn store_values(&self) -> impl Iterator<Item = (String, String)> {
        let figures = self.sys.store.map(|figures| {
            [
                ("store/commits", figures.commits),
                ("store/operations", figures.ops),
                ("store/records/written", figures.records),
                ("store/bytes/written", figures.bytes),
                ("store/records/damaged", figures.damaged),
                ("store/disk/bytes", figures.disk_bytes),
                ("store/disk/free", figures.free_bytes),
            ]
        });
        let figures = figures.into_iter().flatten();
        figures.map(|(topic, value)| (topic.to_owned(), value.to_string()))
    }
}
