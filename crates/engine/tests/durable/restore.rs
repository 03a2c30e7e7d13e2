//! A broker that died and came back, with another number of shards: everything that was durable is
//! there.

use std::collections::BTreeSet;

use martlet_engine::Drop;
use martlet_engine::store::StoreOp;
use martlet_proto::{Ack, Packet, PacketType, Qos, ReasonCode, RetainHandling};

use crate::rig::{Rig, entries_of, msg, on_sizes, options, packet_id, v5, v311};

/// The script with a number of shards to come back with.
fn over_a_kill(script: impl Fn(&mut Rig, u16)) {
    for (before, after) in [(1, 1), (1, 8), (8, 2), (2, 1)] {
        on_sizes(&[before], |_| {}, |rig| script(rig, after));
    }
}

fn absent(rig: &mut Rig, name: &str, filter: &str) {
    rig.connect(&v5(name).lasting());
    rig.subscribe(name, filter, 2);
    rig.goodbye(name);
}

// [MQTT-4.1.0-1] [MQTT3-4.1.0-1] [MQTT-3.1.2-23] [MQTT3-3.1.2-4]
#[test]
fn subscriptions_come_back_with_all_that_was_said_of_them() {
    over_a_kill(|rig, shards| {
        rig.connect(&v5("s").lasting());
        let mut echo_free = options(1);
        (echo_free.no_local, echo_free.retain_as_published) = (true, true);
        rig.subscribe_with("s", &[("a/+", echo_free)], Some(7));
        rig.subscribe_with("s", &[("b", options(2))], Some(9));
        rig.subscribe("s", "gone", 1);
        rig.unsubscribe("s", &["gone"]);
        rig.kill(shards, 0);
        assert_eq!((rig.stats().sessions, rig.stats().subscriptions), (1, 2));
        assert!(rig.connect(&v5("s").lasting()));
        rig.connect(&v5("p"));
        rig.send_message("p", &msg("a/x", "1").qos(2).retain());
        let got = rig.take_message("s");
        assert_eq!((got.qos, got.retain, got.subscription_ids), (Qos::AtLeastOnce, true, vec![7]));
        rig.send_message("p", &msg("b", "2").qos(2).retain());
        let got = rig.take_message("s");
        assert_eq!((got.qos, got.retain, got.subscription_ids), (Qos::ExactlyOnce, false, vec![9]));
        rig.send_message("s", &msg("a/x", "own").qos(0));
        rig.send_message("p", &msg("gone", "3").qos(1));
        assert_eq!(rig.client("s").inbox_len(), 0);
        // It is the old subscription that is there, so it is not new.
        let mut if_new = options(1);
        if_new.retain_handling = RetainHandling::SendIfNew;
        rig.subscribe_with("s", &[("a/+", if_new)], None);
        rig.nothing("s");
        rig.unsubscribe("s", &["b", "a/+"]);
        rig.ignore_the_rest();
    });
}

#[test]
fn shared_subscriptions_come_back() {
    over_a_kill(|rig, shards| {
        for name in ["a", "b"] {
            rig.connect(&v5(name).lasting());
            rig.subscribe(name, "$share/g/t/+", 1);
            rig.cut(name);
        }
        rig.kill(shards, 0);
        assert_eq!(rig.stats().subscriptions_shared, 2);
        rig.connect(&v5("p"));
        for payload in ["1", "2"] {
            rig.publish("p", "t/x", payload, 1);
        }
        // Each has one; with one of them there, it gets all that follows.
        rig.connect(&v5("a").lasting());
        assert_eq!(rig.take_payloads("a").len(), 1);
        for payload in ["3", "4"] {
            rig.send_message("p", &msg("t/x", payload).qos(1));
            rig.take_message("a");
        }
        rig.connect(&v5("b").lasting());
        assert_eq!(rig.take_payloads("b").len(), 1);
        rig.ignore_the_rest();
    });
}

// [MQTT-3.3.2-6]
#[test]
fn queued_messages_come_back_with_properties_and_what_is_left_of_their_expiry() {
    over_a_kill(|rig, shards| {
        rig.connect(&v5("s").lasting());
        let mut keep = options(2);
        keep.retain_as_published = true;
        rig.subscribe_with("s", &[("t", keep)], Some(3));
        rig.cut("s");
        rig.connect(&v5("p"));
        let full = msg("t", "a").user_property("k", "v").user_property("k", "w");
        let mut full = full.qos(2).retain().expiry_s(100);
        full.payload_format = Some(1);
        full.response_topic = Some("r".to_owned());
        full.correlation_data = Some(vec![1, 2]);
        full.content_type = Some("c".to_owned());
        rig.publish_message("p", &full);
        rig.publish_message("p", &msg("t", "short").qos(1).expiry_s(40));
        rig.publish("p", "t", "last", 1);
        rig.advance_s(10);
        rig.kill(shards, 30_000);
        assert_eq!(rig.stats().queued, 3);
        rig.connect(&v5("s").lasting());
        let mut got = rig.take_message("s");
        assert_eq!((got.id.take().is_some(), got.dup), (true, false));
        full.expiry_s = Some(60);
        full.subscription_ids = vec![3];
        assert_eq!(got, full);
        assert_eq!(rig.take_payloads("s"), ["last"]);
        assert_eq!(rig.dropped(Drop::Expired), 1);
        let stats = rig.stats();
        assert_eq!((stats.queued, stats.queued_bytes, stats.in_flight), (0, 0, 0));
        assert_eq!(rig.stored("s"), ["session 86400s", "subscribed t"]);
    });
}

#[test]
fn gauges_are_those_of_before() {
    over_a_kill(|rig, shards| {
        rig.connect(&v5("s").lasting().receive_max(2));
        rig.subscribe("s", "t", 2);
        rig.connect(&v5("p"));
        for i in 0..6 {
            rig.publish("p", "t", &i.to_string(), 1 + i % 2);
        }
        rig.cut("s");
        let before = rig.stats();
        rig.kill(shards, 0);
        let after = rig.stats();
        assert_eq!((after.queued, after.queued_bytes), (before.queued, before.queued_bytes));
        assert_eq!((after.in_flight, before.in_flight), (2, 2));
        rig.ignore_the_rest();
    });
}

// [MQTT-4.4.0-1] [MQTT3-4.4.0-1] [MQTT-3.3.1-1] [MQTT3-3.3.1-1]
#[test]
fn qos_1_in_flight_is_sent_again_with_its_identifier() {
    over_a_kill(|rig, shards| {
        for hello in [v5("s").lasting(), v311("r").lasting()] {
            let s = hello.name();
            rig.connect(&hello);
            rig.subscribe(s, "t", 1);
            rig.connect(&v5("p"));
            for payload in ["1", "2", "3"] {
                rig.publish("p", "t", payload, 1);
            }
            let sent: Vec<_> = (0..3).map(|_| rig.expect_publish(s)).collect();
            rig.pub_ack(s, sent[1].id.expect("an identifier"));
            rig.kill(shards, 0);
            assert!(rig.connect(&hello));
            for i in [0, 2] {
                let again = rig.take_message(s);
                assert_eq!((again.id, again.dup), (sent[i].id, true));
                assert_eq!(again.payload, sent[i].payload);
            }
            rig.nothing(s);
            // Identifiers go on behind them.
            rig.connect(&v5("p"));
            rig.publish_later("p", "t", "4");
            assert_eq!(rig.take_message(s).id, sent[2].id.map(|id| id + 1));
            rig.ignore_the_rest();
            rig.cut(s);
        }
    });
}

// [MQTT-4.3.3-6] [MQTT3-4.3.3-1] [MQTT-4.4.0-1]
#[test]
fn qos_2_in_flight_goes_on_where_it_was() {
    over_a_kill(|rig, shards| {
        for hello in [v5("s").lasting(), v311("s").lasting()] {
            rig.connect(&hello);
            rig.subscribe("s", "t", 2);
            rig.connect(&v5("p"));
            for payload in ["1", "2", "3"] {
                rig.publish("p", "t", payload, 2);
            }
            let sent: Vec<_> = (0..3).map(|_| rig.expect_publish("s")).collect();
            let id = |i: usize| sent[i].id.expect("an identifier");
            rig.pub_rec("s", id(1));
            rig.take_first("s", PacketType::PubRel);
            rig.kill(shards, 0);
            assert!(rig.connect(&hello));
            let release = rig.take_first("s", PacketType::PubRel);
            assert_eq!(release.pub_rel(), Ack::new(packet_id(id(1)), ReasonCode::Success));
            for i in [0, 2] {
                let again = rig.take_message("s");
                assert_eq!((again.id, again.dup), (sent[i].id, true));
                assert_eq!(again.payload, sent[i].payload);
            }
            rig.pub_comp("s", id(1));
            rig.kill(shards, 0);
            rig.connect(&hello);
            rig.nothing("s");
            assert_eq!(rig.stats().in_flight, 0);
            rig.cut("s");
            rig.ignore_the_rest();
        }
    });
}

#[test]
fn a_pubrec_that_was_not_stored_is_asked_for_again() {
    over_a_kill(|rig, shards| {
        rig.connect(&v5("s").lasting());
        rig.subscribe("s", "t", 2);
        rig.connect(&v5("p"));
        rig.publish("p", "t", "1", 2);
        let sent = rig.expect_publish("s");
        rig.hold();
        rig.pub_rec("s", sent.id.expect("an identifier"));
        rig.nothing("s");
        rig.kill(shards, 0);
        rig.connect(&v5("s").lasting());
        let again = rig.take_message("s");
        assert_eq!((again.id, again.dup), (sent.id, true));
    });
}

// [MQTT-4.3.3-10] [MQTT3-4.3.3-2]
#[test]
fn a_qos_2_message_received_before_is_not_passed_on_again() {
    over_a_kill(|rig, shards| {
        absent(rig, "s", "t");
        for hello in [v5("p").lasting(), v311("p").lasting()] {
            rig.connect(&hello);
            for id in [5, 6] {
                rig.send_message("p", &msg("t", &id.to_string()).qos(2).id(id));
                rig.take_first("p", PacketType::PubRec);
            }
            rig.pub_rel("p", 6);
            rig.take_first("p", PacketType::PubComp);
            rig.kill(shards, 0);
            assert!(rig.connect(&hello));
            rig.send_message("p", &msg("t", "5").qos(2).id(5).dup());
            rig.take_first("p", PacketType::PubRec);
            rig.pub_rel("p", 5);
            rig.take_first("p", PacketType::PubComp);
            // That identifier is free since before.
            rig.send_message("p", &msg("t", "new").qos(2).id(6));
            rig.take_first("p", PacketType::PubRec);
            rig.pub_rel("p", 6);
            rig.take_first("p", PacketType::PubComp);
            rig.connect(&v5("s").lasting());
            assert_eq!(rig.take_payloads("s"), ["5", "6", "new"]);
            rig.goodbye("s");
            rig.goodbye("p");
        }
    });
}

#[test]
fn what_was_not_stored_is_as_if_it_had_never_been() {
    over_a_kill(|rig, shards| {
        absent(rig, "s", "t");
        rig.connect(&v5("p").lasting());
        rig.hold();
        rig.send_message("p", &msg("t", "1").qos(1));
        rig.send_message("p", &msg("t", "2").qos(2));
        rig.give_subscribe("p", &[("x", options(1))], None);
        rig.call(&v5("new").lasting());
        rig.nothing("p");
        rig.kill(shards, 0);
        let stats = rig.stats();
        assert_eq!((stats.sessions, stats.queued, stats.subscriptions), (2, 0, 1));
        assert!(!rig.connect(&v5("new").lasting()));
    });
}

// [MQTT-4.6.0-6] [MQTT3-4.6.0-6] [MQTT-4.6.0-1] [MQTT3-4.6.0-1]
#[test]
fn what_came_from_the_queue_stays_before_what_came_directly() {
    over_a_kill(|rig, shards| {
        absent(rig, "s", "t");
        rig.connect(&v5("p"));
        rig.publish("p", "t", "1", 1);
        rig.connect(&v5("s").lasting());
        assert_eq!(rig.expect_publish("s").text(), "1");
        // The first is in flight, and the store takes it to be waiting still.
        rig.publish("p", "t", "2", 1);
        assert_eq!(rig.expect_publish("s").text(), "2");
        rig.kill(shards, 0);
        rig.connect(&v5("s").lasting());
        assert_eq!(rig.take_payloads("s"), ["1", "2"]);
    });
}

// [MQTT-4.6.0-6] [MQTT3-4.6.0-6]
#[test]
fn what_waits_behind_a_qos_2_message_stays_before_what_came_later() {
    over_a_kill(|rig, shards| {
        absent(rig, "s", "t");
        rig.connect(&v5("p"));
        for (payload, qos) in [("a", 2), ("b", 1)] {
            rig.publish("p", "t", payload, qos);
        }
        rig.hold();
        rig.call(&v5("s").lasting());
        rig.commit();
        rig.expect("s").conn_ack();
        rig.answer_loads(true);
        // Neither is sent: the first waits for its identifier.
        rig.nothing("s");
        rig.send_message("p", &msg("t", "c").qos(1));
        rig.commit_in_silence();
        rig.nothing("s");
        rig.kill(shards, 0);
        rig.connect(&v5("s").lasting());
        assert_eq!(rig.take_payloads("s"), ["a", "b", "c"]);
        rig.ignore_the_rest();
    });
}

// [MQTT-3.1.2-23] [MQTT-4.1.0-2]
#[test]
fn the_time_away_counts_for_the_expiry_of_sessions() {
    over_a_kill(|rig, shards| {
        rig.connect(&v5("s").expiry_s(100));
        rig.connect(&v5("t").expiry_s(20));
        rig.connect(&v311("u").lasting());
        for name in ["s", "t", "u"] {
            rig.cut(name);
        }
        rig.advance_s(10);
        rig.kill(shards, 60_000);
        // Clients get some time to come back, whatever was due meanwhile.
        assert_eq!(rig.stats().sessions, 3);
        rig.advance_s(2);
        assert_eq!(rig.stats().sessions, 2);
        rig.advance_s(27);
        assert_eq!(rig.stats().sessions, 2);
        rig.advance_s(1);
        assert_eq!((rig.stats().sessions, rig.stats().sessions_expired), (1, 2));
        assert_eq!(
            (rig.stored("s").len(), rig.stored("t").len(), rig.stored("u").len()),
            (0, 0, 1)
        );
        rig.kill(shards, 60_000);
        assert_eq!(rig.stats().sessions, 1);
    });
}

#[test]
fn a_session_that_was_connected_has_left_with_the_first_life_of_the_broker() {
    over_a_kill(|rig, shards| {
        rig.connect(&v5("s").expiry_s(100));
        rig.kill(shards, 1_000_000);
        rig.advance_s(50);
        rig.kill(shards, 40_000);
        rig.advance_s(5);
        assert_eq!(rig.stats().sessions, 1);
        rig.advance_s(5);
        assert_eq!(rig.stats().sessions, 0);
    });
}

// [MQTT-3.1.2-23]
#[test]
fn a_session_whose_last_connection_granted_no_time_is_not_found_again() {
    over_a_kill(|rig, shards| {
        rig.connect(&v5("s").lasting());
        rig.subscribe("s", "t", 1);
        rig.cut("s");
        assert!(rig.connect(&v5("s").clean(false)));
        rig.kill(shards, 0);
        assert!(!rig.connect(&v5("s").lasting()));
        rig.advance_s(10);
        assert_eq!((rig.stats().sessions, rig.stats().subscriptions), (1, 0));
        assert_eq!(rig.stored("s"), ["session 86400s"]);
    });
}

// [MQTT-3.1.2-8] [MQTT-3.1.3-9]
#[test]
fn a_delayed_will_is_sent_when_its_time_comes() {
    over_a_kill(|rig, shards| {
        let will = msg("w", "dead").qos(1).user_property("k", "v").expiry_s(50);
        rig.connect(&v5("s").expiry_s(1000).will_after_s(will.clone(), 60));
        rig.connect(&v5("back").expiry_s(1000).will_after_s(will, 60));
        rig.cut("s");
        rig.cut("back");
        rig.advance_s(10);
        rig.kill(shards, 20_000);
        rig.connect(&v5("x"));
        rig.subscribe("x", "w", 1);
        rig.connect(&v5("back").clean(false).expiry_s(1000));
        rig.advance_s(29);
        rig.nothing("x");
        rig.advance_s(1);
        let got = rig.take_message("x");
        assert_eq!((got.text(), got.expiry_s), ("dead", Some(50)));
        assert_eq!(got.user_properties, [("k".to_owned(), "v".to_owned())]);
        rig.advance_s(100);
        rig.nothing("x");
        // Once, whatever happens then.
        rig.kill(shards, 0);
        rig.connect(&v5("x"));
        rig.subscribe("x", "w", 1);
        rig.advance_s(100);
        rig.nothing("x");
    });
}

#[test]
fn the_will_of_who_was_connected_waits_whether_it_comes_back() {
    over_a_kill(|rig, shards| {
        for name in ["s", "back"] {
            rig.connect(&v5(name).lasting().will(msg("w", name).qos(2).retain()));
        }
        rig.connect(&v5("bye").lasting().will(msg("w", "bye")));
        rig.goodbye("bye");
        rig.kill(shards, 100_000);
        rig.connect(&v5("x"));
        rig.subscribe("x", "w", 2);
        rig.advance_ms(1_900);
        rig.nothing("x");
        assert!(rig.connect(&v5("back").lasting().will(msg("w", "back"))));
        rig.advance_ms(100);
        assert_eq!(rig.take_payloads("x"), ["s"]);
        rig.advance_s(100);
        rig.nothing("x");
        // The will is retained for good, and the session goes on without it.
        rig.kill(shards, 0);
        rig.connect(&v5("x"));
        rig.subscribe("x", "w", 2);
        assert_eq!(rig.take_payloads("x"), ["s"]);
        rig.advance_s(3);
        assert_eq!(rig.take_payloads("x"), ["back"]);
        assert!(rig.connect(&v5("s").lasting()));
    });
}

#[test]
fn a_will_that_was_sent_before_is_not_sent_again() {
    over_a_kill(|rig, shards| {
        absent(rig, "x", "w");
        rig.connect(&v5("s").lasting().will(msg("w", "s").qos(1)));
        rig.cut("s");
        rig.kill(shards, 0);
        rig.advance_s(10);
        rig.connect(&v5("x").lasting());
        assert_eq!(rig.take_payloads("x"), ["s"]);
    });
}

// [MQTT-3.3.1-5] [MQTT-3.3.1-6] [MQTT3-3.3.1-5] [MQTT3-3.3.1-10] [MQTT-3.3.2-6]
#[test]
fn retained_messages_come_back() {
    over_a_kill(|rig, shards| {
        rig.connect(&v5("p"));
        for i in 0..20 {
            let message = msg(&format!("r/{i}"), "old").qos(i % 3).retain();
            rig.publish_message("p", &message);
            if i % 4 == 0 {
                let gone = msg(&format!("r/{i}"), "").qos(1).retain();
                rig.publish_message("p", &gone);
            } else if i % 4 == 1 {
                rig.publish_message("p", &msg(&format!("r/{i}"), "new").qos(1).retain());
            }
        }
        let short = msg("e/short", "m").qos(1).retain().expiry_s(30);
        let long = msg("e/long", "m").qos(1).retain().expiry_s(100).user_property("k", "v");
        rig.publish_message("p", &short);
        rig.publish_message("p", &long);
        rig.kill(shards, 40_000);
        rig.connect(&v5("s"));
        rig.subscribe("s", "r/+", 2);
        let mut got = rig.take_payloads("s");
        got.sort();
        assert_eq!((got.len(), got.iter().filter(|text| *text == "new").count()), (15, 5));
        rig.subscribe("s", "e/+", 2);
        let got = rig.take_message("s");
        assert_eq!((got.topic.as_str(), got.expiry_s, got.retain), ("e/long", Some(60), true));
        rig.nothing("s");
        rig.advance_s(1);
        assert!(!rig.stored_retained().contains(&"e/short".to_owned()), "removed for good");
        rig.advance_s(60);
        assert_eq!((rig.stats().retained, rig.stored_retained().len()), (15, 15));
    });
}

#[test]
fn numbers_of_sessions_and_bodies_are_not_given_again() {
    over_a_kill(|rig, shards| {
        let mut numbers = BTreeSet::new();
        let mut bodies = BTreeSet::new();
        for life in 0..3 {
            rig.hold();
            rig.go_on();
            for n in 0..4 {
                let name = format!("s{life}-{n}");
                rig.connect(&v5(&name).lasting());
                rig.subscribe(&name, "t", 1);
                rig.cut(&name);
            }
            for (_, batch) in rig.batches() {
                for op in batch.ops {
                    if let StoreOp::PutSession { session, record } = op
                        && record.client_id.starts_with(&format!("s{life}-"))
                        && record.left_at_wall_ms.is_none()
                    {
                        assert!(numbers.insert(session.number), "{session:?}");
                    }
                }
            }
            rig.connect(&v5("p"));
            rig.publish("p", "t", "m", 1);
            let batches = rig.batches();
            let body = entries_of(&batches).into_iter().find_map(|(_, op)| match op {
                StoreOp::PutEntry { message, .. } => {
                    message.fields(martlet_engine::Now::default()).body
                }
                _ => None,
            });
            assert!(bodies.insert(body.expect("it is for several")), "{body:?}");
            rig.kill(shards, 0);
        }
        assert_eq!(rig.stats().queued, 4 + 8 + 12);
    });
}

#[test]
fn a_client_that_has_two_sessions_keeps_the_later_one() {
    over_a_kill(|rig, shards| {
        // The old one has ended but is still in the store: a share group has to get back what it
        // had.
        rig.connect(&v5("s").lasting());
        rig.subscribe("s", "$share/g/t", 1);
        rig.subscribe("s", "old", 1);
        rig.cut("s");
        rig.connect(&v5("p"));
        rig.publish("p", "t", "m", 1);
        rig.connect(&v5("other").lasting());
        rig.subscribe("other", "$share/g/t", 1);
        rig.cut("other");
        rig.hold();
        rig.call(&v5("s").clean(true).expiry_s(1000));
        rig.commit();
        let _ = rig.expect("s").conn_ack();
        let id = rig.give_subscribe("s", &[("new", options(1))], None);
        rig.commit();
        assert_eq!(rig.take_first("s", PacketType::SubAck).sub_ack().packet_id.get(), id);
        // The question for the rest of its queue has no answer yet.
        assert_eq!(rig.questions().len(), 1);
        rig.kill(shards, 0);
        rig.connect(&v5("p"));
        assert_eq!(
            rig.publish_message("p", &msg("old", "x").qos(1)),
            ReasonCode::NoMatchingSubscribers
        );
        rig.publish("p", "new", "y", 1);
        assert!(rig.connect(&v5("s").lasting()));
        assert_eq!(rig.take_payloads("s"), ["y"]);
        rig.connect(&v5("other").lasting());
        assert_eq!(rig.take_payloads("other"), ["m"]);
        assert_eq!(rig.stored("s"), ["session 86400s", "subscribed new"]);
        rig.ignore_the_rest();
    });
}

#[test]
fn a_killed_broker_can_be_killed_again_at_once() {
    over_a_kill(|rig, shards| {
        absent(rig, "s", "t");
        rig.connect(&v5("p").lasting());
        rig.publish("p", "t", "1", 1);
        rig.send_message("p", &msg("t", "2").qos(2).id(9));
        rig.take_first("p", PacketType::PubRec);
        for shards in [shards, 3, 1, 8] {
            rig.kill(shards, 10);
        }
        rig.connect(&v5("p").lasting());
        rig.send("p", Packet::PubRel(Ack::new(packet_id(9), ReasonCode::Success)));
        assert_eq!(rig.take_first("p", PacketType::PubComp).pub_comp().reason, ReasonCode::Success);
        rig.connect(&v5("s").lasting());
        assert_eq!(rig.take_payloads("s"), ["1", "2"]);
    });
}
