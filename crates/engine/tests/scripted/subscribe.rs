//! SUBSCRIBE and SUBACK: what is granted, matching, options, replacement.

use martlet_proto::{Packet, PacketType, ReasonCode, SubscriptionOptions};

use crate::rig::{msg, on_every_size, on_every_size_with, options, v5, v31, v311};

// [MQTT-3.8.4-1] [MQTT-3.8.4-2] [MQTT-2.2.1-6] [MQTT-3.8.4-6] [MQTT-3.8.4-7] [MQTT-3.9.3-1]
// [MQTT-3.9.3-2] [MQTT-3.8.4-5] [MQTT3-3.8.4-1] [MQTT3-3.8.4-2] [MQTT3-2.3.1-7] [MQTT3-3.8.4-4]
// [MQTT3-3.8.4-5] [MQTT3-3.9.3-1] [MQTT3-3.9.3-2]
#[test]
fn one_suback_answers_every_filter_in_order() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        for hello in [v31("a"), v311("b"), v5("c")] {
            let name = hello.name();
            rig.connect(&hello);
            let filters = [
                ("q2", options(2)),
                ("q0", options(0)),
                ("+/q1/#", options(1)),
                ("q2", options(1)),
            ];
            assert_eq!(rig.subscribe_with(name, &filters, None), [2, 0, 1, 1]);
            for topic in ["q2", "q0", "x/q1"] {
                rig.publish("p", topic, topic, 2);
            }
            let qos: Vec<u8> = (0..3).map(|_| rig.take_message(name).qos as u8).collect();
            // As if they had come one by one: the last one counts for q2.
            assert_eq!(qos, [1, 0, 1]);
            rig.cut(name);
        }
    });
}

// [MQTT-3.8.4-7] [MQTT3-3.8.4-5] [MQTT-3.9.3-2] [MQTT3-3.9.3-2]
#[test]
fn a_filter_that_is_refused_does_not_harm_the_others() {
    let tune = |config: &mut martlet_engine::ShardConfig| {
        config.limits.topic_levels_max = 4;
        config.limits.subscriptions_max = 2;
    };
    on_every_size_with(tune, |rig| {
        rig.connect(&v5("p"));
        let filters = [
            ("a/b/c/d/e", options(1)),
            ("a/b/c/d", options(1)),
            ("b", options(2)),
            ("c", options(1)),
        ];
        for hello in [v311("x"), v5("y")] {
            rig.connect(&hello);
            let codes = rig.subscribe_with(hello.name(), &filters, None);
            let expected = match hello.name() {
                "x" => [0x80, 1, 2, 0x80],
                _ => [0x8F, 1, 2, 0x97],
            };
            assert_eq!(codes, expected);
            rig.publish("p", "b", "m", 0);
            rig.publish("p", "c", "m", 0);
            assert_eq!(rig.take_payloads(hello.name()), ["m"]);
            rig.cut(hello.name());
        }
    });
}

// [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT3-4.7.1-2] [MQTT3-4.7.1-3] [MQTT3-3.8.3-2]
#[test]
fn wildcards_match_what_they_must() {
    let table: [(&str, &[&str], &[&str]); 8] = [
        ("sport/#", &["sport", "sport/", "sport/a/b"], &["sports", "/sport"]),
        ("#", &["a", "/", "a/b/c"], &[]),
        ("+", &["a", " "], &["/a", "a/", "a/b"]),
        ("+/+", &["/a", "a/", "a/b"], &["a", "a/b/c"]),
        ("/+", &["/a", "/"], &["a/", "a"]),
        ("sport/+/player/#", &["sport/x/player", "sport//player/1"], &["sport/player", "sport/x"]),
        ("+/tennis/#", &["a/tennis", "/tennis/x"], &["tennis", "a/b/tennis"]),
        ("a/+/c", &["a/b/c", "a//c"], &["a/c", "a/b/c/d", "a/b"]),
    ];
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        rig.connect(&v311("s"));
        for (filter, matching, others) in table {
            rig.subscribe("s", filter, 0);
            for topic in matching {
                rig.publish("p", topic, filter, 0);
                assert_eq!(&rig.expect_publish("s").topic, topic, "{filter}");
            }
            for topic in others {
                rig.publish("p", topic, filter, 0);
                rig.nothing("s");
            }
            rig.unsubscribe("s", &[filter]);
        }
    });
}

// [MQTT-4.7.2-1] [MQTT3-4.7.2-1]
#[test]
fn leading_wildcards_do_not_match_dollar_topics() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        rig.connect(&v5("s"));
        for filter in ["#", "+/info", "+/#", "$share/g/#", "$share/g/+/info"] {
            rig.subscribe("s", filter, 0);
        }
        rig.publish("p", "$app/info", "m", 0);
        rig.nothing("s");
        rig.subscribe("s", "$app/#", 0);
        rig.publish("p", "$app/info", "m", 0);
        assert_eq!(rig.take_payloads("s"), ["m"]);
    });
}

// [MQTT-3.8.4-3] [MQTT3-3.8.4-3]
#[test]
fn a_second_subscription_to_the_same_filter_replaces_the_first() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        rig.connect(&v5("s"));
        assert_eq!(rig.subscribe_with("s", &[("t", options(2))], Some(1)), [2]);
        assert_eq!(rig.subscribe_with("s", &[("t", options(1))], Some(2)), [1]);
        assert_eq!(rig.stats().subscriptions, 1);
        rig.publish("p", "t", "m", 2);
        let message = rig.take_message("s");
        assert_eq!((message.qos as u8, message.subscription_ids), (1, vec![2]));
        rig.nothing("s");
    });
}

// [MQTT-3.8.4-4] [MQTT3-3.8.4-3]
#[test]
fn nothing_is_lost_while_a_subscription_is_replaced() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        rig.connect(&v5("s"));
        rig.subscribe("s", "t", 1);
        for i in 0..10 {
            rig.give_message("p", &msg("t", &i.to_string()).qos(1));
            rig.give_subscribe("s", &[("t", options(1 + i % 2))], None);
            rig.give_message("p", &msg("t", &format!("{i} too")).qos(1));
        }
        rig.settle();
        let mut payloads = Vec::new();
        while payloads.len() < 20 {
            let got = rig.take_first("s", PacketType::Publish);
            payloads.push(String::from_utf8_lossy(got.publish().payload).into_owned());
        }
        let sent = (0..10).flat_map(|i| [i.to_string(), format!("{i} too")]);
        assert_eq!(payloads, sent.collect::<Vec<_>>());
        rig.ignore_the_rest();
    });
}

// [MQTT-3.8.3-3]
#[test]
fn no_local_keeps_a_clients_own_messages_from_it() {
    let no_local = SubscriptionOptions { no_local: true, ..options(1) };
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        rig.connect(&v5("s").lasting());
        assert_eq!(rig.subscribe_with("s", &[("t", no_local)], None), [1]);
        rig.publish("s", "t", "own", 1);
        rig.publish("p", "t", "other's", 1);
        assert_eq!(rig.take_payloads("s"), ["other's"]);
        // The client, not the connection, is what counts.
        rig.cut("s");
        rig.connect(&v5("s").lasting());
        rig.publish("s", "t", "own", 1);
        rig.nothing("s");
        // An overlapping subscription without it gets the message.
        rig.subscribe("s", "#", 0);
        rig.publish("s", "t", "own", 1);
        assert_eq!(rig.take_message("s").qos as u8, 0);
        rig.publish("p", "t", "other's", 1);
        assert_eq!(rig.take_message("s").qos as u8, 1);
        rig.nothing("s");
    });
}

#[test]
fn suback_means_that_every_shard_knows() {
    on_every_size(|rig| {
        let publishers: Vec<String> = (0..8).map(|i| format!("p{i}")).collect();
        publishers.iter().for_each(|name| {
            rig.connect(&v5(name));
        });
        for i in 0..8 {
            let name = format!("s{i}");
            rig.connect(&v5(&name));
            rig.subscribe(&name, &format!("{name}/+"), 0);
            for publisher in &publishers {
                rig.publish(publisher, &format!("{name}/x"), publisher, 0);
            }
            assert_eq!(rig.take_payloads(&name).len(), 8);
        }
    });
}

#[test]
fn whoever_hears_of_a_suback_reaches_the_subscriber() {
    on_every_size(|rig| {
        let publishers: Vec<String> = (0..8).map(|i| format!("p{i}")).collect();
        publishers.iter().for_each(|name| {
            rig.connect(&v5(name));
        });
        for filter in ["exact/topic", "exact/+", "$share/g/exact/topic"] {
            for i in 0..4 {
                let name = format!("s{i}");
                rig.connect(&v5(&name));
                rig.give_subscribe(&name, &[(filter, options(1))], None);
                // At the moment of the SUBACK, with whatever else is still on its way.
                rig.settle_until_answered(&name);
                for publisher in &publishers {
                    rig.give_message(publisher, &msg("exact/topic", publisher).qos(1));
                }
                rig.settle();
                assert_eq!(rig.expect(&name).sub_ack().codes, [1]);
                let mut got = rig.take_payloads(&name);
                got.sort();
                assert_eq!(got, publishers, "{name} {filter}");
                rig.cut(&name);
            }
        }
        rig.ignore_the_rest();
    });
}

#[test]
fn a_publisher_sees_its_own_subscription_at_once() {
    on_every_size(|rig| {
        rig.connect(&v5("s"));
        rig.give_subscribe("s", &[("t", options(1))], None);
        rig.give_message("s", &msg("t", "mine").qos(1));
        rig.settle();
        assert_eq!(rig.take_first("s", PacketType::SubAck).sub_ack().codes, [1]);
        assert_eq!(rig.take_first("s", PacketType::PubAck).pub_ack().reason, ReasonCode::Success);
        assert_eq!(rig.take_payloads("s"), ["mine"]);
    });
}

#[test]
fn a_suback_that_waits_is_not_sent_to_the_next_connection() {
    on_every_size(|rig| {
        rig.connect(&v5("s").lasting());
        rig.give_subscribe("s", &[("t", options(1))], None);
        rig.connect(&v5("again").id("s").lasting());
        // Nobody but the first connection may hear of it.
        rig.nothing("again");
        rig.connect(&v5("p"));
        rig.publish("p", "t", "m", 1);
        assert_eq!(rig.take_payloads("again"), ["m"]);
        rig.ignore_the_rest();
    });
}

// [MQTT-3.3.4-10] [MQTT-4.9.0-3] [MQTT-3.12.4-1] [MQTT3-3.12.4-1]
#[test]
fn a_full_window_delays_no_other_packet() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        rig.connect(&v5("s").receive_max(1));
        rig.subscribe("s", "t", 1);
        rig.publish("p", "t", "1", 1);
        rig.publish("p", "t", "2", 1);
        let first = rig.expect_publish("s");
        rig.subscribe("s", "u", 0);
        rig.send("s", Packet::PingReq);
        assert_eq!(rig.expect("s").packet(), Packet::PingResp);
        rig.publish("s", "x", "y", 2);
        rig.publish("p", "u", "QoS 0", 0);
        assert_eq!(rig.take_payloads("s"), ["QoS 0"]);
        rig.finish_message("s", &first);
        assert_eq!(rig.take_payloads("s"), ["2"]);
    });
}
