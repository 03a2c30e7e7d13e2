//! CONNECT packets for scripts. Must not know what the server makes of them.

use martlet_proto::{Connect, ConnectProperties, Packet, UserProperties, Version, Will};

use super::Message;

/// A client about to connect. `name` is the script's name of the transport, and the client
/// identifier unless another one is given.
#[derive(Debug, Clone)]
pub(crate) struct Hello {
    pub(super) name: String,
    pub(super) version: Version,
    id: String,
    clean: bool,
    keep_alive_s: u16,
    will: Option<(Message, u32)>,
    user_name: Option<String>,
    password: Option<Vec<u8>>,
    session_expiry_s: Option<u32>,
    receive_max: Option<u16>,
    pub(super) packet_size_max: Option<u32>,
    topic_alias_max: Option<u16>,
    response_information: bool,
    pub(super) problem_information: bool,
    auth: Option<(String, Option<Vec<u8>>)>,
}

/// A client of version 5.0 with Clean Start.
pub(crate) fn v5(name: &str) -> Hello {
    Hello::new(Version::V5, name)
}

/// A client of version 3.1.1 with Clean Session.
pub(crate) fn v311(name: &str) -> Hello {
    Hello::new(Version::V311, name)
}

/// A client of version 3.1 with Clean Session.
pub(crate) fn v31(name: &str) -> Hello {
    Hello::new(Version::V31, name)
}

impl Hello {
    fn new(version: Version, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            version,
            id: name.to_owned(),
            clean: true,
            keep_alive_s: 0,
            will: None,
            user_name: None,
            password: None,
            session_expiry_s: None,
            receive_max: None,
            packet_size_max: None,
            topic_alias_max: None,
            response_information: false,
            problem_information: true,
            auth: None,
        }
    }

    /// The script's name of the transport.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn id(mut self, id: &str) -> Self {
        id.clone_into(&mut self.id);
        self
    }

    /// Without Clean Start, with a session that outlives its connection by a day (for ever before
    /// 5.0).
    pub(crate) fn lasting(mut self) -> Self {
        self.clean = false;
        if self.version.is_v5() {
            self.session_expiry_s = Some(24 * 60 * 60);
        }
        self
    }

    pub(crate) fn clean(mut self, clean: bool) -> Self {
        self.clean = clean;
        self
    }

    pub(crate) fn expiry_s(mut self, seconds: u32) -> Self {
        self.session_expiry_s = Some(seconds);
        self
    }

    pub(crate) fn keep_alive_s(mut self, seconds: u16) -> Self {
        self.keep_alive_s = seconds;
        self
    }

    pub(crate) fn will(self, message: Message) -> Self {
        self.will_after_s(message, 0)
    }

    pub(crate) fn will_after_s(mut self, message: Message, delay_s: u32) -> Self {
        self.will = Some((message, delay_s));
        self
    }

    pub(crate) fn user(mut self, name: &str, password: &str) -> Self {
        self.user_name = Some(name.to_owned());
        self.password = Some(password.as_bytes().to_vec());
        self
    }

    pub(crate) fn receive_max(mut self, max: u16) -> Self {
        self.receive_max = Some(max);
        self
    }

    pub(crate) fn packet_size_max(mut self, max: u32) -> Self {
        self.packet_size_max = Some(max);
        self
    }

    pub(crate) fn topic_alias_max(mut self, max: u16) -> Self {
        self.topic_alias_max = Some(max);
        self
    }

    pub(crate) fn response_information(mut self) -> Self {
        self.response_information = true;
        self
    }

    pub(crate) fn no_problem_information(mut self) -> Self {
        self.problem_information = false;
        self
    }

    pub(crate) fn method(mut self, method: &str, data: Option<&str>) -> Self {
        self.auth = Some((method.to_owned(), data.map(|data| data.as_bytes().to_vec())));
        self
    }

    /// The whole packet.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut forward = Vec::new();
        let will = self.will.as_ref().map(|(message, delay_s)| Will {
            qos: message.qos,
            retain: message.retain,
            topic: &message.topic,
            payload: &message.payload,
            delay_s: *delay_s,
            message_expiry_s: message.expiry_s,
            forward: message.forward(&mut forward),
        });
        let mut bytes = Vec::new();
        let connect = Connect {
            version: self.version,
            clean_start: self.clean,
            keep_alive_s: self.keep_alive_s,
            client_id: &self.id,
            will,
            user_name: self.user_name.as_deref(),
            password: self.password.as_deref(),
            properties: ConnectProperties {
                session_expiry_s: self.session_expiry_s,
                receive_max: self.receive_max,
                packet_size_max: self.packet_size_max,
                topic_alias_max: self.topic_alias_max,
                request_response_information: self.response_information,
                request_problem_information: self.problem_information,
                auth_method: self.auth.as_ref().map(|(method, _)| method.as_str()),
                auth_data: self.auth.as_ref().and_then(|(_, data)| data.as_deref()),
                user_properties: UserProperties::default(),
            },
        };
        Packet::Connect(connect).put(self.version, &mut bytes);
        bytes
    }
}
