//! Sockets and the poller: listeners, non-blocking streams, readiness and a waker. Bytes only. This
//! crate must not know MQTT, connections' meaning, time or threads. It is the only crate of the
//! workspace that may hold `unsafe`; today it needs none.
#![forbid(unsafe_code)]

// A short read counts as "drained" (epoll(7), kqueue); on Windows only a read that would block
// re-arms the event.
#[cfg(not(unix))]
compile_error!("martlet-net is written for epoll and kqueue: Linux, macOS and the BSDs");

mod cores;
mod descriptors;
mod diagnostics;
mod listener;
mod poller;
mod stream;

pub use cores::Cores;
pub use descriptors::raise_descriptor_limit;
pub use diagnostics::write_diagnostics;
pub use listener::{Accepted, BACKLOG, Listener};
pub use poller::{Key, Poller, Ready, Registry, Waker};
pub use stream::{ReadOutcome, Stream, WriteOutcome};
