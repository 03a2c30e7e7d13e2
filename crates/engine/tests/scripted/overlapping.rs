//! One message that matches several subscriptions of one client.

use martlet_proto::SubscriptionOptions;

use crate::rig::{msg, on_every_size, options, v5, v311};

// [MQTT-3.3.4-2] [MQTT3-3.3.5-1]
#[test]
fn the_highest_granted_qos_counts() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        for hello in [v311("a"), v5("b")] {
            let name = hello.name();
            rig.connect(&hello);
            for (filter, qos) in [("t/x", 0), ("t/+", 2), ("#", 1)] {
                rig.subscribe(name, filter, qos);
            }
            for published in 0..=2 {
                rig.publish("p", "t/x", "m", published);
                assert_eq!(rig.take_message(name).qos as u8, published);
                rig.nothing(name);
            }
            rig.publish("p", "u", "m", 2);
            assert_eq!(rig.take_message(name).qos as u8, 1);
            rig.cut(name);
        }
    });
}

// [MQTT-3.3.4-3] [MQTT-3.3.4-4] [MQTT-3.3.4-5]
#[test]
fn one_copy_has_every_subscription_identifier() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        rig.connect(&v5("s"));
        let largest = 268_435_455;
        let subscriptions = [
            ("t/x", Some(1)),
            ("t/+", Some(largest)),
            ("#", None),
            ("t/#", Some(7)),
            ("+/x", Some(7)),
        ];
        for (filter, id) in subscriptions {
            rig.subscribe_with("s", &[(filter, options(1))], id);
        }
        for qos in 0..=2 {
            rig.publish("p", "t/x", "m", qos);
            let message = rig.take_message("s");
            let mut ids = message.subscription_ids;
            ids.sort_unstable();
            assert_eq!(ids, [1, 7, 7, largest], "as often as it was given");
            rig.nothing("s");
        }
        rig.publish("p", "u", "m", 0);
        assert!(rig.expect_publish("s").subscription_ids.is_empty());
    });
}

// [MQTT-3.3.4-3]
#[test]
fn the_identifier_goes_with_the_subscription() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        rig.connect(&v5("s").lasting());
        rig.subscribe_with("s", &[("a", options(1)), ("b", options(1))], Some(5));
        rig.subscribe_with("s", &[("b", options(1))], None);
        for _ in 0..2 {
            for (topic, ids) in [("a", vec![5]), ("b", vec![])] {
                rig.publish("p", topic, "m", 1);
                assert_eq!(rig.take_message("s").subscription_ids, ids, "{topic}");
            }
            rig.cut("s");
            rig.publish("p", "a", "queued", 1);
            rig.connect(&v5("s").lasting());
            assert_eq!(rig.take_message("s").subscription_ids, [5]);
        }
    });
}

// [MQTT-3.3.1-13] [MQTT-3.3.1-12]
#[test]
fn retain_as_published_of_one_is_enough() {
    let as_published = SubscriptionOptions { retain_as_published: true, ..options(0) };
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        rig.connect(&v5("s"));
        rig.subscribe("s", "#", 0);
        rig.publish_message("p", &msg("t", "m").retain());
        assert!(!rig.expect_publish("s").retain);
        rig.subscribe_with("s", &[("+", as_published)], None);
        assert!(rig.expect_publish("s").retain, "told as retained");
        rig.publish_message("p", &msg("t", "m").retain());
        assert!(rig.expect_publish("s").retain);
        rig.nothing("s");
    });
}

#[test]
fn many_clients_with_many_overlaps_get_one_copy_each() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        let names: Vec<String> = (0..12).map(|i| format!("s{i}")).collect();
        for (i, name) in names.iter().enumerate() {
            rig.connect(&v5(name));
            for filter in ["a/b/c", "a/+/c", "a/#", "+/+/+", "#"].iter().take(i % 5 + 1) {
                rig.subscribe(name, filter, 1);
            }
        }
        for qos in 0..=2 {
            rig.publish("p", "a/b/c", "m", qos);
            for name in &names {
                assert_eq!(rig.take_payloads(name), ["m"], "{name}");
            }
        }
    });
}
