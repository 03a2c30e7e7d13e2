//! Application messages for scripts, with every field of a PUBLISH. Must not know who sends them.

use std::num::NonZeroU16;

use martlet_proto::{
    ForwardFields, ForwardProperties, Packet, PacketId, Publish, PublishProperties, Qos,
    SubscriptionIds, Version,
};

/// A PUBLISH, owned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) qos: Qos,
    pub(crate) retain: bool,
    pub(crate) dup: bool,
    pub(crate) id: Option<u16>,
    pub(crate) expiry_s: Option<u32>,
    pub(crate) alias: Option<u16>,
    pub(crate) subscription_ids: Vec<u32>,
    pub(crate) payload_format: Option<u8>,
    pub(crate) response_topic: Option<String>,
    pub(crate) correlation_data: Option<Vec<u8>>,
    pub(crate) content_type: Option<String>,
    pub(crate) user_properties: Vec<(String, String)>,
}

/// A message with QoS 0.
pub(crate) fn msg(topic: &str, payload: &str) -> Message {
    Message {
        topic: topic.to_owned(),
        payload: payload.as_bytes().to_vec(),
        qos: Qos::AtMostOnce,
        retain: false,
        dup: false,
        id: None,
        expiry_s: None,
        alias: None,
        subscription_ids: Vec::new(),
        payload_format: None,
        response_topic: None,
        correlation_data: None,
        content_type: None,
        user_properties: Vec::new(),
    }
}

impl Message {
    pub(crate) fn qos(mut self, qos: u8) -> Self {
        self.qos = Qos::from_bits(qos).expect("0 to 2");
        self
    }

    pub(crate) fn id(mut self, id: u16) -> Self {
        self.id = Some(id);
        self
    }

    pub(crate) fn retain(mut self) -> Self {
        self.retain = true;
        self
    }

    pub(crate) fn dup(mut self) -> Self {
        self.dup = true;
        self
    }

    pub(crate) fn expiry_s(mut self, seconds: u32) -> Self {
        self.expiry_s = Some(seconds);
        self
    }

    pub(crate) fn alias(mut self, alias: u16) -> Self {
        self.alias = Some(alias);
        self
    }

    pub(crate) fn user_property(mut self, name: &str, value: &str) -> Self {
        self.user_properties.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The payload as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.payload).expect("scripts send text")
    }

    /// The forwarded properties, in `buffer`.
    pub(super) fn forward<'b>(&self, buffer: &'b mut Vec<u8>) -> ForwardProperties<'b> {
        let pairs = self.user_properties.iter();
        let pairs: Vec<_> = pairs.map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let fields = ForwardFields {
            payload_format: self.payload_format,
            response_topic: self.response_topic.as_deref(),
            correlation_data: self.correlation_data.as_deref(),
            content_type: self.content_type.as_deref(),
            user_properties: &pairs,
        };
        fields.put(buffer);
        ForwardProperties::from_encoded(buffer)
    }

    /// The whole packet.
    pub(crate) fn bytes(&self, version: Version) -> Vec<u8> {
        let mut forward = Vec::new();
        let publish = Publish {
            dup: self.dup,
            qos: self.qos,
            retain: self.retain,
            topic: &self.topic,
            packet_id: self.id.and_then(PacketId::new),
            properties: PublishProperties {
                message_expiry_s: self.expiry_s,
                topic_alias: self.alias.and_then(NonZeroU16::new),
                subscription_ids: SubscriptionIds::from(self.subscription_ids.as_slice()),
                forward: self.forward(&mut forward),
            },
            payload: &self.payload,
        };
        let mut bytes = Vec::new();
        Packet::Publish(publish).put(version, &mut bytes);
        bytes
    }
}

impl From<&Publish<'_>> for Message {
    fn from(publish: &Publish<'_>) -> Self {
        let properties = &publish.properties;
        let forward = &properties.forward;
        let pairs = forward.user_properties().iter();
        Self {
            topic: publish.topic.to_owned(),
            payload: publish.payload.to_vec(),
            qos: publish.qos,
            retain: publish.retain,
            dup: publish.dup,
            id: publish.packet_id.map(PacketId::get),
            expiry_s: properties.message_expiry_s,
            alias: properties.topic_alias.map(NonZeroU16::get),
            subscription_ids: properties.subscription_ids.iter().collect(),
            payload_format: forward.payload_format(),
            response_topic: forward.response_topic().map(str::to_owned),
            correlation_data: forward.correlation_data().map(<[u8]>::to_vec),
            content_type: forward.content_type().map(str::to_owned),
            user_properties: pairs.map(|(n, v)| (n.to_owned(), v.to_owned())).collect(),
        }
    }
}
