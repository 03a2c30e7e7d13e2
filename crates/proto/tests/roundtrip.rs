//! Properties of the codec over arbitrary packets and arbitrary bytes: what is written is read
//! back, the length is known beforehand, a part of a packet is no packet, and nothing panics.

use std::num::{NonZeroU16, NonZeroU32};

use martlet_proto::{
    Ack, Auth, ConnAck, ConnAckProperties, Connect, ConnectProperties, Disconnect, ForwardFields,
    ForwardProperties, Frame, Framing, Packet, PacketId, PacketType, Publish, PublishProperties,
    Qos, ReasonCode, ReasonProperties, RetainHandling, Sender, SliceBuf, SubAck, Subscribe,
    SubscriptionOptions, UnsubAck, Unsubscribe, Version, Will, decode, decode_publish, frame,
};
use proptest::collection::vec;
use proptest::prelude::*;

const SIZE_MAX: usize = 1 << 28;

/// What a packet is made from; a packet borrows.
#[derive(Debug, Clone)]
struct Parts {
    kind: PacketType,
    version: Version,
    sender: Sender,
    /// Which optional things are there.
    present: u32,
    texts: Vec<String>,
    topics: Vec<String>,
    filters: Vec<String>,
    data: Vec<Vec<u8>>,
    numbers: Vec<u32>,
    pairs: Vec<(String, String)>,
    ids: Vec<u32>,
    choice: Vec<usize>,
}

/// Text without U+0000, short ones most of the time.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[a-zA-Z0-9/_é\u{feff}𪛔]{0,12}", 1 => "[^\u{0}]{0,40}"]
}

fn topic() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[a-z/$ é]{1,20}", 1 => "[^\u{0}+#]{1,40}"]
}

fn filter() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("#".to_string()),
        Just("+".to_string()),
        Just("$share/g/a/+".to_string()),
        "[a-z]{0,3}/[+]/[a-z]{0,3}(/#)?",
        topic().prop_filter("a share needs more", |topic| !topic.starts_with("$share/")),
    ]
}

fn parts() -> impl Strategy<Value = Parts> {
    let packet = (0..PacketType::ALL.len()).prop_map(|at| PacketType::ALL[at]);
    let version =
        prop_oneof![1 => Just(Version::V31), 1 => Just(Version::V311), 2 => Just(Version::V5)];
    let sender = prop_oneof![Just(Sender::Client), Just(Sender::Server)];
    let head = (packet, version, sender, any::<u32>())
        .prop_filter("exists", |(kind, version, sender, _)| kind.sent_by(*sender, *version));
    let texts = (vec(text(), 6), vec(topic(), 2), vec(filter(), 1..5), vec((text(), text()), 0..4));
    let data = vec(prop_oneof![3 => vec(any::<u8>(), 0..20), 1 => vec(any::<u8>(), 0..400)], 3);
    let numbers = vec(prop_oneof![1..200_u32, 1..=u32::MAX], 8);
    let ids = vec(1..=268_435_455_u32, 0..4);
    (head, texts, data, numbers, ids, vec(0..1000_usize, 8)).prop_map(
        |(head, texts, data, numbers, ids, choice)| {
            let (kind, version, sender, present) = head;
            let (texts, topics, filters, pairs) = texts;
            Parts {
                kind,
                version,
                sender,
                present,
                texts,
                topics,
                filters,
                data,
                numbers,
                pairs,
                ids,
                choice,
            }
        },
    )
}

/// The borrowed lists that a packet points to.
struct Lists<'a> {
    pairs: Vec<(&'a str, &'a str)>,
    filters: Vec<(&'a str, SubscriptionOptions)>,
    names: Vec<&'a str>,
    codes: Vec<u8>,
    forward: Vec<u8>,
}

impl Parts {
    fn has(&self, bit: u32) -> bool {
        self.present >> bit & 1 == 1
    }

    fn some<T>(&self, bit: u32, value: T) -> Option<T> {
        self.has(bit).then_some(value)
    }

    fn v5<T: Default>(&self, value: T) -> T {
        if self.version.is_v5() { value } else { T::default() }
    }

    fn qos(&self) -> Qos {
        Qos::from_bits((self.choice[0] % 3) as u8).unwrap()
    }

    fn packet_id(&self) -> PacketId {
        PacketId::new((self.numbers[0] as u16).max(1)).unwrap()
    }

    fn short(&self, at: usize) -> u16 {
        (self.numbers[at] as u16).max(1)
    }

    /// One of the codes that this packet may carry.
    fn reason(&self) -> ReasonCode {
        let may = |reason: &&ReasonCode| match (self.kind, self.version.is_v5()) {
            (PacketType::ConnAck, false) => {
                reason.connack_v3().and_then(ReasonCode::from_connack_v3) == Some(**reason)
            }
            (_, false) => **reason == ReasonCode::Success,
            _ => reason.allowed_from(self.kind, self.sender),
        };
        let codes: Vec<&ReasonCode> = ReasonCode::ALL.iter().filter(may).collect();
        **codes.get(self.choice[1] % codes.len().max(1)).unwrap_or(&&ReasonCode::Success)
    }

    fn lists(&self) -> Lists<'_> {
        let pairs: Vec<_> =
            self.pairs.iter().map(|pair| (pair.0.as_str(), pair.1.as_str())).collect();
        let options = |at: usize, filter: &str| SubscriptionOptions {
            qos: Qos::from_bits((self.choice[at] % 3) as u8).unwrap(),
            no_local: self.version.is_v5() && self.has(20) && !filter.starts_with("$share/"),
            retain_as_published: self.version.is_v5() && self.has(21),
            retain_handling: match (self.version.is_v5(), self.choice[at] % 5) {
                (true, 1) => RetainHandling::SendIfNew,
                (true, 2) => RetainHandling::DoNotSend,
                _ => RetainHandling::Send,
            },
        };
        let filters =
            self.filters.iter().enumerate().map(|(at, one)| (one.as_str(), options(at, one)));
        let may = |reason: &&ReasonCode| match self.version {
            Version::V5 => reason.allowed_in(self.kind),
            _ => matches!(**reason as u8, 0..=2 | 0x80),
        };
        let codes: Vec<u8> = ReasonCode::ALL.iter().filter(may).map(|one| *one as u8).collect();
        let code = |at: &usize| codes[at % codes.len().max(1)];
        let mut forward = Vec::new();
        self.forward_fields(&pairs).put(&mut forward);
        Lists {
            filters: filters.collect(),
            names: self.filters.iter().map(String::as_str).collect(),
            codes: if codes.is_empty() { vec![] } else { self.choice.iter().map(code).collect() },
            forward,
            pairs,
        }
    }

    fn forward_fields<'a>(&'a self, pairs: &'a [(&'a str, &'a str)]) -> ForwardFields<'a> {
        ForwardFields {
            payload_format: self.some(22, (self.choice[2] % 2) as u8),
            response_topic: self.some(23, self.topics[1].as_str()),
            correlation_data: self.some(24, self.data[2].as_slice()),
            content_type: self.some(25, self.texts[5].as_str()),
            user_properties: pairs,
        }
    }

    fn packet<'a>(&'a self, lists: &'a Lists<'a>) -> Packet<'a> {
        let packet_id = self.packet_id();
        let user_properties = self.v5(lists.pairs.as_slice().into());
        let properties = self.v5(ReasonProperties {
            reason_string: self.some(0, self.texts[0].as_str()),
            user_properties,
        });
        let ack = Ack { packet_id, reason: self.reason(), properties };
        match self.kind {
            PacketType::Connect => Packet::Connect(self.connect(lists)),
            PacketType::ConnAck => Packet::ConnAck(self.connack(lists)),
            PacketType::Publish => Packet::Publish(self.publish(lists)),
            PacketType::PubAck => Packet::PubAck(ack),
            PacketType::PubRec => Packet::PubRec(ack),
            PacketType::PubRel => Packet::PubRel(ack),
            PacketType::PubComp => Packet::PubComp(ack),
            PacketType::Subscribe => Packet::Subscribe(Subscribe {
                packet_id,
                subscription_id: self
                    .v5(self.some(0, NonZeroU32::new(self.numbers[1] % 268_435_455 + 1).unwrap())),
                user_properties,
                filters: lists.filters.as_slice().into(),
            }),
            PacketType::SubAck => {
                Packet::SubAck(SubAck { packet_id, properties, codes: &lists.codes })
            }
            PacketType::Unsubscribe => Packet::Unsubscribe(Unsubscribe {
                packet_id,
                user_properties,
                filters: lists.names.as_slice().into(),
            }),
            PacketType::UnsubAck => {
                let codes = self.v5(lists.codes.as_slice());
                Packet::UnsubAck(UnsubAck { packet_id, properties, codes })
            }
            PacketType::PingReq => Packet::PingReq,
            PacketType::PingResp => Packet::PingResp,
            PacketType::Disconnect => {
                let expiry =
                    self.some(1, self.numbers[1]).filter(|_| self.sender == Sender::Client);
                Packet::Disconnect(Disconnect {
                    reason: self.reason(),
                    session_expiry_s: self.v5(expiry),
                    reason_string: properties.reason_string,
                    user_properties,
                    server_reference: self.v5(self.some(2, self.texts[1].as_str())),
                })
            }
            PacketType::Auth => Packet::Auth(Auth {
                data: self.some(1, self.data[0].as_slice()),
                reason_string: properties.reason_string,
                user_properties,
                ..Auth::new(self.reason(), &self.texts[1])
            }),
        }
    }

    fn connect<'a>(&'a self, lists: &'a Lists<'a>) -> Connect<'a> {
        let auth_method = self.some(6, self.texts[1].as_str());
        let properties = ConnectProperties {
            session_expiry_s: self.some(0, self.numbers[1]),
            receive_max: self.some(1, self.short(2)),
            packet_size_max: self.some(2, self.numbers[3]),
            topic_alias_max: self.some(3, self.numbers[4] as u16),
            request_response_information: self.has(4),
            request_problem_information: self.has(5),
            auth_method,
            auth_data: self.some(7, self.data[0].as_slice()).filter(|_| auth_method.is_some()),
            user_properties: lists.pairs.as_slice().into(),
        };
        let will = Will {
            delay_s: self.v5(self.some(9, self.numbers[5]).unwrap_or(0)),
            message_expiry_s: self.v5(self.some(10, self.numbers[6])),
            forward: self.v5(ForwardProperties::from_encoded(&lists.forward)),
            ..Will::new(&self.topics[0], &self.data[1], self.qos(), self.has(11))
        };
        let user_name = self.some(13, self.texts[3].as_str());
        let may_password = self.version.is_v5() || user_name.is_some();
        Connect {
            keep_alive_s: self.numbers[7] as u16,
            will: self.some(12, will),
            user_name,
            password: self.some(14, self.data[2].as_slice()).filter(|_| may_password),
            properties: self.v5(properties),
            ..Connect::new(self.version, &self.texts[2], self.has(15))
        }
    }

    fn connack<'a>(&'a self, lists: &'a Lists<'a>) -> ConnAck<'a> {
        let reason = self.reason();
        let properties = ConnAckProperties {
            session_expiry_s: self.some(0, self.numbers[1]),
            receive_max: self.some(1, self.short(2)),
            qos_max: Qos::from_bits((self.choice[2] % 2) as u8).filter(|_| self.has(2)),
            retain_available: self.some(3, self.has(30)),
            packet_size_max: self.some(4, self.numbers[3]),
            assigned_client_id: self.some(5, self.texts[0].as_str()),
            topic_alias_max: self.some(6, self.numbers[4] as u16),
            reason_string: self.some(7, self.texts[1].as_str()),
            user_properties: lists.pairs.as_slice().into(),
            wildcard_available: self.some(8, self.has(29)),
            subscription_ids_available: self.some(9, self.has(28)),
            shared_available: self.some(10, self.has(27)),
            server_keep_alive_s: self.some(11, self.numbers[5] as u16),
            response_information: self.some(12, self.texts[2].as_str()),
            server_reference: self.some(13, self.texts[3].as_str()),
            auth_method: self.some(14, self.texts[4].as_str()),
            auth_data: self.some(15, self.data[0].as_slice()),
        };
        let may_be_present = reason == ReasonCode::Success && self.version != Version::V31;
        ConnAck {
            properties: self.v5(properties),
            ..ConnAck::new(self.has(16) && may_be_present, reason)
        }
    }

    fn publish<'a>(&'a self, lists: &'a Lists<'a>) -> Publish<'a> {
        let qos = self.qos();
        let topic_alias = self.some(1, NonZeroU16::new(self.short(2)).unwrap());
        let by_alias = self.version.is_v5() && topic_alias.is_some() && self.has(2);
        let ids = if self.sender == Sender::Server { self.ids.as_slice() } else { &[] };
        Publish {
            dup: self.has(3) && qos != Qos::AtMostOnce,
            qos,
            retain: self.has(4),
            topic: if by_alias { "" } else { &self.topics[0] },
            packet_id: (qos != Qos::AtMostOnce).then(|| self.packet_id()),
            properties: self.v5(PublishProperties {
                message_expiry_s: self.some(0, self.numbers[1]),
                topic_alias,
                subscription_ids: ids.into(),
                forward: ForwardProperties::from_encoded(&lists.forward),
            }),
            payload: &self.data[0],
        }
    }
}

fn complete(bytes: &[u8]) -> Frame<'_> {
    match frame(bytes, SIZE_MAX).expect("what was written has a good fixed header") {
        Framing::Complete(frame) => frame,
        Framing::Incomplete { .. } => panic!("what was written is whole"),
    }
}

fn written(packet: &Packet<'_>, version: Version) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.put(version, &mut bytes);
    bytes
}

/// Decodes as everything, and what can be decoded is written and read again.
fn decode_as_everything(frame: &Frame<'_>) {
    for version in [Version::V31, Version::V311, Version::V5] {
        for sender in [Sender::Client, Sender::Server] {
            let _ = decode_publish(frame, version, sender);
            match decode(frame, version, sender) {
                Ok(packet) => {
                    let bytes = written(&packet, version);
                    assert_eq!(packet.encoded_len(version), bytes.len());
                    assert_eq!(decode(&complete(&bytes), version, sender), Ok(packet));
                    let _ = format!("{packet:?}");
                }
                Err(error) => {
                    let _ = format!("{error} {error:?} {:?}", error.reason());
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_is_written_is_read_back(parts in parts()) {
        let lists = parts.lists();
        let packet = parts.packet(&lists);
        let bytes = written(&packet, parts.version);
        prop_assert_eq!(packet.encoded_len(parts.version), bytes.len());
        let frame = complete(&bytes);
        prop_assert_eq!(frame.len, bytes.len());
        prop_assert_eq!(decode(&frame, parts.version, parts.sender), Ok(packet));
    }

    #[test]
    fn a_slice_takes_the_same_bytes(parts in parts()) {
        let lists = parts.lists();
        let packet = parts.packet(&lists);
        let bytes = written(&packet, parts.version);
        let mut room = vec![0; packet.encoded_len(parts.version)];
        let mut out = SliceBuf::new(&mut room);
        packet.put(parts.version, &mut out);
        prop_assert_eq!(out.remaining(), 0);
        prop_assert_eq!(out.written(), bytes.as_slice());
    }

    /// Every strict prefix is incomplete, and says how long the packet is as soon as that can be
    /// known.
    #[test]
    fn a_part_of_a_packet_is_incomplete(parts in parts()) {
        let lists = parts.lists();
        let bytes = written(&parts.packet(&lists), parts.version);
        let whole = complete(&bytes);
        let header = bytes.len() - whole.body.len();
        for end in 0..bytes.len() {
            let total = (end >= header).then_some(bytes.len());
            prop_assert_eq!(frame(&bytes[..end], SIZE_MAX), Ok(Framing::Incomplete { total }));
        }
        // A body that was cut is an error or, where a field could end there, a packet; never a
        // panic.
        for end in 0..whole.body.len() {
            decode_as_everything(&Frame { body: &whole.body[..end], ..whole });
        }
    }

    #[test]
    fn a_damaged_packet_does_not_panic(
        parts in parts(),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let lists = parts.lists();
        let mut bytes = written(&parts.packet(&lists), parts.version);
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(Framing::Complete(frame)) = frame(&bytes, SIZE_MAX) {
            decode_as_everything(&frame);
        }
    }

    #[test]
    fn arbitrary_bytes_do_not_panic(bytes in vec(any::<u8>(), 0..200)) {
        let _ = frame(&bytes, 100);
        if let Ok(Framing::Complete(frame)) = frame(&bytes, SIZE_MAX) {
            decode_as_everything(&frame);
        }
    }

    /// Any body under any first byte, with the small numbers that lengths and identifiers are.
    #[test]
    fn arbitrary_bodies_do_not_panic(
        first in any::<u8>(),
        body in vec(prop_oneof![0..6_u8, 0..0x2B_u8, any::<u8>()], 0..60),
    ) {
        let len = body.len() + 2;
        decode_as_everything(&Frame { packet_type_and_flags: first, body: &body, len });
    }

    #[test]
    fn a_forwarded_message_is_unaltered(parts in parts()) {
        prop_assume!(parts.version.is_v5());
        let lists = parts.lists();
        let bytes = written(&Packet::Publish(parts.publish(&lists)), Version::V5);
        let received = decode_publish(&complete(&bytes), Version::V5, parts.sender).unwrap();
        let mut forwarded = Vec::new();
        received.properties.forward.put(&mut forwarded);
        prop_assert_eq!(&forwarded, &lists.forward);
        prop_assert_eq!(received.properties.forward.encoded_len(), forwarded.len());
    }
}
