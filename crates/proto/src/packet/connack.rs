//! Owns CONNACK (section 3.2). Must not know why a connection is accepted or refused.

use crate::error::{DecodeError, DecodeErrorKind};
use crate::packet::{PacketType, packet_methods};
use crate::property::{
    Place, Properties, Property, Value, WriteProperties, put_binary, put_byte, put_flag, put_long,
    put_short, put_text,
};
use crate::put::Put;
use crate::qos::Qos;
use crate::read::Reader;
use crate::reason::ReasonCode;
use crate::user::UserProperties;
use crate::version::Version;

/// A CONNACK packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnAck<'a> {
    /// The server goes on with a session it had. Not written together with an error, nor in version
    /// 3.1.
    pub session_present: bool,
    /// Success, or why the connection is refused. Before version 5.0, see
    /// [`ReasonCode::connack_v3`].
    pub reason: ReasonCode,
    /// The properties; none before version 5.0.
    pub properties: ConnAckProperties<'a>,
}

/// The properties of a CONNACK. The default is to have none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ConnAckProperties<'a> {
    /// The Session Expiry Interval in seconds that replaces the client's.
    pub session_expiry_s: Option<u32>,
    /// How many messages of QoS 1 and 2 the server takes at a time, not zero. `None`: 65,535.
    pub receive_max: Option<u16>,
    /// The greatest QoS that the server takes. `None`, and [`Qos::ExactlyOnce`] on write: every
    /// QoS.
    pub qos_max: Option<Qos>,
    /// Whether the server retains messages. `None`: it does.
    pub retain_available: Option<bool>,
    /// The greatest packet in bytes that the server takes, not zero. `None`: no limit.
    pub packet_size_max: Option<u32>,
    /// The Client Identifier that the server chose.
    pub assigned_client_id: Option<&'a str>,
    /// The greatest Topic Alias that the server takes. `None`: 0.
    pub topic_alias_max: Option<u16>,
    /// What went wrong, for people; not to be parsed.
    pub reason_string: Option<&'a str>,
    /// The User Properties in order.
    pub user_properties: UserProperties<'a>,
    /// Whether there are wildcard subscriptions. `None`: there are.
    pub wildcard_available: Option<bool>,
    /// Whether there are Subscription Identifiers. `None`: there are.
    pub subscription_ids_available: Option<bool>,
    /// Whether there are shared subscriptions. `None`: there are.
    pub shared_available: Option<bool>,
    /// The Keep Alive in seconds that replaces the client's.
    pub server_keep_alive_s: Option<u16>,
    /// What the client may build its Response Topics from.
    pub response_information: Option<&'a str>,
    /// Another server to use.
    pub server_reference: Option<&'a str>,
    /// The Authentication Method.
    pub auth_method: Option<&'a str>,
    /// The Authentication Data.
    pub auth_data: Option<&'a [u8]>,
}

impl<'a> ConnAck<'a> {
    /// A CONNACK without properties.
    pub fn new(session_present: bool, reason: ReasonCode) -> Self {
        ConnAck { session_present, reason, properties: ConnAckProperties::default() }
    }

    pub(crate) fn take(reader: &mut Reader<'a>, version: Version) -> Result<Self, DecodeError> {
        let flags = reader.u8()?;
        let code = reader.u8()?;
        // [MQTT-3.2.2-8]
        let reason = if version.is_v5() {
            ReasonCode::from_u8(code).filter(|reason| reason.allowed_in(PacketType::ConnAck))
        } else {
            ReasonCode::from_connack_v3(code)
        }
        .ok_or(DecodeErrorKind::ReasonCodeNotAllowed(PacketType::ConnAck, code))?;
        // Version 3.1 has no flags; the byte is not used.
        let session_present = version != Version::V31 && flags & 1 != 0;
        if version != Version::V31 && flags > 1 {
            return Err(DecodeErrorKind::ConnAckReservedFlags.into()); // [MQTT-3.2.2-1]
        }
        if session_present && reason != ReasonCode::Success {
            // [MQTT-3.2.2-6] [MQTT3-3.2.2-4]
            return Err(DecodeErrorKind::SessionPresentWithError.into());
        }
        let mut connack = ConnAck::new(session_present, reason);
        if version.is_v5() {
            connack.properties = ConnAckProperties::take(reader)?;
        }
        Ok(connack)
    }

    fn put_body(&self, version: Version, out: &mut impl Put) {
        // [MQTT-3.2.2-6] [MQTT3-3.2.2-4]
        let present = self.session_present && self.reason == ReasonCode::Success;
        out.put_u8(u8::from(present && version != Version::V31));
        if version.is_v5() {
            out.put_u8(self.reason as u8);
            self.properties.put_section(out);
        } else {
            // Without an applicable code no CONNACK should be written; "server unavailable" is the
            // closest.
            out.put_u8(self.reason.connack_v3().unwrap_or(3));
        }
    }
}

packet_methods!(ConnAck, PacketType::ConnAck);

impl<'a> ConnAckProperties<'a> {
    fn take(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let mut result = ConnAckProperties::default();
        let place = Place::packet(PacketType::ConnAck);
        let mut properties = Properties::take(reader, place, Property::UserProperty.bit())?;
        while let Some((property, value)) = properties.next()? {
            match value {
                Value::Byte(byte) => result.set_byte(property, byte),
                Value::Short(short) => match property {
                    Property::ReceiveMaximum => result.receive_max = Some(short),
                    Property::TopicAliasMaximum => result.topic_alias_max = Some(short),
                    _ => result.server_keep_alive_s = Some(short),
                },
                Value::Long(long) => match property {
                    Property::SessionExpiryInterval => result.session_expiry_s = Some(long),
                    _ => result.packet_size_max = Some(long),
                },
                Value::Text(text) => result.set_text(property, text),
                Value::Binary(data) => result.auth_data = Some(data),
                Value::VarInt(_) | Value::Pair => {}
            }
        }
        result.user_properties = UserProperties::from_section(properties.kept().0);
        Ok(result)
    }

    fn set_byte(&mut self, property: Property, byte: u8) {
        let flag = Some(byte == 1);
        match property {
            Property::MaximumQos => self.qos_max = Qos::from_bits(byte),
            Property::RetainAvailable => self.retain_available = flag,
            Property::WildcardSubscriptionAvailable => self.wildcard_available = flag,
            Property::SubscriptionIdentifierAvailable => self.subscription_ids_available = flag,
            Property::SharedSubscriptionAvailable => self.shared_available = flag,
            _ => {}
        }
    }

    fn set_text(&mut self, property: Property, text: &'a str) {
        match property {
            Property::AssignedClientIdentifier => self.assigned_client_id = Some(text),
            Property::ReasonString => self.reason_string = Some(text),
            Property::ResponseInformation => self.response_information = Some(text),
            Property::ServerReference => self.server_reference = Some(text),
            Property::AuthenticationMethod => self.auth_method = Some(text),
            _ => {}
        }
    }
}

impl WriteProperties for ConnAckProperties<'_> {
    fn write_properties(&self, out: &mut impl Put) {
        put_long(out, Property::SessionExpiryInterval, self.session_expiry_s);
        put_short(out, Property::ReceiveMaximum, self.receive_max);
        let qos_max = self.qos_max.filter(|qos| *qos != Qos::ExactlyOnce).map(Qos::bits);
        put_byte(out, Property::MaximumQos, qos_max);
        put_flag(out, Property::RetainAvailable, self.retain_available);
        put_long(out, Property::MaximumPacketSize, self.packet_size_max);
        put_text(out, Property::AssignedClientIdentifier, self.assigned_client_id);
        put_short(out, Property::TopicAliasMaximum, self.topic_alias_max);
        put_text(out, Property::ReasonString, self.reason_string);
        self.user_properties.put(out);
        put_flag(out, Property::WildcardSubscriptionAvailable, self.wildcard_available);
        put_flag(out, Property::SubscriptionIdentifierAvailable, self.subscription_ids_available);
        put_flag(out, Property::SharedSubscriptionAvailable, self.shared_available);
        put_short(out, Property::ServerKeepAlive, self.server_keep_alive_s);
        put_text(out, Property::ResponseInformation, self.response_information);
        put_text(out, Property::ServerReference, self.server_reference);
        put_text(out, Property::AuthenticationMethod, self.auth_method);
        put_binary(out, Property::AuthenticationData, self.auth_data);
    }
}
