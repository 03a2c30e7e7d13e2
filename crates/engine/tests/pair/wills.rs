//! Will Messages as clients leave them behind.

use martlet_proto::{
    Connect, ConnectProperties, Disconnect, ForwardFields, ForwardProperties, Qos, ReasonCode,
    Version, Will,
};

use crate::rig::{Q0, Q1, Q2, Rig, VERSIONS, fresh, lasting, on_every_size};

fn will(qos: Qos) -> Will<'static> {
    Will::new("will/a", b"gone", qos, false)
}

fn delayed(delay_s: u32) -> Will<'static> {
    Will { delay_s, ..will(Q1) }
}

/// A v5 CONNECT with a will and a Session Expiry Interval.
fn leaving<'a>(will: Will<'a>, session_expiry_s: u32) -> Connect<'a> {
    let session_expiry_s = Some(session_expiry_s);
    Connect {
        will: Some(will),
        properties: ConnectProperties { session_expiry_s, ..ConnectProperties::default() },
        ..Connect::new(Version::V5, "a", false)
    }
}

fn watch(rig: &mut Rig) {
    rig.connect("w", &fresh(Version::V5, "w"));
    rig.subscribe("w", "will/+", Q2);
}

// [MQTT-3.1.2-7] [MQTT-3.1.2-8] [MQTT-3.1.2-10] [MQTT-3.14.4-3] [MQTT3-3.1.2-8] [MQTT3-3.1.2-10]
// [MQTT3-3.14.4-3]
#[test]
fn a_will_follows_a_break_and_not_a_goodbye() {
    on_every_size(|rig| {
        watch(rig);
        for version in VERSIONS {
            for qos in [Q0, Q1, Q2] {
                for connect in [fresh(version, "a"), lasting(version, "a")] {
                    let connect = Connect { will: Some(will(qos)), ..connect };
                    rig.connect("a", &connect);
                    rig.cut("a");
                    let messages = rig.messages("w");
                    assert_eq!(messages.len(), 1);
                    let got = &messages[0];
                    assert_eq!((got.topic.as_str(), got.text()), ("will/a", "gone"));
                    assert_eq!((got.qos, got.retain), (qos, false));
                    rig.connect("a", &connect);
                    rig.leave("a");
                    rig.nothing("w");
                }
                rig.connect("a", &fresh(version, "a"));
                rig.leave("a");
            }
        }
    });
}

// [MQTT-3.1.2-8] [MQTT3-3.1.2-8]
#[test]
fn a_goodbye_with_another_reason_leaves_the_will() {
    on_every_size(|rig| {
        watch(rig);
        for version in VERSIONS {
            rig.connect("a", &Connect { will: Some(will(Q1)), ..fresh(version, "a") });
            // Earlier versions have no such packet: the client just closes.
            rig.goodbye("a", &Disconnect::new(ReasonCode::DisconnectWithWill));
            rig.left("a");
            assert_eq!(rig.payloads("w"), ["gone"]);
        }
    });
}

// [MQTT-3.1.2-8] [MQTT-3.1.2-22] [MQTT3-3.1.2-8] [MQTT3-3.1.2-24]
#[test]
fn silence_and_takeover_leave_the_will() {
    on_every_size(|rig| {
        watch(rig);
        for version in VERSIONS {
            rig.client_anew("a");
            let connect = Connect { will: Some(will(Q2)), keep_alive_s: 10, ..fresh(version, "a") };
            rig.connect("a", &connect);
            rig.client("a").hangs = true;
            rig.advance_ms(14_999);
            rig.nothing("w");
            rig.advance_ms(1);
            assert_eq!(rig.payloads("w"), ["gone"]);
            rig.client("a").hangs = false;
            rig.settle();
            rig.client_anew("a");
            rig.connect("a", &connect);
            rig.connect("b", &fresh(version, "a"));
            assert_eq!(rig.payloads("w"), ["gone"]);
            rig.client("a").events.clear();
            rig.leave("b");
            rig.nothing("w");
        }
    });
}

// [MQTT-3.1.2-8] [MQTT-3.1.3-9]
#[test]
fn a_delayed_will_waits_and_is_called_off_by_a_return() {
    on_every_size(|rig| {
        watch(rig);
        rig.connect("a", &leaving(delayed(10), 100));
        rig.cut("a");
        rig.advance_ms(9_999);
        rig.nothing("w");
        assert!(rig.connect("a", &leaving(delayed(10), 100)));
        rig.advance_s(50);
        rig.nothing("w");
        rig.cut("a");
        rig.advance_s(10);
        assert_eq!(rig.payloads("w"), ["gone"]);
        // Once.
        rig.advance_s(50);
        assert!(rig.connect("a", &leaving(delayed(10), 100)));
        rig.leave("a");
        rig.advance_s(200);
        rig.nothing("w");
    });
}

// [MQTT-3.1.2-8] [MQTT-4.1.0-2]
#[test]
fn a_delayed_will_does_not_outlive_its_session() {
    on_every_size(|rig| {
        watch(rig);
        rig.connect("a", &leaving(delayed(100), 10));
        rig.cut("a");
        rig.advance_ms(9_999);
        rig.nothing("w");
        rig.advance_ms(1);
        assert_eq!(rig.payloads("w"), ["gone"]);
        // Without expiry the session, and so the delay, ends at once.
        rig.connect("a", &leaving(delayed(100), 0));
        rig.cut("a");
        assert_eq!(rig.payloads("w"), ["gone"]);
        // A clean start ends the session, too.
        rig.connect("a", &leaving(delayed(100), 200));
        rig.cut("a");
        rig.nothing("w");
        rig.connect("a", &fresh(Version::V5, "a"));
        assert_eq!(rig.payloads("w"), ["gone"]);
    });
}

// [MQTT-3.1.2-14] [MQTT-3.1.2-15] [MQTT3-3.1.2-16] [MQTT3-3.1.2-17]
#[test]
fn a_retained_will_is_there_for_who_comes_later() {
    on_every_size(|rig| {
        for (i, version) in VERSIONS.into_iter().enumerate() {
            let topic = ["will/1", "will/2", "will/3"][i];
            let will = Will::new(topic, b"gone", Q1, true);
            rig.connect("a", &Connect { will: Some(will), ..fresh(version, "a") });
            rig.cut("a");
        }
        watch(rig);
        let messages = rig.messages("w");
        assert_eq!(messages.len(), 3);
        assert!(messages.iter().all(|it| it.retain && it.qos == Q1 && it.text() == "gone"));
    });
}

// [MQTT-3.1.3-10] [MQTT-3.3.2-17] [MQTT-3.3.2-18]
#[test]
fn a_will_brings_its_properties() {
    on_every_size(|rig| {
        watch(rig);
        let mut forward = Vec::new();
        let fields = ForwardFields {
            payload_format: Some(1),
            response_topic: Some("reply"),
            correlation_data: Some(&[7]),
            content_type: Some("text/plain"),
            user_properties: &[("k", "2"), ("k", "1")],
        };
        fields.put(&mut forward);
        let will = Will {
            message_expiry_s: Some(60),
            forward: ForwardProperties::from_encoded(&forward),
            ..delayed(5)
        };
        rig.connect("a", &leaving(will, 100));
        rig.cut("a");
        rig.advance_s(5);
        let messages = rig.messages("w");
        assert_eq!((messages.len(), messages[0].expiry_s), (1, Some(60)));
        assert_eq!(messages[0].forward, forward);
    });
}
