//! Owns DISCONNECT (section 3.14). Must not know what happens to a will or a session.

use crate::error::{DecodeError, DecodeErrorKind};
use crate::frame::Sender;
use crate::packet::{PacketType, packet_methods};
use crate::property::{Place, Properties, Property, Value, WriteProperties, put_long, put_text};
use crate::put::Put;
use crate::read::Reader;
use crate::reason::ReasonCode;
use crate::user::UserProperties;
use crate::version::Version;

/// A DISCONNECT packet. Before version 5.0 it is empty, and only a client sends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disconnect<'a> {
    /// Why the connection ends.
    pub reason: ReasonCode,
    /// A new Session Expiry Interval in seconds, from a client.
    pub session_expiry_s: Option<u32>,
    /// What went wrong, for people; not to be parsed.
    pub reason_string: Option<&'a str>,
    /// The User Properties in order.
    pub user_properties: UserProperties<'a>,
    /// Another server to use.
    pub server_reference: Option<&'a str>,
}

impl<'a> Disconnect<'a> {
    /// A DISCONNECT without properties.
    pub fn new(reason: ReasonCode) -> Self {
        Disconnect {
            reason,
            session_expiry_s: None,
            reason_string: None,
            user_properties: UserProperties::default(),
            server_reference: None,
        }
    }

    pub(crate) fn take(
        reader: &mut Reader<'a>,
        version: Version,
        sender: Sender,
    ) -> Result<Self, DecodeError> {
        let packet = PacketType::Disconnect;
        let mut disconnect = Disconnect::new(ReasonCode::NormalDisconnection);
        if !version.is_v5() || reader.is_empty() {
            return Ok(disconnect);
        }
        let code = reader.u8()?;
        // [MQTT-3.14.2-1]
        disconnect.reason = ReasonCode::from_u8(code)
            .filter(|reason| reason.allowed_from(packet, sender))
            .ok_or(DecodeErrorKind::ReasonCodeNotAllowed(packet, code))?;
        if reader.is_empty() {
            return Ok(disconnect);
        }
        let keep = Property::UserProperty.bit();
        let mut properties = Properties::take(reader, Place::packet(packet), keep)?;
        while let Some(property) = properties.next()? {
            match property {
                (Property::SessionExpiryInterval, Value::Long(seconds)) => {
                    if sender == Sender::Server {
                        // [MQTT-3.14.2-2]
                        return Err(DecodeErrorKind::SessionExpiryFromServer.into());
                    }
                    disconnect.session_expiry_s = Some(seconds);
                }
                (Property::ReasonString, Value::Text(text)) => {
                    disconnect.reason_string = Some(text);
                }
                (Property::ServerReference, Value::Text(text)) => {
                    disconnect.server_reference = Some(text);
                }
                _ => {}
            }
        }
        disconnect.user_properties = UserProperties::from_section(properties.kept().0);
        Ok(disconnect)
    }

    fn put_body(&self, version: Version, out: &mut impl Put) {
        let plain = self.properties_len() == 0;
        if version.is_v5() && !(plain && self.reason == ReasonCode::NormalDisconnection) {
            out.put_u8(self.reason as u8);
            if !plain {
                self.put_section(out);
            }
        }
    }
}

impl WriteProperties for Disconnect<'_> {
    fn write_properties(&self, out: &mut impl Put) {
        put_long(out, Property::SessionExpiryInterval, self.session_expiry_s);
        put_text(out, Property::ReasonString, self.reason_string);
        self.user_properties.put(out);
        put_text(out, Property::ServerReference, self.server_reference);
    }
}

packet_methods!(Disconnect, PacketType::Disconnect);
