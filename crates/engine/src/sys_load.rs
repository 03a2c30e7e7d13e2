//! Moving averages over one, five and fifteen minutes of how fast the counters grow, per minute.
//! Must not know topics beyond their names.

use crate::stats::Stats;

/// The averages of every counter that has them.
#[derive(Debug, Default)]
pub(crate) struct Loads {
    last: Stats,
    last_ms: u64,
    averages: [[f64; WINDOWS.len()]; NAMES.len()],
}

/// Names under `$SYS/broker/load/`, in the order of [`counters`].
const NAMES: [&str; 9] = [
    "messages/received",
    "messages/sent",
    "publish/received",
    "publish/sent",
    "publish/dropped",
    "bytes/received",
    "bytes/sent",
    "sockets",
    "connections",
];

const WINDOWS: [(&str, f64); 3] = [("1min", 1.0), ("5min", 5.0), ("15min", 15.0)];

const MS_PER_MIN: f64 = 60_000.0;

fn counters(stats: &Stats) -> [u64; NAMES.len()] {
    [
        stats.packets_received,
        stats.packets_sent,
        stats.publish_received,
        stats.publish_sent,
        stats.dropped_all(),
        stats.bytes_received,
        stats.bytes_sent,
        stats.connections_opened,
        stats.clients_accepted,
    ]
}

impl Loads {
    /// Takes new totals at `elapsed_ms` since the start.
    pub(crate) fn update(&mut self, stats: &Stats, elapsed_ms: u64) {
        let minutes = (elapsed_ms - self.last_ms) as f64 / MS_PER_MIN;
        if minutes <= 0.0 {
            return;
        }
        let pairs = counters(stats).into_iter().zip(counters(&self.last));
        for (averages, (now, before)) in self.averages.iter_mut().zip(pairs) {
            let per_minute = now.saturating_sub(before) as f64 / minutes;
            for (average, (_, window)) in averages.iter_mut().zip(WINDOWS) {
                let keep = (-minutes / window).exp();
                *average = *average * keep + per_minute * (1.0 - keep);
            }
        }
        self.last = stats.clone();
        self.last_ms = elapsed_ms;
    }

    /// Topics below `$SYS/broker/` and their values, with two decimals.
    pub(crate) fn values(&self) -> impl Iterator<Item = (String, String)> + '_ {
        NAMES.iter().zip(&self.averages).flat_map(|(name, averages)| {
            WINDOWS.iter().zip(averages).map(move |((window, _), average)| {
                (format!("load/{name}/{window}"), format!("{average:.2}"))
            })
        })
    }
}
