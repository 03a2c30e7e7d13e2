//! A Will Message while its owner lives. Must not know when it is published.

use std::sync::Arc;

use crate::message::Message;

/// What is published when its connection ends without a normal DISCONNECT.
#[derive(Debug)]
pub(crate) struct Will {
    pub(crate) message: Arc<Message>,
    /// Will Delay Interval in seconds.
    pub(crate) delay_s: u32,
    /// Message Expiry Interval in seconds, counted from the publication.
    pub(crate) expiry_s: Option<u32>,
}
