//! The authentication port as data: requests out, verdicts in, each with a token. Must not know any
//! credential store.

use std::net::SocketAddr;

use martlet_proto::{ReasonCode, Version};

/// Ties a [`Verdict`] to its [`AuthRequest`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AuthToken(pub u64);

/// A question for the authentication port. Exactly one verdict answers it; a verdict for a
/// connection that has gone meanwhile is ignored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthRequest {
    /// To be given back with the verdict.
    pub token: AuthToken,
    /// Who asks.
    pub client_id: Box<str>,
    /// The far end.
    pub peer: Option<SocketAddr>,
    /// The protocol it speaks.
    pub version: Version,
    /// What it presents.
    pub step: AuthStep,
}

/// What the client presents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthStep {
    /// The CONNECT packet's credentials.
    Connect {
        /// User Name.
        user_name: Option<Box<str>>,
        /// Password.
        password: Option<Box<[u8]>>,
        /// Authentication Method, which makes the exchange an enhanced one.
        method: Option<Box<str>>,
        /// Authentication Data.
        data: Option<Box<[u8]>>,
    },
    /// An AUTH packet that continues an exchange.
    Continue {
        /// The method of the exchange.
        method: Box<str>,
        /// Authentication Data.
        data: Option<Box<[u8]>>,
    },
    /// An AUTH packet that starts a re-authentication on an open connection.
    ReAuthenticate {
        /// The method, the same as in CONNECT.
        method: Box<str>,
        /// Authentication Data.
        data: Option<Box<[u8]>>,
    },
}

/// The port's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Let it in (or: the re-authentication succeeded).
    Allow {
        /// Authentication Data for the CONNACK or the closing AUTH.
        data: Option<Box<[u8]>>,
    },
    /// Ask on: an AUTH packet with reason 0x18 goes out.
    Continue {
        /// Authentication Data.
        data: Option<Box<[u8]>>,
    },
    /// No, for this reason.
    Refuse {
        /// The CONNACK or DISCONNECT reason code.
        reason: ReasonCode,
    },
}
