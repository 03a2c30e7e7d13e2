//! Order: per publisher, topic and QoS, to each subscriber.

use std::collections::BTreeMap;

use martlet_proto::PacketType;

use crate::rig::{Message, Rig, msg, on_every_size, on_every_size_with, v5, v311};

/// Each publisher's numbers, per topic and QoS, as they came.
fn sequences(messages: &[Message]) -> BTreeMap<(String, String, u8), Vec<u32>> {
    let mut all: BTreeMap<_, Vec<u32>> = BTreeMap::new();
    for message in messages {
        let (publisher, number) = message.text().split_once(' ').expect("publisher and number");
        let key = (publisher.to_owned(), message.topic.clone(), message.qos as u8);
        all.entry(key).or_default().push(number.parse().expect("a number"));
    }
    all
}

fn drain(rig: &mut Rig, name: &str) -> Vec<Message> {
    let mut messages = Vec::new();
    while rig.client(name).inbox_len() > 0 {
        messages.push(rig.take_message(name));
    }
    messages
}

/// Everybody publishes at once: numbered messages on two topics with every QoS.
fn publish_all(rig: &mut Rig, publishers: &[String], numbers: std::ops::Range<u32>) {
    for i in numbers {
        for name in publishers {
            for topic in ["t/a", "t/b"] {
                for qos in 0..=2 {
                    rig.give_message(name, &msg(topic, &format!("{name} {i}")).qos(qos));
                }
            }
        }
        if i % 7 == 0 {
            rig.settle();
        }
    }
    rig.settle();
}

// [MQTT-4.6.0-5] [MQTT-4.6.0-6] [MQTT3-4.6.0-5] [MQTT3-4.6.0-6]
#[test]
fn each_subscriber_sees_each_publishers_order() {
    on_every_size(|rig| {
        let publishers: Vec<String> = (0..4).map(|i| format!("p{i}")).collect();
        publishers.iter().for_each(|name| {
            rig.connect(&v5(name));
        });
        let hellos = [v5("a"), v311("b"), v5("c").receive_max(1), v5("d").receive_max(3)];
        for hello in &hellos {
            rig.connect(hello);
            rig.subscribe(hello.name(), "t/+", 2);
            rig.subscribe(hello.name(), "t/a", 1);
        }
        publish_all(rig, &publishers, 0..30);
        for hello in &hellos {
            let messages = drain(rig, hello.name());
            let sequences = sequences(&messages);
            assert_eq!(sequences.len(), 4 * 2 * 3);
            for (key, numbers) in sequences {
                assert_eq!(numbers, (0..30).collect::<Vec<_>>(), "{} {key:?}", hello.name());
            }
        }
        rig.ignore_the_rest();
    });
}

// [MQTT-4.6.0-5] [MQTT3-4.6.0-6] [MQTT-4.6.0-1] [MQTT3-4.6.0-1]
#[test]
fn the_order_holds_across_a_resume() {
    on_every_size(|rig| {
        let publishers = ["p0".to_owned(), "p1".to_owned()];
        publishers.iter().for_each(|name| {
            rig.connect(&v5(name));
        });
        rig.connect(&v5("s").lasting().receive_max(5));
        rig.subscribe("s", "t/#", 2);
        publish_all(rig, &publishers, 0..5);
        rig.cut("s");
        while rig.client("s").inbox_len() > 0 {
            rig.expect("s");
        }
        publish_all(rig, &publishers, 5..10);
        rig.connect(&v5("s").lasting().receive_max(2));
        publish_all(rig, &publishers, 10..15);
        let mut messages = drain(rig, "s");
        messages.retain(|message| message.qos as u8 > 0);
        for (key, numbers) in sequences(&messages) {
            assert_eq!(numbers, (0..15).collect::<Vec<_>>(), "{key:?}");
        }
        rig.ignore_the_rest();
    });
}

// [MQTT-4.6.0-2] [MQTT-4.6.0-3] [MQTT-4.6.0-4] [MQTT3-4.6.0-2] [MQTT3-4.6.0-3] [MQTT3-4.6.0-4]
#[test]
fn acknowledgements_come_in_the_order_of_what_they_acknowledge() {
    on_every_size(|rig| {
        rig.connect(&v5("s"));
        rig.subscribe("s", "t", 2);
        rig.connect(&v5("p"));
        let ids = [7, 3, 500, 4, 65_535, 1];
        for id in ids {
            rig.give_message("p", &msg("t", "1").qos(1).id(id));
            rig.give_message("p", &msg("t", "2").qos(2).id(id));
        }
        rig.settle();
        for id in ids {
            assert_eq!(rig.take_first("p", PacketType::PubAck).pub_ack().packet_id.get(), id);
            assert_eq!(rig.take_first("p", PacketType::PubRec).pub_rec().packet_id.get(), id);
        }
        for id in [4, 7, 1] {
            rig.pub_rel("p", id);
            assert_eq!(rig.expect("p").pub_comp().packet_id.get(), id);
        }
        // PUBREL in the order of PUBREC, whatever the order of PUBLISH.
        let messages: Vec<_> = (0..12).map(|_| rig.expect_publish("s")).collect();
        let exact: Vec<_> = messages.iter().filter(|message| message.qos as u8 == 2).collect();
        for at in [5, 0, 3] {
            let id = exact[at].id.expect("an identifier");
            rig.pub_rec("s", id);
            assert_eq!(rig.expect("s").pub_rel().packet_id.get(), id);
        }
    });
}

// [MQTT-4.6.0-5]
#[test]
fn what_is_queued_is_not_overtaken() {
    let tune = |config: &mut martlet_engine::ShardConfig| {
        config.limits.outbox_pause_bytes = 300;
        // Between the two marks there is room, but the queue comes first.
        config.limits.outbox_low_bytes = 100;
    };
    on_every_size_with(tune, |rig| {
        rig.connect(&v5("p"));
        rig.connect(&v5("s"));
        rig.subscribe("s", "t", 1);
        rig.take_only("s", 0);
        for i in 0..50 {
            rig.publish("p", "t", &i.to_string(), 1);
        }
        assert!(rig.stats().queued > 0);
        for i in 50..100 {
            rig.take_only("s", 20);
            rig.publish("p", "t", &i.to_string(), 1);
        }
        rig.take_only("s", usize::MAX);
        let numbers: Vec<String> = (0..100).map(|i| i.to_string()).collect();
        assert_eq!(rig.take_payloads("s"), numbers);
    });
}
