//! On which cores the calling thread may run. Must not know what the thread does. Linux only;
//! elsewhere a thread stays where the system puts it.

/// The cores that the process was given.
#[derive(Debug, Clone)]
pub struct Cores {
    #[cfg(target_os = "linux")]
    allowed: rustix::thread::CpuSet,
}

#[cfg(target_os = "linux")]
impl Cores {
    /// The cores that the calling thread may run on now; `None` when threads cannot be placed here,
    /// or when there is but one core.
    #[must_use]
    pub fn allowed() -> Option<Self> {
        let allowed = rustix::thread::sched_getaffinity(None).ok()?;
        (allowed.count() > 1).then_some(Self { allowed })
    }

    /// The core that the calling thread runs on.
    #[must_use]
    pub fn current() -> usize {
        rustix::thread::sched_getcpu()
    }

    /// Lets the calling thread run on one core only; a refusal by the system changes nothing.
    pub fn stay_on(&self, core: usize) {
        if self.allowed.is_set(core) {
            let mut one = rustix::thread::CpuSet::new();
            one.set(core);
            let _ = rustix::thread::sched_setaffinity(None, &one);
        }
    }

    /// Lets the calling thread run on all cores again.
    pub fn run_anywhere(&self) {
        let _ = rustix::thread::sched_setaffinity(None, &self.allowed);
    }
}

#[cfg(not(target_os = "linux"))]
impl Cores {
    /// Threads cannot be placed here.
    #[must_use]
    pub fn allowed() -> Option<Self> {
        None
    }

    /// Not known here.
    #[must_use]
    pub fn current() -> usize {
        0
    }

    /// Does nothing here.
    pub fn stay_on(&self, _core: usize) {}

    /// Does nothing here.
    pub fn run_anywhere(&self) {}
}
