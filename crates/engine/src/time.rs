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
