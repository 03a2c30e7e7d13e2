//! Maximum Packet Size in both directions, to the byte.

use martlet_engine::Drop;
use martlet_proto::{Connect, ConnectProperties, SubscriptionOptions, Version};
use martlet_session::client::{Publication, PublishError, RequestError, SubscribeRequest};

use crate::rig::{
    Happened, Q0, Q1, Q2, Rig, VERSIONS, Way, fresh, lasting, on_every_size, on_every_size_with,
    publication,
};

const MAX: usize = 100;

/// A payload so that a PUBLISH on topic "t" of version 5 without properties has `len` bytes.
fn payload_for(len: usize, qos: martlet_proto::Qos) -> String {
    // Fixed header 2, topic 3, properties 1, identifier 2.
    let header = if qos == Q0 { 6 } else { 8 };
    "x".repeat(len - header)
}

/// A v5 CONNECT of a session that lasts and takes packets of [`MAX`] bytes.
fn small(client_id: &str) -> Connect<'_> {
    let connect = lasting(Version::V5, client_id);
    let packet_size_max = Some(MAX as u32);
    Connect { properties: ConnectProperties { packet_size_max, ..connect.properties }, ..connect }
}

fn largest(rig: &Rig, name: &str, way: Way) -> usize {
    let crossings = rig.crossings(name).iter().filter(|it| it.way == way);
    crossings.map(|it| it.bytes.len()).max().expect("something was sent")
}

// [MQTT-3.1.2-24] [MQTT-3.1.2-25]
#[test]
fn the_server_keeps_from_a_client_what_is_too_large_for_it() {
    on_every_size(|rig| {
        rig.connect("p", &fresh(Version::V5, "p"));
        rig.connect("whole", &fresh(Version::V5, "whole"));
        rig.connect("s", &small("s"));
        rig.subscribe("whole", "t", Q2);
        rig.subscribe("s", "t", Q2);
        for qos in [Q0, Q1, Q2] {
            for len in [MAX, MAX + 1] {
                rig.publish_done("p", "t", &payload_for(len, qos), qos);
                assert_eq!(rig.messages("whole").len(), 1);
                assert_eq!(rig.messages("s").len(), usize::from(len == MAX), "{len}, {qos:?}");
            }
        }
        assert_eq!(largest(rig, "s", Way::ToClient), MAX);
        // The same for what waits.
        rig.cut("s");
        for qos in [Q1, Q2] {
            for len in [MAX + 1, MAX, MAX * 10] {
                rig.publish_done("p", "t", &payload_for(len, qos), qos);
            }
        }
        rig.messages("whole");
        assert!(rig.connect("s", &small("s")));
        assert_eq!(rig.messages("s").len(), 2);
        assert_eq!((rig.stats().in_flight, rig.stats().queued), (0, 0));
        assert_eq!(rig.stats().dropped[Drop::PacketTooLarge as usize], 7);
    });
}

// [MQTT-3.1.2-25] [MQTT-4.4.0-1]
#[test]
fn a_smaller_maximum_holds_for_what_is_sent_again() {
    on_every_size(|rig| {
        rig.connect("p", &fresh(Version::V5, "p"));
        rig.connect("s", &lasting(Version::V5, "s"));
        rig.subscribe("s", "t", Q2);
        rig.client("s").hangs = true;
        for qos in [Q1, Q2] {
            rig.publish_done("p", "t", &payload_for(MAX * 3, qos), qos);
            rig.publish_done("p", "t", "small", qos);
        }
        rig.cut("s");
        rig.client("s").hangs = false;
        assert!(rig.connect("s", &small("s")));
        assert_eq!(rig.payloads("s"), ["small", "small"]);
        assert_eq!((rig.stats().in_flight, rig.stats().queued), (0, 0));
    });
}

// [MQTT-3.2.2-15]
#[test]
fn the_client_keeps_from_the_server_what_is_too_large_for_it() {
    let tune = |config: &mut martlet_engine::ShardConfig| {
        config.limits.packet_size_max = MAX as u32;
        config.limits.topic_alias_max = 0;
    };
    on_every_size_with(tune, |rig| {
        rig.connect("s", &fresh(Version::V311, "s"));
        rig.subscribe("s", "t", Q2);
        rig.connect("p", &lasting(Version::V5, "p"));
        for qos in [Q0, Q1, Q2] {
            rig.publish_done("p", "t", &payload_for(MAX, qos), qos);
            assert_eq!(rig.messages("s").len(), 1);
            let payload = payload_for(MAX + 1, qos);
            let refused = rig.publish("p", &publication("t", payload.as_bytes(), qos));
            assert_eq!(refused, Err(PublishError::PacketTooLarge));
        }
        let filter = "f".repeat(MAX);
        let filters = [(&*filter, SubscriptionOptions::new(Q0))];
        let request =
            SubscribeRequest { filters: &filters, subscription_id: None, user_properties: &[] };
        let refused =
            rig.act("p", |it, session, now_ms, out| it.subscribe(now_ms, session, &request, out));
        assert_eq!(refused, Err(RequestError::PacketTooLarge));
        rig.nothing("p");
        assert_eq!(largest(rig, "p", Way::ToServer), MAX);
        // What was taken without a connection is found out with the next one.
        rig.leave("p");
        let session = &mut rig.client("p").session;
        let payload = payload_for(MAX + 1, Q1);
        let large = session.publish(&publication("t", payload.as_bytes(), Q1)).expect("kept");
        let good = session.publish(&publication("t", b"good", Q1)).expect("kept");
        assert!(rig.connect("p", &lasting(Version::V5, "p")));
        let error = PublishError::PacketTooLarge;
        assert_eq!(rig.next("p"), Happened::PublishFailed(large, error));
        let ok = martlet_proto::ReasonCode::Success;
        assert_eq!(rig.next("p"), Happened::Published(good, ok));
        assert_eq!(rig.payloads("s"), ["good"]);
    });
}

// [MQTT-3.2.2-15] [MQTT-3.3.2-9]
#[test]
fn an_alias_that_makes_a_packet_too_large_is_left_out() {
    let tune = |config: &mut martlet_engine::ShardConfig| {
        config.limits.packet_size_max = MAX as u32;
    };
    on_every_size_with(tune, |rig| {
        rig.connect("s", &fresh(Version::V5, "s"));
        rig.subscribe("s", "t", Q2);
        rig.connect("p", &fresh(Version::V5, "p"));
        for len in [MAX, MAX - 2, MAX - 3, MAX - 4, MAX] {
            for qos in [Q0, Q1, Q2] {
                rig.publish_done("p", "t", &payload_for(len, qos), qos);
                let messages = rig.messages("s");
                assert_eq!((messages.len(), messages[0].topic.as_str()), (1, "t"));
            }
        }
        assert!(largest(rig, "p", Way::ToServer) <= MAX);
    });
}

// [MQTT-3.1.2-24]
#[test]
fn reasons_do_not_make_acknowledgements_too_large() {
    on_every_size(|rig| {
        rig.connect("s", &small("s"));
        // Refusals come with a reason string where it fits.
        let deep = "/".repeat(200);
        let filters = [(&*deep, SubscriptionOptions::new(Q0))];
        let request =
            SubscribeRequest { filters: &filters, subscription_id: None, user_properties: &[] };
        let codes = rig.subscribe_with("s", &request);
        assert!(codes[0] >= 0x80);
        assert!(largest(rig, "s", Way::ToClient) <= MAX);
    });
}

#[test]
fn without_a_maximum_everything_passes() {
    on_every_size(|rig| {
        for (i, version) in VERSIONS.into_iter().enumerate() {
            let name = ["a", "b", "c"][i];
            rig.connect(name, &fresh(version, name));
            rig.subscribe(name, "t", Q2);
            let payload = vec![b'x'; 70_000];
            let message: Publication<'_> = publication("t", &payload, Q2);
            rig.publish(name, &message).expect("taken");
            let messages = rig.messages(name);
            assert!(messages.len() == 1 && messages[0].payload == payload);
            rig.client(name).events.clear();
            rig.leave(name);
        }
    });
}
