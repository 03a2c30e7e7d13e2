//! Why a client command did not do its job, and the exit code that says so. Must not know how jobs
//! are done.

use martlet_proto::ReasonCode;

use crate::exit;

/// The end of a job that was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// The command line asks for something impossible.
    Usage(String),
    /// No connection: name resolution, TCP, or nobody who speaks MQTT at the other end.
    CannotReach(String),
    /// CONNACK says no.
    Refused { reason: ReasonCode, detail: Option<String> },
    /// The server says no to a message or a subscription, or cannot take it.
    Rejected { what: String, reason: Option<ReasonCode> },
    /// The connection broke.
    Lost(String),
    /// The server sent DISCONNECT.
    Disconnected(ReasonCode),
    /// The time given by -W is over.
    TimedOut,
    /// A signal asked for the end.
    Interrupted,
    /// Standard output is closed: nobody wants more.
    OutputClosed,
    /// Anything else.
    Other(String),
}

impl Failure {
    pub(super) fn code(&self) -> u8 {
        match self {
            Failure::Usage(_) => exit::USAGE,
            Failure::CannotReach(_) => exit::CANNOT_REACH,
            Failure::Refused { reason, .. } if is_authorization(*reason) => exit::NOT_AUTHORIZED,
            Failure::Refused { .. } => exit::REFUSED,
            Failure::Rejected { reason: Some(reason), .. } if is_authorization(*reason) => {
                exit::NOT_AUTHORIZED
            }
            Failure::Rejected { .. } => exit::REJECTED,
            Failure::Disconnected(reason) if is_authorization(*reason) => exit::NOT_AUTHORIZED,
            Failure::Lost(_) | Failure::Disconnected(_) => exit::CONNECTION_LOST,
            Failure::TimedOut => exit::TIMED_OUT,
            Failure::Interrupted => exit::INTERRUPTED,
            Failure::OutputClosed => 0,
            Failure::Other(_) => exit::OTHER,
        }
    }

    /// One line for people, if they need one.
    pub(super) fn text(&self) -> Option<String> {
        Some(match self {
            Failure::Usage(text) | Failure::CannotReach(text) | Failure::Other(text) => {
                text.clone()
            }
            Failure::Refused { reason, detail } => {
                let detail = detail.as_ref().map(|text| format!(" ({text})")).unwrap_or_default();
                format!("connection refused: {}{detail}", reason.name())
            }
            Failure::Rejected { what, .. } => what.clone(),
            Failure::Lost(text) => format!("connection lost: {text}"),
            Failure::Disconnected(reason) => {
                format!("connection lost: the server disconnected: {}", reason.name())
            }
            Failure::TimedOut => "timed out".to_owned(),
            Failure::Interrupted | Failure::OutputClosed => return None,
        })
    }
}

/// Whether a reason is about who the client is or what it may do.
fn is_authorization(reason: ReasonCode) -> bool {
    matches!(reason, ReasonCode::NotAuthorized | ReasonCode::BadUserNameOrPassword)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes() {
        let refused = |reason| Failure::Refused { reason, detail: None }.code();
        assert_eq!(refused(ReasonCode::ServerBusy), 4);
        assert_eq!(refused(ReasonCode::NotAuthorized), 5);
        assert_eq!(refused(ReasonCode::BadUserNameOrPassword), 5);
        let rejected = |reason| Failure::Rejected { what: String::new(), reason }.code();
        assert_eq!(rejected(Some(ReasonCode::NotAuthorized)), 5);
        assert_eq!(rejected(Some(ReasonCode::QuotaExceeded)), 6);
        assert_eq!(rejected(None), 6);
        assert_eq!(Failure::Disconnected(ReasonCode::ServerShuttingDown).code(), 7);
        assert_eq!(Failure::TimedOut.code(), 27);
        assert_eq!(Failure::OutputClosed.code(), 0);
    }
}
