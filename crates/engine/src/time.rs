//! The two clocks, as data. This file must not know where the values come from.

/// What time it is, read once per turn by whoever drives the shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// Monotonic time in milliseconds from an arbitrary start; never goes back.
    pub mono_ms: u64,
    /// Wall-clock time in milliseconds since the Unix epoch; may jump.
    pub wall_ms: u64,
}

/// Milliseconds in a second, for the standard's intervals, which are in seconds.
pub(crate) const MS_PER_S: u64 = 1000;

impl Now {
    /// A monotonic time on the wall clock, as the two are tied now; `u64::MAX` stays "never".
    #[must_use]
    pub fn to_wall_ms(self, mono_ms: u64) -> u64 {
        match mono_ms {
            u64::MAX => u64::MAX,
            _ if mono_ms >= self.mono_ms => self.wall_ms.saturating_add(mono_ms - self.mono_ms),
            _ => self.wall_ms.saturating_sub(self.mono_ms - mono_ms),
        }
    }

    /// A wall-clock time on the monotonic clock, as the two are tied now. What lies before the
    /// start of the monotonic clock becomes 0.
    #[must_use]
    pub fn to_mono_ms(self, wall_ms: u64) -> u64 {
        match wall_ms {
            u64::MAX => u64::MAX,
            _ if wall_ms >= self.wall_ms => self.mono_ms.saturating_add(wall_ms - self.wall_ms),
            _ => self.mono_ms.saturating_sub(self.wall_ms - wall_ms),
        }
    }
}
