//! When to send PINGREQ and when to give the server up. Knows times only.

/// The keep alive of one connection. All times in milliseconds of the caller's clock.
#[derive(Debug)]
pub(super) struct KeepAlive {
    /// 0: off.
    period_ms: u64,
    /// When a packet was last sent.
    sent_ms: u64,
    /// When bytes last came.
    received_ms: u64,
    /// When the oldest PINGREQ without a PINGRESP was sent.
    ping_ms: Option<u64>,
}

impl KeepAlive {
    pub(super) const fn new(now_ms: u64) -> Self {
        Self { period_ms: 0, sent_ms: now_ms, received_ms: now_ms, ping_ms: None }
    }

    pub(super) fn start(&mut self, period_s: u16) {
        self.period_ms = u64::from(period_s) * 1000;
    }

    pub(super) fn period_s(&self) -> u16 {
        (self.period_ms / 1000) as u16
    }

    pub(super) fn sent(&mut self, now_ms: u64) {
        self.sent_ms = now_ms;
    }

    pub(super) fn received(&mut self, now_ms: u64) {
        self.received_ms = now_ms;
    }

    pub(super) fn pinged(&mut self, now_ms: u64) {
        self.sent_ms = now_ms;
        self.ping_ms = self.ping_ms.or(Some(now_ms));
    }

    pub(super) fn ping_answered(&mut self) {
        self.ping_ms = None;
    }

    /// PINGREQ is due from here on. An eighth of the period is left for the way to the server.
    pub(super) fn ping_due_ms(&self) -> Option<u64> {
        // [MQTT-3.1.2-20] [MQTT3-3.1.2-23]
        (self.period_ms > 0).then(|| self.sent_ms.saturating_add(self.period_ms / 8 * 7))
    }

    /// The server is given up from here on: a period passed since a PINGREQ, and since anything
    /// came.
    pub(super) fn give_up_ms(&self) -> Option<u64> {
        Some(self.ping_ms?.max(self.received_ms).saturating_add(self.period_ms))
    }
}
