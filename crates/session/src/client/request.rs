//! SUBSCRIBE and UNSUBSCRIBE: what may be asked, and the answers. Requests without an answer
//! stay in the session and are sent again, under their identifier, on the next connection.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::num::NonZeroU32;

use martlet_proto::{
    Packet, PacketId, PacketType, ReasonProperties, SubAck, Subscribe, SubscriptionOptions,
    UnsubAck, Unsubscribe, UserProperties, topic,
};

use super::connection::{ClientConnection, Phase};
use super::error::{RequestError, Violation};
use super::event::{Event, Token};
use super::handshake::is_text;
use super::limits::ServerLimits;
use super::session::ClientSession;

/// The highest subscription identifier.
const SUBSCRIPTION_ID_MAX: u32 = 268_435_455;

/// What to subscribe to.
#[derive(Debug, Clone, Copy)]
pub struct SubscribeRequest<'a> {
    /// At least one topic filter with its options; before version 5 only the QoS is sent.
    pub filters: &'a [(&'a str, SubscriptionOptions)],
    /// Comes back with each message that matches (version 5).
    pub subscription_id: Option<NonZeroU32>,
    /// Sent with the request (version 5).
    pub user_properties: &'a [(&'a str, &'a str)],
}

/// What to unsubscribe from.
#[derive(Debug, Clone, Copy)]
pub struct UnsubscribeRequest<'a> {
    /// At least one topic filter, exactly as it was subscribed to.
    pub filters: &'a [&'a str],
    /// Sent with the request (version 5).
    pub user_properties: &'a [(&'a str, &'a str)],
}

#[derive(Debug)]
enum Ask {
    Subscribe {
        filters: Box<[(Box<str>, SubscriptionOptions)]>,
        subscription_id: Option<NonZeroU32>,
    },
    Unsubscribe {
        filters: Box<[Box<str>]>,
    },
}

/// A request without an answer.
#[derive(Debug)]
pub(super) struct Request {
    token: Token,
    /// `None` until it is sent.
    pub(super) id: Option<PacketId>,
    ask: Ask,
    user_properties: Box<[(Box<str>, Box<str>)]>,
}

impl Request {
    /// Whether this server supports what is asked for.
    fn admit(&self, limits: &ServerLimits) -> Result<(), RequestError> {
        let Ask::Subscribe { filters, subscription_id } = &self.ask else { return Ok(()) };
        for (filter, _) in filters {
            if !limits.wildcard_available && topic::is_wildcard(filter) {
                return Err(RequestError::WildcardsNotSupported);
            }
            if !limits.shared_available && topic::shared(filter).is_some() {
                return Err(RequestError::SharedNotSupported);
            }
        }
        if subscription_id.is_some() && !limits.subscription_ids_available {
            return Err(RequestError::SubscriptionIdsNotSupported);
        }
        Ok(())
    }

    fn packet_type(&self) -> PacketType {
        match self.ask {
            Ask::Subscribe { .. } => PacketType::Subscribe,
            Ask::Unsubscribe { .. } => PacketType::Unsubscribe,
        }
    }

    fn filter_count(&self) -> usize {
        match &self.ask {
            Ask::Subscribe { filters, .. } => filters.len(),
            Ask::Unsubscribe { filters } => filters.len(),
        }
    }
}

impl ClientConnection {
    /// Asks for subscriptions. The answer comes as [`Event::Subscribed`] under the token. Before
    /// CONNACK the request waits in the session.
    ///
    /// # Errors
    /// When the request cannot be sent on this connection. Nothing is kept then.
    pub fn subscribe(
        &mut self,
        now_ms: u64,
        session: &mut ClientSession,
        request: &SubscribeRequest<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Token, RequestError> {
        check_filters(request.filters.iter().map(|(filter, _)| *filter))?;
        // [MQTT-3.8.3-4]
        let no_local_on_shared =
            |(filter, options): &(&str, SubscriptionOptions)| options.no_local && is_shared(filter);
        if request.filters.iter().any(no_local_on_shared) {
            return Err(RequestError::NoLocalOnShared);
        }
        if request.subscription_id.is_some_and(|id| id.get() > SUBSCRIPTION_ID_MAX) {
            return Err(RequestError::InvalidField);
        }
        let ask = Ask::Subscribe {
            filters: request.filters.iter().map(|(filter, it)| ((*filter).into(), *it)).collect(),
            subscription_id: request.subscription_id,
        };
        self.request(now_ms, session, ask, request.user_properties, out)
    }

    /// Ends subscriptions. The answer comes as [`Event::Unsubscribed`] under the token. Before
    /// CONNACK the request waits in the session.
    ///
    /// # Errors
    /// When the request cannot be sent on this connection. Nothing is kept then.
    pub fn unsubscribe(
        &mut self,
        now_ms: u64,
        session: &mut ClientSession,
        request: &UnsubscribeRequest<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Token, RequestError> {
        check_filters(request.filters.iter().copied())?;
        let ask = Ask::Unsubscribe {
            filters: request.filters.iter().map(|filter| (*filter).into()).collect(),
        };
        self.request(now_ms, session, ask, request.user_properties, out)
    }

    fn request(
        &mut self,
        now_ms: u64,
        session: &mut ClientSession,
        ask: Ask,
        user_properties: &[(&str, &str)],
        out: &mut Vec<u8>,
    ) -> Result<Token, RequestError> {
        if !user_properties.iter().all(|(name, value)| is_text(name) && is_text(value)) {
            return Err(RequestError::InvalidField);
        }
        let user_properties =
            user_properties.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let token = session.token();
        let mut request = Request { token, id: None, ask, user_properties };
        if self.phase == Phase::Open {
            request.admit(&self.limits)?;
            let id = session.next_id().ok_or(RequestError::NoPacketId)?;
            self.put_request(&request, id, out)?;
            request.id = Some(id);
            self.keep_alive.sent(now_ms);
        }
        session.requests.push(request);
        Ok(token)
    }

    /// The connection is open: sends the requests that have no answer.
    pub(super) fn put_requests(
        &mut self,
        session: &mut ClientSession,
        out: &mut Vec<u8>,
        on_event: &mut dyn FnMut(Event<'_>),
    ) {
        let mut at = 0;
        while at < session.requests.len() {
            // The identifier stays what it was. [MQTT3-2.3.1-3]
            let known = session.requests[at].id;
            let sent = session.requests[at].admit(&self.limits).and_then(|()| {
                let id = known.or_else(|| session.next_id()).ok_or(RequestError::NoPacketId)?;
                self.put_request(&session.requests[at], id, out).map(|()| id)
            });
            match sent {
                Ok(id) => {
                    session.requests[at].id = Some(id);
                    at += 1;
                }
                Err(error) => {
                    let request = session.requests.remove(at);
                    on_event(Event::RequestFailed { token: request.token, error });
                }
            }
        }
    }

    fn put_request(
        &self,
        request: &Request,
        id: PacketId,
        out: &mut Vec<u8>,
    ) -> Result<(), RequestError> {
        let pairs: Vec<(&str, &str)> =
            request.user_properties.iter().map(|(name, value)| (&**name, &**value)).collect();
        let user_properties = UserProperties::from(pairs.as_slice());
        match &request.ask {
            Ask::Subscribe { filters, subscription_id } => {
                let filters: Vec<(&str, SubscriptionOptions)> =
                    filters.iter().map(|(filter, options)| (&**filter, *options)).collect();
                self.put_sized(
                    Packet::Subscribe(Subscribe {
                        packet_id: id,
                        subscription_id: *subscription_id,
                        user_properties,
                        filters: filters.as_slice().into(),
                    }),
                    out,
                )
            }
            Ask::Unsubscribe { filters } => {
                let filters: Vec<&str> = filters.iter().map(|filter| &**filter).collect();
                self.put_sized(
                    Packet::Unsubscribe(Unsubscribe {
                        packet_id: id,
                        user_properties,
                        filters: filters.as_slice().into(),
                    }),
                    out,
                )
            }
        }
    }

    fn put_sized(&self, packet: Packet<'_>, out: &mut Vec<u8>) -> Result<(), RequestError> {
        // [MQTT-3.2.2-15]
        if !self.limits.fits(packet.encoded_len(self.version)) {
            return Err(RequestError::PacketTooLarge);
        }
        packet.put(self.version, out);
        Ok(())
    }

    pub(super) fn on_suback(
        &mut self,
        session: &mut ClientSession,
        suback: &SubAck<'_>,
        on_event: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), Violation> {
        let answer = (PacketType::SubAck, suback.packet_id, &suback.properties);
        let token =
            self.answered(session, PacketType::Subscribe, answer, Some(suback.codes.len()))?;
        on_event(Event::Subscribed { token, ack: suback });
        Ok(())
    }

    pub(super) fn on_unsuback(
        &mut self,
        session: &mut ClientSession,
        unsuback: &UnsubAck<'_>,
        on_event: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), Violation> {
        let answer = (PacketType::UnsubAck, unsuback.packet_id, &unsuback.properties);
        let codes = self.version.is_v5().then_some(unsuback.codes.len());
        let token = self.answered(session, PacketType::Unsubscribe, answer, codes)?;
        on_event(Event::Unsubscribed { token, ack: unsuback });
        Ok(())
    }

    /// The request that this answers; it is done.
    fn answered(
        &self,
        session: &mut ClientSession,
        asked: PacketType,
        (packet, id, said): (PacketType, PacketId, &ReasonProperties<'_>),
        codes: Option<usize>,
    ) -> Result<Token, Violation> {
        let has_user_properties = !said.user_properties.is_empty();
        self.check_problem_information(packet, said.reason_string, has_user_properties)?;
        // [MQTT-2.2.1-6] [MQTT3-2.3.1-7]
        let is_it = |request: &Request| request.id == Some(id) && request.packet_type() == asked;
        let Some(at) = session.requests.iter().position(is_it) else {
            return Err(Violation::UnknownPacketId(packet));
        };
        // [MQTT-3.8.4-6] [MQTT-3.11.3-2] [MQTT3-3.8.4-5]
        if codes.is_some_and(|codes| codes != session.requests[at].filter_count()) {
            return Err(Violation::CodeCount(packet));
        }
        Ok(session.requests.remove(at).token)
    }
}

fn is_shared(filter: &str) -> bool {
    topic::shared(filter).is_some()
}

fn check_filters<'a>(filters: impl ExactSizeIterator<Item = &'a str>) -> Result<(), RequestError> {
    // [MQTT-3.8.3-2] [MQTT-3.10.3-2] [MQTT3-3.8.3-3] [MQTT3-3.10.3-2]
    if filters.len() == 0 {
        return Err(RequestError::NoTopicFilter);
    }
    for filter in filters {
        // [MQTT-3.8.3-1] [MQTT-3.10.3-1] [MQTT3-3.8.3-1] [MQTT3-3.10.3-1]
        topic::check_filter(filter).map_err(RequestError::TopicFilter)?;
    }
    Ok(())
}
