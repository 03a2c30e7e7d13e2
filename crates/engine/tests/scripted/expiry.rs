//! Message Expiry Interval: what is left of it goes on, what has run out is deleted.

use martlet_engine::Drop;
use martlet_proto::PacketType;

use crate::rig::{msg, on_every_size, v5, v311};

// [MQTT-3.3.2-6]
#[test]
fn a_message_that_does_not_wait_keeps_its_interval() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        rig.connect(&v5("s"));
        rig.subscribe("s", "t", 2);
        for qos in 0..=2 {
            for seconds in [1, 60, u32::MAX] {
                rig.publish_message("p", &msg("t", "m").qos(qos).expiry_s(seconds));
                assert_eq!(rig.take_message("s").expiry_s, Some(seconds));
            }
            rig.publish("p", "t", "m", qos);
            assert_eq!(rig.take_message("s").expiry_s, None);
        }
    });
}

// [MQTT-3.3.2-6] [MQTT-3.3.2-5]
#[test]
fn the_time_in_the_queue_is_taken_off() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        for hello in [v5("a").lasting(), v311("b").lasting()] {
            rig.connect(&hello);
            rig.subscribe(hello.name(), "t", 2);
            rig.cut(hello.name());
        }
        for (seconds, qos) in [(10, 1), (20, 2), (30, 1)] {
            rig.publish_message("p", &msg("t", &seconds.to_string()).qos(qos).expiry_s(seconds));
        }
        rig.publish("p", "t", "never", 1);
        rig.advance_s(20);
        for hello in [v5("a").lasting(), v311("b").lasting()] {
            rig.connect(&hello);
        }
        let message = rig.take_message("a");
        assert_eq!((message.text(), message.expiry_s), ("30", Some(10)));
        assert_eq!(rig.take_payloads("a"), ["never"]);
        assert_eq!(rig.take_payloads("b"), ["30", "never"]);
        assert_eq!(rig.dropped(Drop::Expired), 4);
        assert_eq!((rig.stats().queued, rig.stats().queued_bytes), (0, 0));
    });
}

// [MQTT-3.3.2-5]
#[test]
fn the_moment_of_expiry_is_exact() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        rig.connect(&v5("s").lasting());
        rig.subscribe("s", "t", 1);
        for (wait_ms, seen) in [(9_999, Some(1)), (10_000, None)] {
            rig.cut("s");
            rig.publish_message("p", &msg("t", "m").qos(1).expiry_s(10));
            rig.advance_ms(wait_ms);
            rig.connect(&v5("s").lasting());
            match seen {
                // What is alive never shows zero.
                Some(_) => assert_eq!(rig.take_message("s").expiry_s, seen),
                None => rig.nothing("s"),
            }
        }
    });
}

// [MQTT-4.3.3-7] [MQTT-4.3.3-13] [MQTT-4.4.0-1]
#[test]
fn what_was_sent_does_not_expire() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        for qos in 1..=2 {
            rig.connect(&v5("s").lasting());
            rig.subscribe("s", "t", 2);
            rig.publish_message("p", &msg("t", "m").qos(qos).expiry_s(10));
            let first = rig.expect_publish("s");
            rig.cut("s");
            rig.advance_s(100);
            rig.connect(&v5("s").lasting());
            let again = rig.expect_publish("s");
            assert_eq!((again.id, again.dup, again.text()), (first.id, true, "m"));
            assert_eq!(again.expiry_s, Some(0));
            rig.finish_message("s", &again);
            assert_eq!(rig.stats().in_flight, 0);
            rig.cut("s");
        }
    });
}

// [MQTT-4.3.3-13]
#[test]
fn a_qos_2_exchange_ends_well_though_the_message_has_expired() {
    on_every_size(|rig| {
        rig.connect(&v5("s").lasting());
        rig.subscribe("s", "t", 2);
        rig.cut("s");
        rig.connect(&v5("p").lasting());
        rig.send_message("p", &msg("t", "m").qos(2).id(3).expiry_s(10));
        rig.take_first("p", PacketType::PubRec);
        rig.advance_s(20);
        rig.send_message("p", &msg("t", "m").qos(2).id(3).expiry_s(10).dup());
        rig.take_first("p", PacketType::PubRec);
        rig.pub_rel("p", 3);
        rig.take_first("p", PacketType::PubComp);
        rig.connect(&v5("s").lasting());
        rig.nothing("s");
    });
}

// [MQTT-3.3.2-5] [MQTT-3.3.2-6]
#[test]
fn retained_messages_expire() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        for i in 1..=20 {
            let message = msg(&format!("r/{i}"), &i.to_string()).retain();
            rig.publish_message("p", &message.expiry_s(i * 10));
        }
        rig.publish_message("p", &msg("r/ever", "0").retain());
        rig.advance_s(100);
        assert_eq!(rig.stats().retained, 11);
        rig.connect(&v5("s"));
        rig.subscribe("s", "r/#", 0);
        let mut seen = Vec::new();
        while rig.client("s").inbox_len() > 0 {
            let message = rig.expect_publish("s");
            let number: u32 = message.text().parse().expect("a number");
            seen.push(number);
            let left = (number > 0).then(|| number * 10 - 100);
            assert_eq!(message.expiry_s, left);
        }
        seen.sort_unstable();
        assert_eq!(seen, (11..=20).fold(vec![0], |all, i| [all, vec![i]].concat()));
        // A newer message has its own interval.
        rig.publish_message("p", &msg("r/20", "new").retain());
        assert_eq!(rig.take_payloads("s"), ["new"]);
        rig.advance_s(1000);
        assert_eq!(rig.stats().retained, 2);
        rig.publish_message("p", &msg("r/ever", "mortal").retain().expiry_s(1));
        rig.take_payloads("s");
        rig.advance_s(1);
        assert_eq!(rig.stats().retained, 1);
    });
}

#[test]
fn an_interval_of_nothing_is_over_at_once() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        rig.connect(&v5("s").lasting());
        rig.subscribe("s", "t", 1);
        rig.publish_message("p", &msg("t", "m").qos(1).expiry_s(0).retain());
        // Sent on at once or not at all, but never with more than it came with.
        if rig.client("s").inbox_len() > 0 {
            assert_eq!(rig.take_message("s").expiry_s, Some(0));
        }
        rig.subscribe("s", "t", 1);
        rig.nothing("s");
        rig.cut("s");
        rig.publish_message("p", &msg("t", "m").qos(1).expiry_s(0));
        rig.connect(&v5("s").lasting());
        rig.nothing("s");
    });
}

#[test]
fn a_topic_that_is_replaced_for_ever_leaves_nothing_behind() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        for i in 0..3000 {
            let message = msg(&format!("r/{}", i % 3), &i.to_string()).retain();
            rig.give_message("p", &message.expiry_s(10_000 - i / 3));
        }
        rig.settle();
        assert_eq!(rig.stats().retained, 3);
        // What is left is still watched: these have 9001 seconds.
        rig.advance_s(9_000);
        assert_eq!(rig.stats().retained, 3);
        rig.advance_s(1);
        assert_eq!(rig.stats().retained, 0);
    });
}
