//! Owns AUTH (section 3.15), which version 5.0 brought. Must not know any authentication method.

use crate::error::{DecodeError, DecodeErrorKind};
use crate::frame::Sender;
use crate::packet::{PacketType, packet_methods};
use crate::property::{Place, Properties, Property, Value, WriteProperties, put_binary, put_text};
use crate::put::Put;
use crate::read::Reader;
use crate::reason::ReasonCode;
use crate::user::UserProperties;
use crate::version::Version;

/// An AUTH packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Auth<'a> {
    /// Success (from a server), Continue authentication, or Re-authenticate (from a client).
    pub reason: ReasonCode,
    /// The Authentication Method. Only the empty form, Success with nothing else, goes without.
    pub method: Option<&'a str>,
    /// The Authentication Data.
    pub data: Option<&'a [u8]>,
    /// What went wrong, for people; not to be parsed.
    pub reason_string: Option<&'a str>,
    /// The User Properties in order.
    pub user_properties: UserProperties<'a>,
}

impl<'a> Auth<'a> {
    /// An AUTH with a method and nothing else.
    pub fn new(reason: ReasonCode, method: &'a str) -> Self {
        Auth { method: Some(method), ..Auth::empty(reason) }
    }

    fn empty(reason: ReasonCode) -> Self {
        Auth {
            reason,
            method: None,
            data: None,
            reason_string: None,
            user_properties: UserProperties::default(),
        }
    }

    pub(crate) fn take(reader: &mut Reader<'a>, sender: Sender) -> Result<Self, DecodeError> {
        let packet = PacketType::Auth;
        let short = reader.is_empty();
        let code = if short { 0 } else { reader.u8()? };
        // [MQTT-3.15.2-1]
        let reason = ReasonCode::from_u8(code)
            .filter(|reason| reason.allowed_from(packet, sender))
            .ok_or(DecodeErrorKind::ReasonCodeNotAllowed(packet, code))?;
        let mut auth = Auth::empty(reason);
        if short {
            return Ok(auth);
        }
        if !reader.is_empty() {
            let keep = Property::UserProperty.bit();
            let mut properties = Properties::take(reader, Place::packet(packet), keep)?;
            while let Some(property) = properties.next()? {
                match property {
                    (Property::AuthenticationMethod, Value::Text(text)) => auth.method = Some(text),
                    (Property::AuthenticationData, Value::Binary(data)) => auth.data = Some(data),
                    (Property::ReasonString, Value::Text(text)) => auth.reason_string = Some(text),
                    _ => {}
                }
            }
            auth.user_properties = UserProperties::from_section(properties.kept().0);
        }
        // [MQTT-4.12.0-5] section 3.15.2.2.2
        if auth.method.is_none() {
            return Err(DecodeErrorKind::AuthMethodMissing.into());
        }
        Ok(auth)
    }

    fn put_body(&self, _version: Version, out: &mut impl Put) {
        let plain = self.properties_len() == 0;
        if !(plain && self.reason == ReasonCode::Success) {
            debug_assert!(self.method.is_some(), "AUTH needs an Authentication Method");
            out.put_u8(self.reason as u8);
            self.put_section(out);
        }
    }
}

impl WriteProperties for Auth<'_> {
    fn write_properties(&self, out: &mut impl Put) {
        put_text(out, Property::AuthenticationMethod, self.method);
        put_binary(out, Property::AuthenticationData, self.data);
        put_text(out, Property::ReasonString, self.reason_string);
        self.user_properties.put(out);
    }
}

packet_methods!(Auth, PacketType::Auth);
