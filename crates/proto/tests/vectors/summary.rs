//! One line of text for a packet, with everything that is in it. Absent parts are left out.

use std::fmt::Display;

use martlet_proto::{
    Ack, ConnAckProperties, Connect, ForwardProperties, Packet, Publish, ReasonProperties,
    UserProperties, Will,
};

struct Line(String);

impl Line {
    fn word(&mut self, word: impl Display) {
        self.0.push_str(&format!(" {word}"));
    }

    fn flag(&mut self, name: &str, set: bool) {
        if set {
            self.word(name);
        }
    }

    fn value(&mut self, name: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.word(format_args!("{name}={value}"));
        }
    }

    fn data(&mut self, name: &str, data: Option<&[u8]>) {
        self.value(name, data.map(text_or_hex));
    }

    fn pairs(&mut self, pairs: UserProperties<'_>) {
        for (name, value) in pairs {
            self.word(format_args!("{name}:{value}"));
        }
    }

    fn forward(&mut self, forward: &ForwardProperties<'_>) {
        self.value("format", forward.payload_format());
        self.value("response", forward.response_topic());
        self.data("correlation", forward.correlation_data());
        self.value("content", forward.content_type());
        self.pairs(forward.user_properties());
    }

    fn reasons(&mut self, properties: &ReasonProperties<'_>) {
        self.value("why", properties.reason_string);
        self.pairs(properties.user_properties);
    }
}

fn text_or_hex(data: &[u8]) -> String {
    if data.iter().all(u8::is_ascii_graphic) {
        if data.len() > 40 {
            return format!("{}..({})", data[0] as char, data.len());
        }
        return data.iter().map(|&byte| byte as char).collect();
    }
    data.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// The line of a packet.
pub(crate) fn of(packet: &Packet<'_>) -> String {
    let mut line = Line(packet.packet_type().name().to_string());
    match packet {
        Packet::Connect(connect) => of_connect(&mut line, connect),
        Packet::ConnAck(connack) => {
            line.flag("present", connack.session_present);
            line.word(format_args!("0x{:02X}", connack.reason as u8));
            of_connack_properties(&mut line, &connack.properties);
        }
        Packet::Publish(publish) => of_publish(&mut line, publish),
        Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
            of_ack(&mut line, ack);
        }
        Packet::Subscribe(subscribe) => {
            line.value("id", Some(subscribe.packet_id));
            line.value("number", subscribe.subscription_id);
            line.pairs(subscribe.user_properties);
            for (filter, options) in subscribe.filters.iter() {
                line.word(format_args!("{filter}={:02X}", options.to_bits()));
            }
        }
        Packet::SubAck(suback) => {
            line.value("id", Some(suback.packet_id));
            line.reasons(&suback.properties);
            suback.codes.iter().for_each(|code| line.word(format_args!("0x{code:02X}")));
        }
        Packet::Unsubscribe(unsubscribe) => {
            line.value("id", Some(unsubscribe.packet_id));
            line.pairs(unsubscribe.user_properties);
            unsubscribe.filters.iter().for_each(|filter| line.word(filter));
        }
        Packet::UnsubAck(unsuback) => {
            line.value("id", Some(unsuback.packet_id));
            line.reasons(&unsuback.properties);
            unsuback.codes.iter().for_each(|code| line.word(format_args!("0x{code:02X}")));
        }
        Packet::PingReq | Packet::PingResp => {}
        Packet::Disconnect(disconnect) => {
            line.word(format_args!("0x{:02X}", disconnect.reason as u8));
            line.value("expiry", disconnect.session_expiry_s);
            line.value("why", disconnect.reason_string);
            line.pairs(disconnect.user_properties);
            line.value("server", disconnect.server_reference);
        }
        Packet::Auth(auth) => {
            line.word(format_args!("0x{:02X}", auth.reason as u8));
            line.value("method", auth.method);
            line.data("data", auth.data);
            line.value("why", auth.reason_string);
            line.pairs(auth.user_properties);
        }
    }
    line.0
}

fn of_connect(line: &mut Line, connect: &Connect<'_>) {
    line.word(connect.version);
    line.value("client", Some(connect.client_id));
    line.flag("clean", connect.clean_start);
    line.value("keepalive", Some(connect.keep_alive_s));
    let properties = &connect.properties;
    line.value("expiry", properties.session_expiry_s);
    line.value("receive", properties.receive_max);
    line.value("size", properties.packet_size_max);
    line.value("alias", properties.topic_alias_max);
    line.flag("want-response", properties.request_response_information);
    line.flag("no-problem", !properties.request_problem_information);
    line.value("method", properties.auth_method);
    line.data("data", properties.auth_data);
    line.pairs(properties.user_properties);
    line.value("user", connect.user_name);
    line.data("password", connect.password);
    if let Some(will) = &connect.will {
        of_will(line, will);
    }
}

fn of_will(line: &mut Line, will: &Will<'_>) {
    line.value("will", Some(will.topic));
    line.word(format_args!("q{}", will.qos as u8));
    line.flag("retain", will.retain);
    line.value("delay", (will.delay_s != 0).then_some(will.delay_s));
    line.value("expiry", will.message_expiry_s);
    line.forward(&will.forward);
    line.data("payload", Some(will.payload));
}

fn of_connack_properties(line: &mut Line, properties: &ConnAckProperties<'_>) {
    line.value("expiry", properties.session_expiry_s);
    line.value("receive", properties.receive_max);
    line.value("qos", properties.qos_max.map(|qos| qos as u8));
    line.value("retain", properties.retain_available);
    line.value("size", properties.packet_size_max);
    line.value("client", properties.assigned_client_id);
    line.value("alias", properties.topic_alias_max);
    line.value("why", properties.reason_string);
    line.pairs(properties.user_properties);
    line.value("wildcard", properties.wildcard_available);
    line.value("numbers", properties.subscription_ids_available);
    line.value("shared", properties.shared_available);
    line.value("keepalive", properties.server_keep_alive_s);
    line.value("response", properties.response_information);
    line.value("server", properties.server_reference);
    line.value("method", properties.auth_method);
    line.data("data", properties.auth_data);
}

fn of_publish(line: &mut Line, publish: &Publish<'_>) {
    line.word(format_args!("q{}", publish.qos as u8));
    line.flag("dup", publish.dup);
    line.flag("retain", publish.retain);
    line.value("topic", Some(publish.topic));
    line.value("id", publish.packet_id);
    line.value("expiry", publish.properties.message_expiry_s);
    line.value("alias", publish.properties.topic_alias);
    for id in publish.properties.subscription_ids {
        line.value("number", Some(id));
    }
    line.forward(&publish.properties.forward);
    line.data("payload", Some(publish.payload));
}

fn of_ack(line: &mut Line, ack: &Ack<'_>) {
    line.value("id", Some(ack.packet_id));
    line.word(format_args!("0x{:02X}", ack.reason as u8));
    line.reasons(&ack.properties);
}
