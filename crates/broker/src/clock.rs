//! The two clocks, read once per turn. The only place of the broker that asks what time it is.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use martlet_engine::Now;

/// Both clocks, with one origin for all shards of a broker.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    origin: Instant,
}

impl Clock {
    /// A monotonic clock that begins at 0 now.
    pub(crate) fn start() -> Self {
        Self { origin: Instant::now() }
    }

    /// What time it is.
    pub(crate) fn now(self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Now { mono_ms: self.mono_ms(), wall_ms: wall.as_millis() as u64 }
    }

    /// The monotonic clock, finely.
    pub(crate) fn mono_us(self) -> u64 {
        self.origin.elapsed().as_micros() as u64
    }

    /// The monotonic clock alone.
    pub(crate) fn mono_ms(self) -> u64 {
        self.origin.elapsed().as_millis() as u64
    }
}
