//! Owns CONNECT (section 3.1), the packet that names its own version. Must not know which clients
//! are welcome.

use crate::error::{DecodeError, DecodeErrorKind};
use crate::forward::ForwardProperties;
use crate::packet::{PacketType, packet_methods};
use crate::property::{
    Place, Properties, Property, Value, WriteProperties, put_binary, put_byte, put_flag, put_long,
    put_short, put_text,
};
use crate::put::Put;
use crate::qos::Qos;
use crate::read::Reader;
use crate::topic;
use crate::user::UserProperties;
use crate::version::Version;

const USER_NAME: u8 = 0b1000_0000;
const PASSWORD: u8 = 0b0100_0000;
const WILL_RETAIN: u8 = 0b0010_0000;
const WILL_QOS: u8 = 0b0001_1000;
const WILL: u8 = 0b0000_0100;
const CLEAN_START: u8 = 0b0000_0010;
const RESERVED: u8 = 0b0000_0001;

/// A CONNECT packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connect<'a> {
    /// The version, from the protocol name and level.
    pub version: Version,
    /// Start a new session; before version 5.0 this is Clean Session, which also ends the session
    /// with the connection.
    pub clean_start: bool,
    /// The Keep Alive in seconds; 0 turns it off.
    pub keep_alive_s: u16,
    /// The Client Identifier. It may be empty: the session layer judges.
    pub client_id: &'a str,
    /// What to publish when the connection breaks.
    pub will: Option<Will<'a>>,
    /// The user name.
    pub user_name: Option<&'a str>,
    /// The password. Before version 5.0 it needs a user name.
    pub password: Option<&'a [u8]>,
    /// The properties; the default before version 5.0.
    pub properties: ConnectProperties<'a>,
}

/// The properties of a CONNECT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectProperties<'a> {
    /// How long the session outlives the connection, in seconds; `u32::MAX` is for ever. `None`: 0.
    pub session_expiry_s: Option<u32>,
    /// How many messages of QoS 1 and 2 the client takes at a time, not zero. `None`: 65,535.
    pub receive_max: Option<u16>,
    /// The greatest packet in bytes that the client takes, not zero. `None`: no limit.
    pub packet_size_max: Option<u32>,
    /// The greatest Topic Alias that the client takes. `None`: 0.
    pub topic_alias_max: Option<u16>,
    /// The client wants Response Information. Default: false.
    pub request_response_information: bool,
    /// The client wants Reason Strings and User Properties on failures. Default: true.
    pub request_problem_information: bool,
    /// The Authentication Method.
    pub auth_method: Option<&'a str>,
    /// The Authentication Data, only together with a method.
    pub auth_data: Option<&'a [u8]>,
    /// The User Properties in order.
    pub user_properties: UserProperties<'a>,
}

impl Default for ConnectProperties<'_> {
    fn default() -> Self {
        ConnectProperties {
            session_expiry_s: None,
            receive_max: None,
            packet_size_max: None,
            topic_alias_max: None,
            request_response_information: false,
            request_problem_information: true,
            auth_method: None,
            auth_data: None,
            user_properties: UserProperties::default(),
        }
    }
}

/// The Will Message of a CONNECT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Will<'a> {
    /// The QoS it is published with.
    pub qos: Qos,
    /// Whether it is retained.
    pub retain: bool,
    /// The topic name.
    pub topic: &'a str,
    /// The application message.
    pub payload: &'a [u8],
    /// How long the server waits before it publishes, in seconds.
    pub delay_s: u32,
    /// The lifetime of the message in seconds, from its publication. `None`: it does not expire.
    pub message_expiry_s: Option<u32>,
    /// What goes to the subscribers unaltered.
    pub forward: ForwardProperties<'a>,
}

impl<'a> Connect<'a> {
    /// A CONNECT of this version without will, credentials, Keep Alive and properties.
    pub fn new(version: Version, client_id: &'a str, clean_start: bool) -> Self {
        Connect {
            version,
            clean_start,
            keep_alive_s: 0,
            client_id,
            will: None,
            user_name: None,
            password: None,
            properties: ConnectProperties::default(),
        }
    }

    // [MQTT-3.1.4-1] [MQTT3-3.1.4-1] the whole of section 3.1; what does not conform is an error,
    // and a closed connection
    pub(crate) fn take(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let version = take_version(reader)?;
        let flags = reader.u8()?;
        check_flags(flags, version)?;
        let keep_alive_s = reader.u16()?;
        let mut properties = ConnectProperties::default();
        if version.is_v5() {
            properties = ConnectProperties::take(reader)?;
        }
        // [MQTT-3.1.3-1] [MQTT3-3.1.3-1] the order: Client Identifier, will, user name, password
        // [MQTT-3.1.3-3] [MQTT-3.1.3-4] [MQTT3-3.1.3-3] [MQTT3-3.1.3-4]
        let client_id = reader.str()?;
        let mut will = None;
        if flags & WILL != 0 {
            will = Some(Will::take(reader, flags, version)?); // [MQTT-3.1.2-9] [MQTT3-3.1.2-9]
        }
        let mut user_name = None;
        // [MQTT-3.1.2-16] [MQTT-3.1.2-17] [MQTT3-3.1.2-18] [MQTT3-3.1.2-19]
        if flags & USER_NAME != 0 {
            user_name = Some(reader.str()?); // [MQTT-3.1.3-12] [MQTT3-3.1.3-11]
        }
        let mut password = None;
        // [MQTT-3.1.2-18] [MQTT-3.1.2-19] [MQTT3-3.1.2-20] [MQTT3-3.1.2-21]
        if flags & PASSWORD != 0 {
            password = Some(reader.bin()?);
        }
        let clean_start = flags & CLEAN_START != 0;
        Ok(Connect {
            version,
            clean_start,
            keep_alive_s,
            client_id,
            will,
            user_name,
            password,
            properties,
        })
    }

    fn flags(&self) -> u8 {
        // [MQTT-3.1.2-11] [MQTT-3.1.2-13] [MQTT3-3.1.2-11] no will: no Will QoS, no Will Retain
        let mut flags = 0;
        if self.clean_start {
            flags |= CLEAN_START;
        }
        if let Some(will) = &self.will {
            flags |= WILL | will.qos.bits() << 3;
            if will.retain {
                flags |= WILL_RETAIN;
            }
        }
        if self.user_name.is_some() {
            flags |= USER_NAME;
        }
        if self.password.is_some() {
            flags |= PASSWORD;
        }
        flags
    }

    fn put_body(&self, version: Version, out: &mut impl Put) {
        debug_assert!(
            version.is_v5() || self.password.is_none() || self.user_name.is_some(),
            "before version 5.0 a password needs a user name"
        );
        out.put_str(version.protocol_name());
        out.put_slice(&[version.level(), self.flags()]);
        out.put_u16(self.keep_alive_s);
        if version.is_v5() {
            self.properties.put_section(out);
        }
        // [MQTT-3.1.3-1] [MQTT3-3.1.3-1]
        out.put_str(self.client_id);
        if let Some(will) = &self.will {
            if version.is_v5() {
                will.put_section(out);
            }
            out.put_str(will.topic);
            out.put_bin(will.payload);
        }
        if let Some(user_name) = self.user_name {
            out.put_str(user_name);
        }
        if let Some(password) = self.password {
            out.put_bin(password);
        }
    }
}

packet_methods!(Connect, PacketType::Connect);

fn take_version(reader: &mut Reader<'_>) -> Result<Version, DecodeError> {
    let name = reader.bin()?;
    if name != b"MQTT" && name != b"MQIsdp" {
        return Err(DecodeErrorKind::ProtocolName.into()); // [MQTT-3.1.2-1] [MQTT3-3.1.2-1]
    }
    match (name, reader.u8()?) {
        (b"MQTT", 5) => Ok(Version::V5),
        (b"MQTT", 4) => Ok(Version::V311),
        (b"MQIsdp", 3) => Ok(Version::V31),
        // [MQTT-3.1.2-2] [MQTT3-3.1.2-2]
        (_, level) => Err(DecodeErrorKind::ProtocolVersion(level).into()),
    }
}

fn check_flags(flags: u8, version: Version) -> Result<(), DecodeErrorKind> {
    if flags & RESERVED != 0 {
        return Err(DecodeErrorKind::ConnectReservedFlag); // [MQTT-3.1.2-3] [MQTT3-3.1.2-3]
    }
    if flags & WILL_QOS == WILL_QOS {
        return Err(DecodeErrorKind::WillQos3); // [MQTT-3.1.2-12] [MQTT3-3.1.2-14]
    }
    if flags & WILL == 0 && flags & WILL_QOS != 0 {
        // [MQTT-3.1.2-11] [MQTT3-3.1.2-11] [MQTT3-3.1.2-13]
        return Err(DecodeErrorKind::WillQosWithoutWill);
    }
    if flags & WILL == 0 && flags & WILL_RETAIN != 0 {
        // [MQTT-3.1.2-13] [MQTT3-3.1.2-11] [MQTT3-3.1.2-15]
        return Err(DecodeErrorKind::WillRetainWithoutWill);
    }
    if !version.is_v5() && flags & (USER_NAME | PASSWORD) == PASSWORD {
        return Err(DecodeErrorKind::PasswordWithoutUserName); // [MQTT3-3.1.2-22]
    }
    Ok(())
}

impl<'a> ConnectProperties<'a> {
    fn take(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let mut result = ConnectProperties::default();
        let place = Place::packet(PacketType::Connect);
        let mut properties = Properties::take(reader, place, Property::UserProperty.bit())?;
        while let Some(property) = properties.next()? {
            match property {
                (Property::SessionExpiryInterval, Value::Long(seconds)) => {
                    result.session_expiry_s = Some(seconds);
                }
                (Property::ReceiveMaximum, Value::Short(max)) => result.receive_max = Some(max),
                (Property::MaximumPacketSize, Value::Long(max)) => {
                    result.packet_size_max = Some(max);
                }
                (Property::TopicAliasMaximum, Value::Short(max)) => {
                    result.topic_alias_max = Some(max);
                }
                (Property::RequestResponseInformation, Value::Byte(flag)) => {
                    result.request_response_information = flag == 1;
                }
                (Property::RequestProblemInformation, Value::Byte(flag)) => {
                    result.request_problem_information = flag == 1;
                }
                (Property::AuthenticationMethod, Value::Text(text)) => {
                    result.auth_method = Some(text);
                }
                (Property::AuthenticationData, Value::Binary(data)) => {
                    result.auth_data = Some(data);
                }
                _ => {}
            }
        }
        result.user_properties = UserProperties::from_section(properties.kept().0);
        // Section 3.1.2.11.10
        if result.auth_data.is_some() && result.auth_method.is_none() {
            return Err(DecodeErrorKind::AuthDataWithoutMethod.into());
        }
        Ok(result)
    }
}

impl WriteProperties for ConnectProperties<'_> {
    fn write_properties(&self, out: &mut impl Put) {
        put_long(out, Property::SessionExpiryInterval, self.session_expiry_s);
        put_short(out, Property::ReceiveMaximum, self.receive_max);
        put_long(out, Property::MaximumPacketSize, self.packet_size_max);
        put_short(out, Property::TopicAliasMaximum, self.topic_alias_max);
        // The two flags are written where they differ from what their absence means.
        let response = self.request_response_information.then_some(true);
        put_flag(out, Property::RequestResponseInformation, response);
        let problem = (!self.request_problem_information).then_some(0);
        put_byte(out, Property::RequestProblemInformation, problem);
        put_text(out, Property::AuthenticationMethod, self.auth_method);
        put_binary(out, Property::AuthenticationData, self.auth_data);
        self.user_properties.put(out);
    }
}

impl<'a> Will<'a> {
    /// A will without properties.
    pub fn new(topic: &'a str, payload: &'a [u8], qos: Qos, retain: bool) -> Self {
        let forward = ForwardProperties::default();
        Will { qos, retain, topic, payload, delay_s: 0, message_expiry_s: None, forward }
    }

    fn take(reader: &mut Reader<'a>, flags: u8, version: Version) -> Result<Self, DecodeError> {
        let qos = Qos::from_bits((flags & WILL_QOS) >> 3).ok_or(DecodeErrorKind::WillQos3)?;
        let mut will = Will::new("", &[], qos, flags & WILL_RETAIN != 0);
        if version.is_v5() {
            let mut properties = Properties::take(reader, Place::WILL, ForwardProperties::KEEP)?;
            while let Some(property) = properties.next()? {
                match property {
                    (Property::WillDelayInterval, Value::Long(seconds)) => will.delay_s = seconds,
                    (Property::MessageExpiryInterval, Value::Long(seconds)) => {
                        will.message_expiry_s = Some(seconds);
                    }
                    _ => {}
                }
            }
            will.forward = ForwardProperties::kept(&properties);
        }
        will.topic = reader.str()?; // [MQTT-3.1.3-11] [MQTT3-3.1.3-10]
        topic::check_name(will.topic).map_err(DecodeErrorKind::WillTopic)?;
        will.payload = reader.bin()?;
        Ok(will)
    }
}

impl WriteProperties for Will<'_> {
    fn write_properties(&self, out: &mut impl Put) {
        let delay = (self.delay_s != 0).then_some(self.delay_s);
        put_long(out, Property::WillDelayInterval, delay);
        put_long(out, Property::MessageExpiryInterval, self.message_expiry_s);
        self.forward.put(out);
    }
}
