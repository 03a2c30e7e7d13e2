//! Durations, sizes and levels as people write them on the command line. Must not know what they
//! are for.

use std::time::Duration;

use martlet_broker::{Durability, QueueFull};

/// The `--durability` level; `None`: memory only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Level(pub(crate) Option<Durability>);

/// The shortest interval: below it `sync` is as cheap.
const INTERVAL_MIN: Duration = Duration::from_millis(1);

/// The longest: an hour of lost messages is no durability.
const INTERVAL_MAX: Duration = Duration::from_secs(3600);

pub(crate) fn level(text: &str) -> Result<Level, String> {
    match text.split_once('=') {
        None if text == "sync" => Ok(Level(Some(Durability::Sync))),
        None if text == "memory" => Ok(Level(None)),
        Some(("interval", length)) => {
            let length = duration(length)?;
            if !(INTERVAL_MIN..=INTERVAL_MAX).contains(&length) {
                return Err("give an interval from 1ms to 1h".to_owned());
            }
            Ok(Level(Some(Durability::Interval(length))))
        }
        _ => Err("give sync, interval=100ms (any length) or memory".to_owned()),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no length of time: give for example 100ms, 2s or 1m");
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let ms = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        _ => return Err(wrong()),
    };
    number.checked_mul(ms).map(Duration::from_millis).ok_or_else(wrong)
}

/// A number of bytes, with or without a binary unit.
pub(crate) fn size(text: &str) -> Result<usize, String> {
    let wrong = || format!("{text:?} is no size: give bytes, or for example 64MiB or 2GiB");
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: usize = number.parse().map_err(|_| wrong())?;
    let shift = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return Err(wrong()),
    };
    number.checked_mul(1 << shift).ok_or_else(wrong)
}

pub(crate) fn queue_full(text: &str) -> Result<QueueFull, String> {
    match text {
        "drop-new" => Ok(QueueFull::DropNew),
        "drop-oldest" => Ok(QueueFull::DropOldest),
        "refuse" => Ok(QueueFull::Refuse),
        _ => Err("give drop-new, drop-oldest or refuse".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_in_the_forms_people_write() {
        assert_eq!(level("sync"), Ok(Level(Some(Durability::Sync))));
        assert_eq!(level("memory"), Ok(Level(None)));
        let interval = |ms| Ok(Level(Some(Durability::Interval(Duration::from_millis(ms)))));
        assert_eq!(level("interval=100ms"), interval(100));
        assert_eq!(level("interval=2s"), interval(2000));
        for bad in ["", "fast", "interval", "interval=", "interval=0ms", "interval=2h", "sync=1"] {
            assert!(level(bad).is_err(), "{bad}");
        }
        assert_eq!(size("1000"), Ok(1000));
        assert_eq!(size("64MiB"), Ok(64 << 20));
        assert_eq!(size("2g"), Ok(2 << 30));
        for bad in ["", "MiB", "-1", "1.5G", "99999999999999999999", "1X"] {
            assert!(size(bad).is_err(), "{bad}");
        }
        assert_eq!(queue_full("drop-oldest"), Ok(QueueFull::DropOldest));
        assert!(queue_full("oldest").is_err());
    }
}
