//! Sessions beyond their connections: what is kept, for how long, and what is sent again.

use martlet_proto::{Ack, Disconnect, Packet, PacketType, Qos, ReasonCode};

use crate::rig::{Hello, Rig, msg, on_every_size, on_every_size_with, packet_id, v5, v31, v311};

fn leave(rig: &mut Rig, name: &str, expiry_s: u32) {
    let disconnect = Disconnect {
        session_expiry_s: Some(expiry_s),
        ..Disconnect::new(ReasonCode::NormalDisconnection)
    };
    rig.send(name, Packet::Disconnect(disconnect));
}

fn lasting() -> [Hello; 3] {
    [v31("a").lasting(), v311("b").lasting(), v5("c").lasting()]
}

// [MQTT-3.1.2-23] [MQTT-4.1.0-1] [MQTT-4.5.0-1] [MQTT3-3.1.2-4] [MQTT3-3.1.2-5] [MQTT3-4.1.0-1]
// [MQTT3-4.5.0-1]
#[test]
fn messages_wait_for_a_session_that_lasts() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        for hello in lasting() {
            let name = hello.name();
            rig.connect(&hello);
            rig.subscribe(name, "t/#", 2);
            rig.goodbye(name);
            for qos in 0..=2 {
                rig.publish("p", "t/x", &format!("QoS {qos}"), qos);
            }
            assert_eq!(rig.stats().queued, 2);
            rig.connect(&hello);
            for qos in 1..=2 {
                let message = rig.take_message(name);
                assert_eq!((message.qos as u8, message.dup), (qos, false));
                assert_eq!(message.text(), format!("QoS {qos}"));
            }
            rig.nothing(name);
            rig.unsubscribe(name, &["t/#"]);
        }
        assert_eq!((rig.stats().queued, rig.stats().queued_bytes), (0, 0));
    });
}

// [MQTT-4.4.0-1] [MQTT3-4.4.0-1] [MQTT-3.3.1-1] [MQTT3-3.3.1-1] [MQTT-4.6.0-1] [MQTT3-4.6.0-1]
// [MQTT-4.3.3-6] [MQTT3-2.3.1-3] [MQTT3-4.3.3-1] [MQTT-4.3.3-5]
#[test]
fn what_was_not_acknowledged_is_sent_again_in_order() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        for hello in lasting() {
            let name = hello.name();
            rig.connect(&hello);
            rig.subscribe(name, "t", 2);
            for i in 0..6 {
                rig.publish("p", "t", &i.to_string(), 1 + i % 2);
            }
            let sent: Vec<_> = (0..6).map(|_| rig.expect_publish(name)).collect();
            let id = |i: usize| sent[i].id.expect("an identifier");
            rig.pub_ack(name, id(2));
            rig.pub_rec(name, id(3));
            rig.take_first(name, PacketType::PubRel);
            // Queued behind them while the client is away.
            rig.cut(name);
            rig.publish("p", "t", "6", 1);
            rig.connect(&hello);
            assert_eq!(rig.stats().in_flight, 6);
            // PUBREL is for an exchange whose PUBLISH must not be sent any more.
            let release = rig.take_first(name, PacketType::PubRel);
            assert_eq!(release.pub_rel(), Ack::new(packet_id(id(3)), ReasonCode::Success));
            for i in [0, 1, 4, 5] {
                let again = rig.expect_publish(name);
                assert_eq!((again.id, again.dup), (sent[i].id, true));
                assert_eq!((&again.payload, again.qos), (&sent[i].payload, sent[i].qos));
            }
            let queued = rig.expect_publish(name);
            assert_eq!((queued.text(), queued.dup), ("6", false));
            rig.nothing(name);
            rig.pub_comp(name, id(3));
            for i in [0, 1, 4, 5] {
                rig.finish_message(name, &sent[i]);
            }
            rig.finish_message(name, &queued);
            assert_eq!(rig.stats().in_flight, 0);
            rig.cut(name);
            rig.connect(&hello);
            rig.nothing(name);
            rig.unsubscribe(name, &["t"]);
        }
    });
}

// [MQTT-4.4.0-1]
#[test]
fn nothing_is_sent_again_while_the_connection_stands() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        rig.connect(&v5("s").lasting());
        rig.subscribe("s", "t", 2);
        rig.publish("p", "t", "1", 1);
        rig.publish("p", "t", "2", 2);
        let (one, two) = (rig.expect_publish("s"), rig.expect_publish("s"));
        rig.advance_s(100_000);
        rig.nothing("s");
        rig.finish_message("s", &two);
        rig.finish_message("s", &one);
    });
}

// [MQTT-4.9.0-2] [MQTT-3.3.4-9] [MQTT-3.3.4-10]
#[test]
fn a_narrower_window_holds_for_what_is_sent_again_but_not_for_pubrel() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        rig.connect(&v5("s").lasting());
        rig.subscribe("s", "t", 2);
        for i in 0..5 {
            rig.publish("p", "t", &i.to_string(), 2);
        }
        let sent: Vec<_> = (0..5).map(|_| rig.expect_publish("s")).collect();
        rig.pub_rec("s", sent[4].id.expect("an identifier"));
        rig.take_first("s", PacketType::PubRel);
        rig.cut("s");
        rig.connect(&v5("s").lasting().receive_max(2));
        // The PUBREL does not wait for the window.
        rig.take_first("s", PacketType::PubRel);
        let mut open = 0;
        while rig.client("s").inbox_len() > 0 {
            rig.expect("s").publish();
            open += 1;
        }
        assert!((1..=2).contains(&open), "{open} at once");
        rig.pub_comp("s", sent[4].id.expect("an identifier"));
        rig.ignore_the_rest();
    });
}

// [MQTT-4.4.0-1]
#[test]
fn what_is_finished_before_it_is_sent_again_is_not_sent_again() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        rig.connect(&v5("s").lasting());
        rig.subscribe("s", "t", 2);
        for i in 0..6 {
            rig.publish("p", "t", &i.to_string(), 1 + i % 2);
        }
        let sent: Vec<_> = (0..6).map(|_| rig.expect_publish("s")).collect();
        let id = |i: usize| sent[i].id.expect("an identifier");
        rig.pub_rec("s", id(1));
        rig.take_first("s", PacketType::PubRel);
        rig.cut("s");
        rig.connect(&v5("s").lasting().receive_max(1));
        rig.take_first("s", PacketType::PubRel);
        assert_eq!(rig.expect_publish("s").id, sent[0].id);
        // The client remembers what it got on the old connection and answers that, last things
        // first.
        rig.pub_rec("s", id(5));
        rig.take_first("s", PacketType::PubRel);
        rig.pub_comp("s", id(5));
        rig.pub_ack("s", id(4));
        rig.pub_comp("s", id(1));
        rig.pub_ack("s", id(2));
        rig.nothing("s");
        assert_eq!(rig.stats().in_flight, 2);
        rig.pub_ack("s", id(0));
        let last = rig.take_message("s");
        assert_eq!((last.id, last.dup), (sent[3].id, true));
        rig.nothing("s");
        assert_eq!(rig.stats().in_flight, 0);
    });
}

// [MQTT-4.3.3-10] [MQTT3-4.3.3-2] [MQTT-4.1.0-1]
#[test]
fn a_publishers_qos_2_exchange_survives_its_connection() {
    on_every_size(|rig| {
        rig.connect(&v5("s"));
        rig.subscribe("s", "t", 2);
        for hello in [v311("a").lasting(), v5("b").lasting()] {
            let name = hello.name();
            rig.connect(&hello);
            rig.send_message(name, &msg("t", "once").qos(2).id(9));
            rig.take_first(name, PacketType::PubRec);
            rig.cut(name);
            rig.connect(&hello);
            rig.send_message(name, &msg("t", "once").qos(2).id(9).dup());
            rig.take_first(name, PacketType::PubRec);
            rig.pub_rel(name, 9);
            rig.take_first(name, PacketType::PubComp);
            assert_eq!(rig.take_payloads("s"), ["once"]);
            // A session that starts anew has forgotten the identifier.
            rig.send_message(name, &msg("t", "twice").qos(2).id(9));
            rig.take_first(name, PacketType::PubRec);
            rig.cut(name);
            rig.connect(&hello.clone().clean(true));
            rig.send_message(name, &msg("t", "twice").qos(2).id(9).dup());
            rig.take_first(name, PacketType::PubRec);
            assert_eq!(rig.take_payloads("s"), ["twice", "twice"]);
        }
    });
}

// [MQTT-4.1.0-2] [MQTT-4.1.0-1] [MQTT-3.1.2-23] [MQTT3-4.1.0-2]
#[test]
fn a_session_ends_with_its_expiry_interval() {
    on_every_size(|rig| {
        rig.connect(&v5("a").clean(false).expiry_s(10));
        rig.subscribe("a", "t", 1);
        rig.advance_s(100);
        assert_eq!(rig.stats().sessions, 1, "a connected session does not expire");
        rig.cut("a");
        rig.advance_ms(9_999);
        assert_eq!(rig.stats().sessions, 1);
        rig.advance_ms(1);
        assert_eq!((rig.stats().sessions, rig.stats().subscriptions), (0, 0));
        assert_eq!(rig.stats().sessions_expired, 1);
        assert!(!rig.connect(&v5("a").clean(false).expiry_s(10)));
        // Back in time: the interval starts anew with the next end.
        rig.cut("a");
        rig.advance_s(9);
        assert!(rig.connect(&v5("a").clean(false).expiry_s(10)));
        rig.advance_s(5);
        rig.cut("a");
        rig.advance_s(9);
        assert!(rig.connect(&v5("a").clean(false)));
        // Without an interval it ends with the connection.
        rig.cut("a");
        assert_eq!(rig.stats().sessions, 0);
    });
}

// [MQTT3-3.1.2-4] [MQTT-3.1.2-23]
#[test]
fn some_sessions_never_expire() {
    on_every_size(|rig| {
        rig.connect(&v311("a").lasting());
        rig.connect(&v5("b").expiry_s(u32::MAX));
        rig.cut("a");
        rig.cut("b");
        rig.advance_s(u64::from(u32::MAX) + 10);
        assert!(rig.connect(&v311("a").lasting()));
        assert!(rig.connect(&v5("b").lasting()));
    });
}

#[test]
fn the_broker_bounds_the_expiry_interval() {
    let tune = |config: &mut martlet_engine::ShardConfig| config.limits.session_expiry_max_s = 100;
    on_every_size_with(tune, |rig| {
        rig.connect(&v311("a").lasting());
        rig.connect(&v5("b").expiry_s(u32::MAX));
        rig.connect(&v5("c").expiry_s(50));
        leave(rig, "c", 1000);
        rig.cut("a");
        rig.cut("b");
        rig.advance_s(99);
        assert_eq!(rig.stats().sessions, 3);
        rig.advance_s(1);
        assert_eq!(rig.stats().sessions, 0);
    });
}

#[test]
fn disconnect_changes_the_expiry_interval() {
    on_every_size(|rig| {
        rig.connect(&v5("a").expiry_s(1000));
        leave(rig, "a", 10);
        rig.closed("a");
        rig.advance_s(10);
        assert_eq!(rig.stats().sessions, 0);
        rig.connect(&v5("b").expiry_s(10));
        leave(rig, "b", 0);
        rig.closed("b");
        assert_eq!(rig.stats().sessions, 0);
        rig.connect(&v5("c").expiry_s(10));
        leave(rig, "c", u32::MAX);
        rig.closed("c");
        rig.advance_s(100_000);
        assert_eq!(rig.stats().sessions, 1);
        // What was nothing cannot become something.
        rig.connect(&v5("d"));
        leave(rig, "d", 10);
        rig.thrown_out("d", ReasonCode::ProtocolError);
        assert_eq!(rig.stats().sessions, 1);
    });
}

// [MQTT-4.1.0-2] [MQTT-3.1.2-4] [MQTT3-3.1.2-6]
#[test]
fn a_session_that_ends_takes_everything_with_it() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        rig.connect(&v5("s").expiry_s(10));
        rig.subscribe("s", "t", 2);
        rig.subscribe("s", "$share/g/u", 2);
        rig.send_message("s", &msg("x", "y").qos(2));
        rig.take_first("s", PacketType::PubRec);
        for _ in 0..3 {
            rig.publish("p", "t", "m", 2);
        }
        let sent = rig.expect_publish("s");
        rig.pub_rec("s", sent.id.expect("an identifier"));
        rig.cut("s");
        rig.publish("p", "t", "m", 2);
        let stats = rig.stats();
        assert_eq!((stats.in_flight, stats.queued, stats.subscriptions), (3, 1, 2));
        rig.advance_s(10);
        let stats = rig.stats();
        assert_eq!((stats.in_flight, stats.queued, stats.subscriptions), (0, 0, 0));
        assert_eq!((stats.queued_bytes, stats.subscriptions_shared), (0, 0));
        rig.ignore_the_rest();
    });
}

#[test]
fn a_session_can_be_resumed_with_another_version() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        rig.connect(&v5("s").lasting().topic_alias_max(5));
        rig.subscribe_with("s", &[("t", crate::rig::options(2))], Some(3));
        rig.publish_message("p", &msg("t", "1").qos(2).expiry_s(50).user_property("k", "v"));
        let first = rig.expect_publish("s");
        assert_eq!((first.subscription_ids, first.expiry_s), (vec![3], Some(50)));
        rig.cut("s");
        assert!(rig.connect(&v311("s").lasting()));
        let again = rig.take_message("s");
        assert_eq!((again.id, again.dup, again.topic.as_str()), (first.id, true, "t"));
        rig.cut("s");
        rig.publish_message("p", &msg("t", "2").qos(1).user_property("k", "v"));
        assert!(rig.connect(&v5("s").lasting()));
        let message = rig.take_message("s");
        assert_eq!((message.subscription_ids, message.user_properties.len()), (vec![3], 1));
    });
}

// [MQTT-3.1.2-22]
#[test]
fn a_session_whose_last_connection_granted_no_time_ends_with_it() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        rig.connect(&v5("s").lasting());
        rig.subscribe("s", "t", 2);
        rig.publish("p", "t", "1", 2);
        rig.expect_publish("s");
        rig.cut("s");
        // Resumed, but for this connection only.
        assert!(rig.connect(&v5("s").clean(false)));
        let again = rig.take_message("s");
        assert_eq!((again.text(), again.dup, again.qos), ("1", true, Qos::ExactlyOnce));
        rig.publish("p", "t", "2", 2);
        assert_eq!(rig.take_payloads("s"), ["2"]);
        rig.publish("p", "t", "3", 2);
        rig.expect_publish("s");
        rig.cut("s");
        assert_eq!((rig.stats().sessions, rig.stats().in_flight), (1, 0), "the publisher's");
    });
}
