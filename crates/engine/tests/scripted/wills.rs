//! Will Messages: when they are published and when not.

use martlet_proto::{Disconnect, Packet, ReasonCode, SubscriptionOptions};

use crate::rig::{Hello, Message, Rig, msg, on_every_size, options, v5, v31, v311};

fn watch(rig: &mut Rig) {
    rig.connect(&v5("w"));
    rig.subscribe("w", "will/#", 2);
}

fn will() -> Message {
    msg("will/a", "gone")
}

fn everybody() -> [Hello; 3] {
    [v31("a"), v311("b"), v5("c")]
}

fn leave_with(rig: &mut Rig, name: &str, reason: ReasonCode, expiry_s: Option<u32>) {
    let disconnect = Disconnect { session_expiry_s: expiry_s, ..Disconnect::new(reason) };
    rig.send(name, Packet::Disconnect(disconnect));
}

// [MQTT-3.1.2-7] [MQTT-3.1.2-8] [MQTT3-3.1.2-8] [MQTT-3.1.2-12] [MQTT3-3.1.2-9] [MQTT3-3.1.2-14]
#[test]
fn a_broken_connection_publishes_the_will() {
    on_every_size(|rig| {
        watch(rig);
        for qos in 0..=2 {
            for hello in everybody() {
                rig.connect(&hello.clone().will(will().qos(qos)));
                rig.nothing("w");
                rig.cut(hello.name());
                let message = rig.take_message("w");
                assert_eq!((message.text(), message.qos as u8), ("gone", qos));
                rig.nothing("w");
            }
        }
    });
}

// [MQTT-3.14.4-3] [MQTT3-3.14.4-3] [MQTT-3.1.2-10] [MQTT3-3.1.2-10]
#[test]
fn a_normal_disconnect_discards_the_will() {
    on_every_size(|rig| {
        watch(rig);
        for hello in everybody() {
            for hello in [hello.clone().lasting().will(will()), hello.will(will())] {
                rig.connect(&hello);
                rig.goodbye(hello.name());
                rig.advance_s(10);
                rig.nothing("w");
            }
        }
    });
}

// [MQTT-3.1.2-8]
#[test]
fn disconnect_with_will_publishes_it() {
    on_every_size(|rig| {
        watch(rig);
        rig.connect(&v5("a").will(will()));
        leave_with(rig, "a", ReasonCode::DisconnectWithWill, None);
        rig.closed("a");
        assert_eq!(rig.take_payloads("w"), ["gone"]);
    });
}

// [MQTT-3.1.2-8] [MQTT3-3.1.2-8]
#[test]
fn whatever_ends_a_connection_publishes_the_will() {
    on_every_size(|rig| {
        watch(rig);
        // A protocol error, a malformed packet, silence, another connection, the broker's end.
        rig.connect(&v311("a").will(will()));
        rig.send_bytes("a", &v311("a").bytes());
        rig.closed("a");
        assert_eq!(rig.take_payloads("w"), ["gone"]);
        rig.connect(&v5("b").will(will()));
        rig.send_bytes("b", &[0x36, 0]);
        rig.thrown_out("b", ReasonCode::MalformedPacket);
        assert_eq!(rig.take_payloads("w"), ["gone"]);
        rig.connect(&v311("c").keep_alive_s(10).will(will()));
        rig.advance_s(15);
        rig.closed("c");
        assert_eq!(rig.take_payloads("w"), ["gone"]);
        rig.connect(&v311("d").will(will()));
        rig.connect(&v311("e").id("d"));
        rig.closed("d");
        assert_eq!(rig.take_payloads("w"), ["gone"]);
    });
}

// [MQTT3-3.1.2-12]
#[test]
fn without_a_will_nothing_is_published() {
    on_every_size(|rig| {
        rig.connect(&v5("w"));
        rig.subscribe("w", "#", 0);
        for hello in everybody() {
            rig.connect(&hello);
            rig.cut(hello.name());
        }
        rig.nothing("w");
    });
}

// [MQTT-3.1.2-10] [MQTT3-3.1.2-10]
#[test]
fn a_will_is_published_once() {
    on_every_size(|rig| {
        watch(rig);
        for hello in everybody() {
            let hello = hello.lasting();
            rig.connect(&hello.clone().will(will()));
            rig.cut(hello.name());
            assert_eq!(rig.take_payloads("w"), ["gone"]);
            rig.connect(&hello);
            rig.cut(hello.name());
            rig.advance_s(48 * 60 * 60);
            rig.nothing("w");
        }
    });
}

// [MQTT-3.1.2-14] [MQTT-3.1.2-15] [MQTT3-3.1.2-16] [MQTT3-3.1.2-17]
#[test]
fn will_retain_decides_whether_it_is_kept() {
    on_every_size(|rig| {
        let as_published = SubscriptionOptions { retain_as_published: true, ..options(0) };
        rig.connect(&v5("w"));
        rig.subscribe_with("w", &[("will/#", as_published)], None);
        for hello in everybody() {
            rig.connect(&hello.clone().will(will()));
            rig.cut(hello.name());
            assert!(!rig.expect_publish("w").retain);
            assert_eq!(rig.stats().retained, 0);
            rig.connect(&hello.clone().will(will().retain()));
            rig.cut(hello.name());
            assert!(rig.expect_publish("w").retain);
            assert_eq!(rig.stats().retained, 1);
            // An empty one removes it.
            rig.connect(&hello.clone().will(msg("will/a", "").retain()));
            rig.cut(hello.name());
            assert!(rig.expect_publish("w").retain);
            assert_eq!(rig.stats().retained, 0);
        }
    });
}

// [MQTT-3.1.2-8]
#[test]
fn the_will_waits_for_its_delay() {
    on_every_size(|rig| {
        watch(rig);
        rig.connect(&v5("a").expiry_s(100).will_after_s(will(), 20));
        rig.cut("a");
        rig.advance_ms(19_999);
        rig.nothing("w");
        rig.advance_ms(1);
        assert_eq!(rig.take_payloads("w"), ["gone"]);
        rig.advance_s(100);
        rig.nothing("w");
    });
}

// [MQTT-3.1.2-8]
#[test]
fn the_end_of_the_session_cuts_the_delay_short() {
    on_every_size(|rig| {
        watch(rig);
        rig.connect(&v5("a").expiry_s(10).will_after_s(will(), 20));
        rig.cut("a");
        rig.advance_ms(9_999);
        rig.nothing("w");
        rig.advance_ms(1);
        assert_eq!(rig.take_payloads("w"), ["gone"]);
        // A session of no length ends at once.
        rig.connect(&v5("b").will_after_s(will(), 20));
        rig.cut("b");
        assert_eq!(rig.take_payloads("w"), ["gone"]);
        // So does one that a client starts anew.
        rig.connect(&v5("c").expiry_s(100).will_after_s(will(), 20));
        rig.cut("c");
        rig.connect(&v5("c"));
        assert_eq!(rig.take_payloads("w"), ["gone"]);
        rig.advance_s(200);
        rig.nothing("w");
    });
}

// [MQTT-3.1.3-9] [MQTT-3.1.2-8]
#[test]
fn who_comes_back_in_time_has_no_will_published() {
    on_every_size(|rig| {
        watch(rig);
        rig.connect(&v5("a").lasting().will_after_s(will(), 20));
        rig.cut("a");
        rig.advance_s(19);
        rig.connect(&v5("a").lasting());
        rig.advance_s(100);
        rig.nothing("w");
        // The new connection has no will, and the old one is gone for good.
        rig.cut("a");
        rig.advance_s(100);
        rig.nothing("w");
        // A takeover is such a return.
        rig.connect(&v5("b").lasting().will_after_s(will(), 20));
        rig.connect(&v5("b2").id("b").lasting());
        rig.thrown_out("b", ReasonCode::SessionTakenOver);
        rig.advance_s(100);
        rig.nothing("w");
        // The new connection's will has its own delay.
        rig.connect(&v5("c").lasting().will_after_s(will(), 20));
        rig.cut("c");
        rig.advance_s(15);
        rig.connect(&v5("c").lasting().will_after_s(msg("will/a", "later"), 20));
        rig.cut("c");
        rig.advance_s(15);
        rig.nothing("w");
        rig.advance_s(5);
        assert_eq!(rig.take_payloads("w"), ["later"]);
    });
}

// [MQTT-3.1.3-10] [MQTT-3.3.2-17] [MQTT-3.3.2-18]
#[test]
fn the_wills_properties_are_passed_on() {
    on_every_size(|rig| {
        watch(rig);
        let sent = Message {
            payload_format: Some(1),
            response_topic: Some("r".to_owned()),
            correlation_data: Some(vec![1, 2]),
            content_type: Some("c".to_owned()),
            ..will()
        }
        .expiry_s(30)
        .user_property("z", "1")
        .user_property("a", "2")
        .user_property("z", "1");
        rig.connect(&v5("a").expiry_s(100).will_after_s(sent.clone(), 50));
        rig.cut("a");
        // Its expiry interval starts with its publication.
        rig.advance_s(50);
        assert_eq!(rig.expect_publish("w"), sent);
    });
}

// [MQTT-3.1.4-2]
#[test]
fn a_will_that_nobody_may_publish_is_refused() {
    on_every_size(|rig| {
        rig.call(&v5("a").will(msg("$SYS/broker/x", "mine")));
        rig.refused("a", ReasonCode::NotAuthorized);
        rig.call(&v311("b").will(msg("$SYS/broker/x", "mine")));
        rig.refused("b", ReasonCode::NotAuthorized);
    });
}

// [MQTT3-3.1.2-8]
#[test]
fn the_will_of_a_refused_connect_is_not_kept() {
    on_every_size(|rig| {
        watch(rig);
        rig.call(&v311("a").id("").lasting().will(will()));
        rig.refused("a", ReasonCode::ClientIdentifierNotValid);
        rig.call(&v5("b").method("unknown", None).will(will()));
        rig.refused("b", ReasonCode::BadAuthenticationMethod);
        rig.advance_s(10);
        rig.nothing("w");
    });
}

// [MQTT-3.8.3-3]
#[test]
fn no_local_holds_for_wills() {
    let no_local = SubscriptionOptions { no_local: true, ..options(1) };
    on_every_size(|rig| {
        rig.connect(&v5("a").lasting().will(will().qos(1)));
        rig.subscribe_with("a", &[("will/#", no_local)], None);
        rig.connect(&v5("b").lasting());
        rig.subscribe_with("b", &[("will/#", no_local)], None);
        rig.cut("a");
        assert_eq!(rig.take_payloads("b"), ["gone"]);
        rig.connect(&v5("a").lasting());
        rig.nothing("a");
    });
}
