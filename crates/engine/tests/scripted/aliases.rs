//! Topic aliases, both ways.

use martlet_engine::ShardConfig;
use martlet_proto::ReasonCode;

use crate::rig::{Rig, msg, on_every_size, on_every_size_with, v5, v311};

fn three(config: &mut ShardConfig) {
    config.limits.topic_alias_max = 3;
}

fn watched(rig: &mut Rig) {
    rig.connect(&v5("s"));
    rig.subscribe("s", "#", 2);
}

// [MQTT-3.3.2-12]
#[test]
fn a_client_may_use_every_alias_it_was_offered() {
    on_every_size_with(three, |rig| {
        watched(rig);
        rig.connect(&v5("p"));
        for alias in 1..=3 {
            rig.publish_message("p", &msg(&format!("topic/{alias}"), "set").alias(alias));
        }
        for alias in [3, 1, 2, 1] {
            for qos in 0..=2 {
                rig.publish_message("p", &msg("", "used").alias(alias).qos(qos));
            }
        }
        // Set anew.
        rig.publish_message("p", &msg("other", "set").alias(2));
        rig.publish_message("p", &msg("", "used").alias(2).qos(1));
        let topics: Vec<_> = std::iter::from_fn(|| {
            (rig.client("s").inbox_len() > 0).then(|| {
                let message = rig.take_message("s");
                assert_eq!(message.alias, None, "an alias is between two peers");
                message.topic
            })
        })
        .collect();
        let (one, two, three) = ("topic/1", "topic/2", "topic/3");
        let set = [one, two, three];
        let used = [three, three, three, one, one, one, two, two, two, one, one, one];
        assert_eq!(topics, [set.as_slice(), &used, &["other", "other"]].concat());
    });
}

// [MQTT-3.3.2-9] [MQTT-3.3.2-8] [MQTT-3.2.2-17]
#[test]
fn an_alias_out_of_range_ends_the_connection() {
    on_every_size_with(three, |rig| {
        watched(rig);
        rig.connect(&v5("a"));
        rig.send_message("a", &msg("t", "x").alias(4));
        rig.thrown_out("a", ReasonCode::TopicAliasInvalid);
        rig.connect(&v5("b"));
        // Topic Alias 0 cannot be written by the encoder.
        rig.send_bytes("b", &[0x30, 0x07, 0x00, 0x01, b't', 0x03, 0x23, 0x00, 0x00]);
        rig.thrown_out("b", ReasonCode::TopicAliasInvalid);
        rig.nothing("s");
    });
}

// [MQTT-3.2.2-18]
#[test]
fn without_an_offer_no_alias_may_be_used() {
    let tune = |config: &mut ShardConfig| config.limits.topic_alias_max = 0;
    on_every_size_with(tune, |rig| {
        let got = rig.connect_got(&v5("a"));
        assert_eq!(got.conn_ack().properties.topic_alias_max, None);
        rig.send_message("a", &msg("t", "x").alias(1));
        rig.thrown_out("a", ReasonCode::TopicAliasInvalid);
    });
}

#[test]
fn an_alias_that_was_never_set_ends_the_connection() {
    on_every_size_with(three, |rig| {
        rig.connect(&v5("a"));
        rig.send_message("a", &msg("", "x").alias(1));
        rig.thrown_out("a", ReasonCode::ProtocolError);
        rig.connect(&v5("b"));
        rig.publish_message("b", &msg("t", "x").alias(3));
        rig.send_message("b", &msg("", "x").alias(2));
        rig.thrown_out("b", ReasonCode::ProtocolError);
    });
}

// [MQTT-3.3.2-7]
#[test]
fn a_new_connection_starts_without_aliases() {
    on_every_size_with(three, |rig| {
        let hello = v5("a").lasting().topic_alias_max(5);
        rig.connect(&hello);
        rig.subscribe("a", "a/topic", 1);
        rig.publish_message("a", &msg("a/topic", "x").alias(1));
        assert_eq!(rig.expect_publish("a").alias, Some(1));
        rig.publish_message("a", &msg("", "x").alias(1));
        assert_eq!(rig.expect_publish("a").topic, "", "by alias");
        rig.cut("a");
        rig.connect(&hello);
        rig.publish("a", "a/topic", "x", 0);
        let first = rig.expect_publish("a");
        assert_eq!((first.topic.as_str(), first.alias), ("a/topic", Some(1)));
        rig.send_message("a", &msg("", "x").alias(1));
        rig.thrown_out("a", ReasonCode::ProtocolError);
    });
}

// [MQTT-3.1.2-26] [MQTT-3.3.2-11] [MQTT-3.3.2-8]
#[test]
fn the_broker_keeps_to_the_clients_maximum() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        for max in [1, 2, 5, u16::MAX] {
            let name = format!("s{max}");
            rig.connect(&v5(&name).topic_alias_max(max));
            rig.subscribe(&name, "topic/+", 0);
            let mut known = std::collections::BTreeMap::new();
            for i in 0..200 {
                let topic = format!("topic/{}", i * 7 % 40);
                rig.publish("p", &topic, "m", 0);
                let got = rig.expect_publish(&name);
                if let Some(alias) = got.alias {
                    assert!((1..=max).contains(&alias));
                    if !got.topic.is_empty() {
                        known.insert(alias, got.topic.clone());
                    }
                    assert_eq!(known[&alias], topic);
                } else {
                    assert_eq!(got.topic, topic);
                }
            }
            assert!(!known.is_empty());
            rig.cut(&name);
        }
    });
}

// [MQTT-3.1.2-27]
#[test]
fn without_permission_the_broker_uses_no_alias() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        for hello in [v5("a"), v5("b").topic_alias_max(0), v311("c")] {
            rig.connect(&hello);
            rig.subscribe(hello.name(), "long/enough", 0);
        }
        for _ in 0..3 {
            rig.publish_message("p", &msg("long/enough", "m").alias(1));
            for name in ["a", "b", "c"] {
                let got = rig.expect_publish(name);
                assert_eq!((got.topic.as_str(), got.alias), ("long/enough", None));
            }
        }
    });
}

// [MQTT-3.1.2-24] [MQTT-3.1.2-26]
#[test]
fn an_alias_is_not_wasted_on_a_message_that_is_too_large() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        rig.connect(&v5("s").topic_alias_max(2).packet_size_max(100));
        rig.subscribe("s", "long/#", 1);
        rig.publish("p", "long/one", &"x".repeat(200), 1);
        rig.nothing("s");
        rig.publish("p", "long/one", "small", 1);
        assert_eq!(rig.take_message("s").topic, "long/one");
        rig.publish("p", "long/one", &"x".repeat(200), 1);
        rig.publish("p", "long/one", "small", 1);
        let got = rig.take_message("s");
        assert!(got.topic == "long/one" || got.alias == Some(1), "{got:?}");
    });
}
