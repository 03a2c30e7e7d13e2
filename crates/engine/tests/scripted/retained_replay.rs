//! Retained messages: stored, replaced, removed, told to new subscriptions.

use martlet_engine::{Drop, ShardConfig};
use martlet_proto::{Packet, PacketType, RetainHandling, SubscriptionOptions};

use crate::rig::{Message, Rig, msg, on_every_size, on_every_size_with, options, v5, v31, v311};

fn retain(rig: &mut Rig, topic: &str, payload: &str, qos: u8) {
    rig.publish_message("p", &msg(topic, payload).qos(qos).retain());
}

/// What a new subscriber is told, sorted by topic.
fn told(rig: &mut Rig, filter: &str) -> Vec<(String, String)> {
    rig.connect(&v5("new"));
    rig.subscribe("new", filter, 2);
    let mut all = Vec::new();
    while rig.client("new").inbox_len() > 0 {
        let message = rig.take_message("new");
        assert!(message.retain, "{message:?}");
        all.push((message.topic.clone(), message.text().to_owned()));
    }
    rig.goodbye("new");
    all.sort();
    all
}

fn pair(topic: &str, payload: &str) -> (String, String) {
    (topic.to_owned(), payload.to_owned())
}

// [MQTT-3.3.1-5] [MQTT-3.3.1-8] [MQTT3-3.3.1-5] [MQTT3-3.3.1-6] [MQTT3-3.3.1-7] [MQTT3-3.3.1-8]
// [MQTT3-3.3.1-12]
#[test]
fn the_last_retained_message_of_each_topic_is_told() {
    on_every_size(|rig| {
        for hello in [v31("p"), v311("p"), v5("p")] {
            rig.connect(&hello);
            retain(rig, "a/1", "old", 2);
            retain(rig, "a/1", "new", 0);
            rig.publish("p", "a/1", "not retained", 1);
            retain(rig, "a/2", "two", 1);
            rig.publish("p", "a/3", "never retained", 1);
            assert_eq!(told(rig, "a/+"), [pair("a/1", "new"), pair("a/2", "two")]);
            assert_eq!(told(rig, "a/1"), [pair("a/1", "new")]);
            assert_eq!(told(rig, "a/3"), []);
            assert_eq!(rig.stats().retained, 2);
            rig.cut("p");
        }
    });
}

// [MQTT-3.3.1-6] [MQTT-3.3.1-7] [MQTT3-3.3.1-10] [MQTT3-3.3.1-11]
#[test]
fn an_empty_payload_removes_it() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        rig.connect(&v5("s"));
        rig.subscribe("s", "t", 0);
        retain(rig, "t", "there", 0);
        retain(rig, "t", "", 0);
        retain(rig, "never/there", "", 0);
        // It is delivered like any message.
        assert_eq!(rig.take_payloads("s"), ["there", ""]);
        assert_eq!(told(rig, "#"), []);
        assert_eq!((rig.stats().retained, rig.stats().retained_bytes), (0, 0));
    });
}

// [MQTT-3.3.1-12] [MQTT-3.3.1-13] [MQTT3-3.3.1-9]
#[test]
fn live_messages_show_retain_only_to_who_asked_for_it() {
    let as_published = SubscriptionOptions { retain_as_published: true, ..options(0) };
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        rig.connect(&v5("as"));
        rig.subscribe_with("as", &[("t", as_published)], None);
        rig.connect(&v5("plain"));
        rig.subscribe("plain", "t", 0);
        rig.connect(&v311("old"));
        rig.subscribe("old", "t", 0);
        retain(rig, "t", "retained", 0);
        rig.publish("p", "t", "not", 0);
        let flags = |rig: &mut Rig, name| [(); 2].map(|()| rig.expect_publish(name).retain);
        assert_eq!(flags(rig, "as"), [true, false]);
        assert_eq!(flags(rig, "plain"), [false, false]);
        assert_eq!(flags(rig, "old"), [false, false]);
    });
}

// [MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11] [MQTT-3.8.4-4] [MQTT3-3.8.4-3]
#[test]
fn retain_handling_decides_who_is_told() {
    let with = |retain_handling| SubscriptionOptions { retain_handling, ..options(1) };
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        retain(rig, "t/a", "r", 1);
        rig.connect(&v5("s").lasting());
        let told = |rig: &mut Rig, filter: &str, handling| {
            rig.subscribe_with("s", &[(filter, with(handling))], None);
            rig.take_payloads("s").len()
        };
        assert_eq!(told(rig, "t/a", RetainHandling::DoNotSend), 0);
        assert_eq!(told(rig, "t/a", RetainHandling::SendIfNew), 0, "it existed");
        assert_eq!(told(rig, "t/a", RetainHandling::Send), 1);
        assert_eq!(told(rig, "t/a", RetainHandling::Send), 1, "again");
        assert_eq!(told(rig, "t/+", RetainHandling::SendIfNew), 1, "it is new");
        assert_eq!(told(rig, "t/+", RetainHandling::SendIfNew), 0);
        rig.unsubscribe("s", &["t/+"]);
        assert_eq!(told(rig, "t/+", RetainHandling::SendIfNew), 1, "it is new again");
        rig.cut("s");
        rig.connect(&v5("s").lasting());
        assert_eq!(told(rig, "t/+", RetainHandling::SendIfNew), 0, "the session goes on");
    });
}

// [MQTT3-3.8.4-3] [MQTT3-3.3.1-6]
#[test]
fn a_repeated_subscription_of_3_x_is_told_again() {
    on_every_size(|rig| {
        rig.connect(&v311("p"));
        retain(rig, "t", "r", 1);
        rig.connect(&v311("s"));
        for qos in [1, 1, 0] {
            rig.subscribe("s", "t", qos);
            let message = rig.take_message("s");
            assert_eq!((message.retain, message.qos as u8), (true, qos));
        }
        assert_eq!(rig.stats().subscriptions, 1);
    });
}

// [MQTT-3.8.4-8] [MQTT3-3.8.4-6] [MQTT3-3.3.1-8]
#[test]
fn retained_messages_come_with_everything() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        let sent = Message { content_type: Some("x".to_owned()), ..msg("t/a", "r") }
            .qos(2)
            .retain()
            .user_property("k", "v");
        rig.publish_message("p", &sent);
        for granted in 0..=2 {
            let name = format!("s{granted}");
            rig.connect(&v5(&name));
            rig.subscribe_with(&name, &[("t/+", options(granted))], Some(7));
            let got = rig.take_message(&name);
            let expected = Message { subscription_ids: vec![7], id: got.id, ..sent.clone() };
            assert_eq!(got, expected.qos(granted));
        }
    });
}

// [MQTT3-3.1.2-7]
#[test]
fn retained_messages_outlive_the_session_that_sent_them() {
    on_every_size(|rig| {
        rig.connect(&v311("p"));
        retain(rig, "t", "r", 1);
        rig.goodbye("p");
        assert_eq!(rig.stats().sessions, 0);
        assert_eq!(told(rig, "t"), [pair("t", "r")]);
    });
}

#[test]
fn share_groups_are_not_told() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        retain(rig, "t", "r", 1);
        rig.connect(&v5("s"));
        rig.subscribe("s", "$share/g/t", 1);
        rig.nothing("s");
    });
}

#[test]
fn dollar_topics_are_not_told_to_leading_wildcards() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        retain(rig, "$app/a", "r", 1);
        retain(rig, "app/a", "r", 1);
        assert_eq!(told(rig, "#"), [pair("app/a", "r")]);
        assert_eq!(told(rig, "+/a"), [pair("app/a", "r")]);
        assert_eq!(told(rig, "$app/#"), [pair("$app/a", "r")]);
    });
}

#[test]
fn a_long_replay_is_whole_whatever_its_pace() {
    let tune = |config: &mut ShardConfig| {
        config.limits.replay_budget = 3;
        config.limits.outbox_low_bytes = 200;
    };
    on_every_size_with(tune, |rig| {
        rig.connect(&v5("p"));
        for i in 0..100 {
            retain(rig, &format!("r/{i:02}"), &i.to_string(), (i % 3) as u8);
        }
        let all = told(rig, "r/#");
        let expected: Vec<_> =
            (0..100).map(|i| pair(&format!("r/{i:02}"), &i.to_string())).collect();
        assert_eq!(all, expected);
        // A narrow window does not change that.
        rig.connect(&v5("narrow").receive_max(1));
        rig.subscribe("narrow", "r/+", 2);
        assert_eq!(rig.take_payloads("narrow").len(), 100);
    });
}

#[test]
fn a_replay_goes_on_after_a_resume() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        for i in 0..10 {
            retain(rig, &format!("r/{i}"), &i.to_string(), 1);
        }
        rig.connect(&v5("s").lasting().receive_max(1));
        rig.subscribe("s", "r/+", 1);
        let mut seen: Vec<_> = (0..3).map(|_| rig.take_message("s").payload).collect();
        let fourth = rig.expect_publish("s");
        rig.cut("s");
        rig.connect(&v5("s").lasting().receive_max(1));
        let again = rig.take_message("s");
        assert_eq!((again.id, again.dup), (fourth.id, true));
        seen.push(again.payload);
        while rig.client("s").inbox_len() > 0 {
            seen.push(rig.take_message("s").payload);
        }
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 10);
    });
}

#[test]
fn a_replay_that_waits_for_nothing_else_goes_on_after_a_resume() {
    let tune = |config: &mut ShardConfig| config.limits.outbox_low_bytes = 200;
    on_every_size_with(tune, |rig| {
        rig.connect(&v5("p"));
        for i in 0..50 {
            retain(rig, &format!("r/{i}"), "m", 0);
        }
        rig.connect(&v5("s").lasting());
        rig.take_only("s", 0);
        rig.give_subscribe("s", &[("r/+", options(0))], None);
        rig.settle();
        rig.cut("s");
        assert_eq!(rig.client("s").inbox_len(), 0);
        rig.connect(&v5("s").lasting());
        // What was in the outbox is lost, as QoS 0 may be; the rest is told.
        let told = rig.take_payloads("s").len();
        assert!((20..50).contains(&told), "{told}");
    });
}

#[test]
fn a_live_update_beats_a_pending_replay() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        for i in 0..10 {
            retain(rig, &format!("r/{i}"), "old", 1);
        }
        rig.connect(&v5("s").receive_max(1));
        rig.subscribe("s", "r/+", 1);
        let first = rig.expect_publish("s");
        for i in 0..10 {
            retain(rig, &format!("r/{i}"), "new", 1);
        }
        rig.finish_message("s", &first);
        let mut last = std::collections::BTreeMap::from([(first.topic.clone(), first.payload)]);
        while rig.client("s").inbox_len() > 0 {
            let message = rig.take_message("s");
            last.insert(message.topic, message.payload);
        }
        assert_eq!(last.len(), 10);
        assert!(last.values().all(|payload| payload == b"new"), "{last:?}");
    });
}

#[test]
fn many_live_updates_leave_no_old_value_behind() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        for i in 0..40 {
            retain(rig, &format!("r/{i}"), "old", 1);
        }
        rig.connect(&v5("s").receive_max(1));
        rig.subscribe("s", "r/+", 1);
        let first = rig.expect_publish("s");
        // More than are remembered one by one, the topics of the replay first and in the middle.
        for i in (0..20).chain(100..4300).chain(20..40) {
            let qos = u8::from(i < 40);
            rig.give_message("p", &msg(&format!("r/{i}"), "new").qos(qos).retain());
        }
        rig.settle();
        rig.ignore_the_rest();
        rig.finish_message("s", &first);
        let mut last = std::collections::BTreeMap::from([(first.topic.clone(), first.payload)]);
        while rig.client("s").inbox_len() > 0 {
            let message = rig.take_message("s");
            last.insert(message.topic, message.payload);
        }
        assert_eq!(last.len(), 4240);
        assert!(last.values().all(|payload| payload == b"new"));
    });
}

#[test]
fn a_turn_tells_one_client_so_much_and_no_more() {
    let tune = |config: &mut ShardConfig| config.limits.replay_budget = 3;
    on_every_size_with(tune, |rig| {
        rig.connect(&v5("p"));
        let topics: Vec<_> = (0..12).map(|i| format!("r/{i}")).collect();
        for topic in &topics {
            retain(rig, topic, "m", 0);
        }
        rig.connect(&v5("s"));
        let filters: Vec<_> = topics.iter().map(|topic| (topic.as_str(), options(0))).collect();
        rig.give_subscribe("s", &filters, None);
        rig.settle_until_answered("s");
        let at_once = rig.client("s").inbox_len();
        assert!(at_once <= 4, "SUBACK and {at_once} messages within a turn");
        rig.settle();
        rig.take_first("s", PacketType::SubAck);
        assert_eq!(rig.take_payloads("s").len(), 12);
    });
}

#[test]
fn a_full_store_keeps_no_outdated_value() {
    let tune = |config: &mut ShardConfig| {
        config.limits.retained_messages_max = 1;
        config.limits.retained_bytes_max = 400;
    };
    on_every_size_with(tune, |rig| {
        rig.connect(&v5("p"));
        retain(rig, "t", "first", 0);
        retain(rig, "t", "second", 0);
        assert_eq!(told(rig, "t"), [pair("t", "second")]);
        assert_eq!(rig.dropped(Drop::RetainedFull), 0);
        // Too large for the store: what was there is out of date all the same.
        retain(rig, "t", &"x".repeat(500), 0);
        assert_eq!(told(rig, "t"), []);
        assert_eq!(rig.dropped(Drop::RetainedFull), 1);
    });
}

#[test]
fn replacing_a_message_needs_no_room_for_both() {
    let tune = |config: &mut ShardConfig| config.limits.retained_bytes_max = 400;
    on_every_size_with(tune, |rig| {
        rig.connect(&v5("p"));
        for payload in ["a".repeat(200), "b".repeat(200)] {
            retain(rig, "t", &payload, 0);
            assert_eq!(told(rig, "t"), [pair("t", &payload)]);
        }
    });
}

#[test]
fn suback_comes_before_what_is_retained() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        retain(rig, "t", "r", 0);
        rig.connect(&v5("s"));
        rig.give_subscribe("s", &[("t", options(0))], None);
        rig.settle();
        assert_eq!(rig.expect("s").packet().packet_type(), PacketType::SubAck);
        assert!(rig.expect_publish("s").retain);
    });
}

// [MQTT-3.3.2-3] [MQTT3-3.3.2-3]
#[test]
fn a_late_answer_belongs_to_its_own_subscription() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        for i in 0..20 {
            retain(rig, &format!("a/{i}"), "a", 0);
            retain(rig, &format!("b/{i}"), "b", 0);
        }
        // With other subscribers everywhere, a SUBACK waits for nobody.
        for i in 0..20 {
            let name = format!("o{i}");
            rig.connect(&v5(&name));
            rig.subscribe_with(&name, &[("a/+", quiet()), ("b/+", quiet())], None);
        }
        rig.connect(&v5("s"));
        for turns in 0..4 {
            rig.give_subscribe("s", &[("a/+", options(0))], None);
            rig.give_unsubscribe("s", &["a/+"]);
            for _ in 0..=turns {
                rig.turn_each();
            }
            rig.give_subscribe("s", &[("b/+", options(0))], None);
            rig.settle();
            // Whatever is told of a/+ comes before its UNSUBACK, and all of b/+ is told.
            let mut is_over = false;
            let mut told = 0;
            while rig.client("s").inbox_len() > 0 {
                let got = rig.expect("s");
                match got.packet() {
                    Packet::Publish(publish) if publish.topic.starts_with("b/") => told += 1,
                    Packet::Publish(_) => assert!(!is_over, "{got:?} after {turns} turns"),
                    Packet::UnsubAck(_) => is_over = true,
                    _ => {}
                }
            }
            assert_eq!(told, 20, "after {turns} turns");
            rig.unsubscribe("s", &["b/+"]);
        }
    });
}

fn quiet() -> SubscriptionOptions {
    SubscriptionOptions { retain_handling: RetainHandling::DoNotSend, ..options(0) }
}

// [MQTT-3.8.3-3]
#[test]
fn no_local_is_about_the_client_not_its_session() {
    let no_local = SubscriptionOptions { no_local: true, ..options(1) };
    on_every_size(|rig| {
        rig.connect(&v5("s"));
        rig.publish_message("s", &msg("t/own", "kept").qos(1).retain());
        rig.cut("s");
        rig.connect(&v5("other"));
        rig.publish_message("other", &msg("t/other", "kept").qos(1).retain());
        // A new session of the same client, and one of another client.
        rig.connect(&v5("s"));
        rig.subscribe_with("s", &[("t/#", no_local)], None);
        assert_eq!(rig.take_message("s").topic, "t/other");
        rig.nothing("s");
        rig.subscribe_with("other", &[("t/#", no_local)], None);
        assert_eq!(rig.take_message("other").topic, "t/own");
        rig.nothing("other");
    });
}
