//! Whether the shards' threads keep together on one core or run anywhere. With little to do, half
//! of what they do is to wake each other, and a wake on the same core costs least; with more to do
//! they need all cores. Must not know shards: it sees how long threads are busy.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use martlet_net::Cores;

/// How long a thread is watched before it says how busy it was.
const WINDOW_US: u64 = 100_000;

/// All threads together are this busy at most (in thousandths of a core): they keep together.
const TOGETHER_PERMILLE: u64 = 250;

/// More than this: they run anywhere.
const APART_PERMILLE: u64 = 500;

/// No core: threads run anywhere.
const ANYWHERE: usize = usize::MAX;

/// What the threads of a broker know of each other.
#[derive(Debug)]
pub(crate) struct Company {
    /// Where they keep together.
    core: AtomicUsize,
    /// For each thread how busy it was in its last window, and when that ended: see [`report`].
    reports: Box<[AtomicU64]>,
    cores: Cores,
}

impl Company {
    /// `None` where it makes no sense: one shard, one core, or threads cannot be placed.
    pub(crate) fn new(shards: u16) -> Option<Arc<Self>> {
        if shards < 2 {
            return None;
        }
        let reports = (0..shards).map(|_| AtomicU64::new(0)).collect();
        Some(Arc::new(Self { core: AtomicUsize::new(ANYWHERE), reports, cores: Cores::allowed()? }))
    }

    /// How busy all threads are; one that has said nothing of late sleeps.
    fn busy_permille(&self, now_us: u64) -> u64 {
        let recent = |report: u64| now_us.saturating_sub(report >> 10 << 10) < 2 * WINDOW_US;
        let reports = self.reports.iter().map(|report| report.load(Ordering::Relaxed));
        reports.filter(|report| recent(*report)).map(|report| report & 1023).sum()
    }

    /// Decides anew where the threads are to be. Any thread may do it: they see the same.
    fn decide(&self, now_us: u64) {
        let busy = self.busy_permille(now_us);
        let core = self.core.load(Ordering::Relaxed);
        if core == ANYWHERE && busy <= TOGETHER_PERMILLE {
            self.core.store(Cores::current(), Ordering::Relaxed);
        } else if core != ANYWHERE && busy > APART_PERMILLE {
            self.core.store(ANYWHERE, Ordering::Relaxed);
        }
    }
}

/// The end of a window in microseconds, in steps of 1024, and the thousandths busy in it.
fn report(now_us: u64, permille: u64) -> u64 {
    now_us >> 10 << 10 | permille.min(1000)
}

/// One thread's place in the company.
#[derive(Debug)]
pub(crate) struct Place {
    company: Arc<Company>,
    index: usize,
    /// Where this thread has been put.
    core: usize,
    window_start_us: u64,
    woke_us: u64,
    busy_us: u64,
}

impl Place {
    pub(crate) fn new(company: Arc<Company>, index: usize) -> Self {
        let (core, window_start_us) = (ANYWHERE, 0);
        Self { company, index, core, window_start_us, woke_us: 0, busy_us: 0 }
    }

    /// The thread begins to work.
    pub(crate) fn wakes(&mut self, now_us: u64) {
        self.woke_us = now_us;
        let core = self.company.core.load(Ordering::Relaxed);
        if core != self.core {
            self.core = core;
            match core {
                ANYWHERE => self.company.cores.run_anywhere(),
                core => self.company.cores.stay_on(core),
            }
        }
    }

    /// The thread is about to wait.
    pub(crate) fn rests(&mut self, now_us: u64) {
        self.busy_us += now_us.saturating_sub(self.woke_us);
        let window_us = now_us.saturating_sub(self.window_start_us);
        if window_us < WINDOW_US {
            return;
        }
        let permille = self.busy_us * 1000 / window_us;
        self.company.reports[self.index].store(report(now_us, permille), Ordering::Relaxed);
        self.company.decide(now_us);
        self.window_start_us = now_us;
        self.busy_us = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_keep_together_while_there_is_little_to_do() {
        // On a machine of one core there is nothing to decide.
        let Some(company) = Company::new(2) else { return };
        let mut places = [0, 1].map(|i| Place::new(Arc::clone(&company), i));
        let mut start_us = 0;
        // One window in which each is busy for so long.
        let mut work = |busy_us: u64| {
            for place in &mut places {
                place.wakes(start_us);
                place.rests(start_us + busy_us);
                place.wakes(start_us + WINDOW_US);
                place.rests(start_us + WINDOW_US);
            }
            start_us += WINDOW_US;
            company.core.load(Ordering::Relaxed)
        };
        assert_eq!(work(40_000), ANYWHERE);
        assert_ne!(work(10_000), ANYWHERE);
        // A little more does not part them, much more does, and a little less keeps them apart.
        assert_ne!(work(20_000), ANYWHERE);
        assert_eq!(work(60_000), ANYWHERE);
        assert_eq!(work(20_000), ANYWHERE);
    }

    #[test]
    fn one_shard_needs_no_company() {
        assert!(Company::new(1).is_none());
    }
}
