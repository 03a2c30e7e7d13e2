//! Bounds: receive maximum both ways, packet sizes, queues, outboxes, subscriptions, levels.

use martlet_engine::{Drop, ShardConfig};
use martlet_proto::{Packet, PacketType, ReasonCode};

use crate::rig::{Rig, msg, on_every_size, on_every_size_with, options, v5, v311};

/// Publishes numbered messages and looks at no answers.
fn publish_many(rig: &mut Rig, topic: &str, qos: u8, numbers: std::ops::Range<usize>) {
    for i in numbers {
        rig.publish("p", topic, &i.to_string(), qos);
    }
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|i| i.to_string()).collect()
}

// [MQTT-3.3.4-9] [MQTT-4.9.0-1] [MQTT-4.9.0-2]
#[test]
fn the_clients_receive_maximum_is_respected() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        for max in [1, 2, 5] {
            for qos in 1..=2 {
                rig.connect(&v5("s").receive_max(max));
                rig.subscribe("s", "t", 2);
                publish_many(rig, "t", qos, 0..10);
                publish_many(rig, "t", 0, 10..11);
                let inbox = rig.client("s").inbox_len();
                assert_eq!(inbox, usize::from(max) + 1, "QoS 0 is not counted");
                let messages: Vec<_> = (0..inbox).map(|_| rig.expect_publish("s")).collect();
                assert_eq!(messages.last().map(|message| message.text()), Some("10"));
                // QoS 2 keeps its place until PUBCOMP.
                if qos == 2 {
                    rig.pub_rec("s", messages[0].id.expect("an identifier"));
                    rig.take_first("s", PacketType::PubRel);
                    rig.nothing("s");
                    rig.pub_comp("s", messages[0].id.expect("an identifier"));
                } else {
                    rig.finish_message("s", &messages[0]);
                }
                assert_eq!(rig.client("s").inbox_len(), 1, "one out, one in");
                for message in &messages[1..usize::from(max)] {
                    rig.finish_message("s", message);
                }
                rig.take_payloads("s");
                assert_eq!((rig.stats().queued, rig.stats().in_flight), (0, 0));
                rig.cut("s");
            }
        }
    });
}

#[test]
fn our_own_bound_holds_for_who_has_none() {
    let tune = |config: &mut ShardConfig| config.limits.in_flight_max = 3;
    on_every_size_with(tune, |rig| {
        rig.connect(&v5("p"));
        for hello in [v311("a"), v5("b"), v5("c").receive_max(100)] {
            rig.connect(&hello);
            rig.subscribe(hello.name(), "t", 1);
            publish_many(rig, "t", 1, 0..10);
            assert_eq!(rig.client(hello.name()).inbox_len(), 3);
            assert_eq!(rig.take_payloads(hello.name()), numbers(0..10));
            rig.cut(hello.name());
        }
    });
}

// [MQTT-3.3.4-7]
#[test]
fn a_client_that_exceeds_our_receive_maximum_is_closed() {
    let tune = |config: &mut ShardConfig| config.limits.receive_max = 2;
    on_every_size_with(tune, |rig| {
        rig.connect(&v5("s"));
        rig.subscribe("s", "t", 0);
        rig.connect(&v5("a"));
        for id in [1, 2] {
            rig.send_message("a", &msg("t", "taken").qos(2).id(id));
            rig.take_first("a", PacketType::PubRec);
        }
        // What is finished at once does not count, and what is repeated is not new.
        rig.publish("a", "t", "taken", 1);
        rig.send_message("a", &msg("t", "taken").qos(2).id(2).dup());
        rig.take_first("a", PacketType::PubRec);
        rig.pub_rel("a", 1);
        rig.take_first("a", PacketType::PubComp);
        rig.send_message("a", &msg("t", "taken").qos(2).id(3));
        rig.take_first("a", PacketType::PubRec);
        rig.send_message("a", &msg("t", "too many").qos(2).id(4));
        rig.thrown_out("a", ReasonCode::ReceiveMaximumExceeded);
        assert_eq!(rig.take_payloads("s"), ["taken"; 4]);
        // Before 5.0 nobody was told a maximum.
        rig.connect(&v311("b"));
        for id in 1..10 {
            rig.send_message("b", &msg("t", "taken").qos(2).id(id));
            rig.take_first("b", PacketType::PubRec);
        }
        rig.take_payloads("s");
    });
}

#[test]
fn the_receive_maximum_starts_anew_with_each_connection() {
    let tune = |config: &mut ShardConfig| config.limits.receive_max = 2;
    on_every_size_with(tune, |rig| {
        rig.connect(&v5("a").lasting());
        for id in [1, 2] {
            rig.send_message("a", &msg("t", "x").qos(2).id(id));
            rig.take_first("a", PacketType::PubRec);
        }
        rig.cut("a");
        rig.connect(&v5("a").lasting());
        // The quota is not preserved across connections: two more may be sent before the PUBRELs.
        for id in [3, 4] {
            rig.send_message("a", &msg("t", "x").qos(2).id(id));
            assert_eq!(rig.expect("a").pub_rec().packet_id.get(), id);
        }
        rig.send_message("a", &msg("t", "x").qos(2).id(5));
        rig.thrown_out("a", ReasonCode::ReceiveMaximumExceeded);
    });
}

// [MQTT-3.2.2-15] [MQTT-4.13.1-1]
#[test]
fn a_packet_larger_than_ours_is_refused_before_it_is_there() {
    let tune = |config: &mut ShardConfig| config.limits.packet_size_max = 100;
    on_every_size_with(tune, |rig| {
        rig.connect(&v5("a"));
        let fits = msg("t", &"x".repeat(94));
        let version = martlet_proto::Version::V5;
        assert_eq!(fits.bytes(version).len(), 100);
        rig.send_message("a", &fits);
        rig.nothing("a");
        // The fixed header is enough.
        rig.send_bytes("a", &[0x30, 99]);
        rig.thrown_out("a", ReasonCode::PacketTooLarge);
        rig.connect(&v311("b"));
        rig.send_bytes("b", &[0x30, 0xFF, 0xFF, 0xFF, 0x7F]);
        rig.closed("b");
        // The CONNECT itself is under the same rule.
        rig.open("c", version, None);
        rig.send_bytes("c", &v5(&"c".repeat(100)).bytes());
        rig.closed("c");
    });
}

// [MQTT-3.1.2-24] [MQTT-3.1.2-25]
#[test]
fn a_message_too_large_for_a_client_is_dropped_and_counted() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        rig.connect(&v5("wide"));
        rig.subscribe("wide", "t", 2);
        rig.connect(&v5("s").packet_size_max(50).receive_max(1));
        rig.subscribe("s", "t", 2);
        let large = "x".repeat(50);
        for qos in 0..=2 {
            rig.publish("p", "t", &large, qos);
            rig.publish("p", "t", "fits", qos);
            // It counts as sent: the next takes its place.
            assert_eq!(rig.take_payloads("s"), ["fits"]);
            assert_eq!(rig.dropped(Drop::PacketTooLarge), u64::from(qos) + 1);
            assert_eq!(rig.take_payloads("wide"), [large.as_str(), "fits"]);
        }
        assert_eq!(rig.stats().in_flight, 0);
        // The fixed header, everything, is counted: 2 + 2 + 1 + 1 + 44 is as much as it takes.
        rig.publish("p", "t", &"x".repeat(44), 0);
        rig.publish("p", "t", &"x".repeat(45), 0);
        assert_eq!(rig.take_payloads("s"), ["x".repeat(44)]);
        rig.take_payloads("wide");
        // Whatever waited in the queue is under the same rule.
        rig.publish("p", "t", "first", 1);
        let first = rig.expect_publish("s");
        for payload in [&large, "second", &large, "third"] {
            rig.publish("p", "t", payload, 1);
        }
        rig.finish_message("s", &first);
        assert_eq!(rig.take_payloads("s"), ["second", "third"]);
        assert_eq!(rig.dropped(Drop::PacketTooLarge), 6);
        rig.take_payloads("wide");
    });
}

// [MQTT-3.1.2-24] [MQTT-3.1.2-25]
#[test]
fn a_narrower_packet_size_holds_for_what_is_sent_again() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        rig.connect(&v5("s").lasting());
        rig.subscribe("s", "t", 2);
        let large = "x".repeat(50);
        for (payload, qos) in [(large.as_str(), 1), ("small", 1), (&large, 2), ("small too", 2)] {
            rig.publish("p", "t", payload, qos);
        }
        for _ in 0..4 {
            rig.expect_publish("s");
        }
        rig.cut("s");
        rig.connect(&v5("s").lasting().packet_size_max(50));
        assert_eq!(rig.take_payloads("s"), ["small", "small too"]);
        assert_eq!(rig.stats().in_flight, 0);
        assert_eq!(rig.dropped(Drop::PacketTooLarge), 2);
    });
}

// [MQTT-3.1.2-24]
#[test]
fn retained_messages_that_are_too_large_are_left_out() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        for (topic, payload) in [("r/a", "x".repeat(90)), ("r/b", "small".to_owned())] {
            rig.publish_message("p", &msg(topic, &payload).qos(1).retain());
        }
        rig.connect(&v5("s").packet_size_max(80));
        rig.subscribe("s", "r/#", 1);
        assert_eq!(rig.take_payloads("s"), ["small"]);
    });
}

#[test]
fn a_full_queue_drops_the_newest_and_counts_them() {
    let tune = |config: &mut ShardConfig| config.limits.queue_messages_max = 5;
    on_every_size_with(tune, |rig| {
        rig.connect(&v5("p"));
        // Away, and connected with a full window: the same bound.
        rig.connect(&v311("away").lasting());
        rig.subscribe("away", "t", 1);
        rig.cut("away");
        rig.connect(&v5("busy").receive_max(1));
        rig.subscribe("busy", "t", 1);
        publish_many(rig, "t", 1, 0..10);
        assert_eq!(rig.stats().queued, 10);
        assert_eq!(rig.dropped(Drop::QueueFull), 5 + 4);
        rig.connect(&v311("away").lasting());
        assert_eq!(rig.take_payloads("away"), numbers(0..5));
        assert_eq!(rig.take_payloads("busy"), numbers(0..6));
        assert_eq!((rig.stats().queued, rig.stats().queued_bytes), (0, 0));
        // There is room again.
        publish_many(rig, "t", 1, 10..12);
        assert_eq!(rig.take_payloads("away"), numbers(10..12));
        assert_eq!(rig.take_payloads("busy"), numbers(10..12));
    });
}

#[test]
fn a_queue_is_bounded_by_bytes_too() {
    let tune = |config: &mut ShardConfig| config.limits.queue_bytes_max = 10_000;
    on_every_size_with(tune, |rig| {
        rig.connect(&v5("p"));
        rig.connect(&v5("s").lasting());
        rig.subscribe("s", "t", 1);
        rig.cut("s");
        rig.publish("p", "t", &"x".repeat(11_000), 1);
        assert_eq!(rig.stats().queued, 0);
        for _ in 0..20 {
            rig.publish("p", "t", &"x".repeat(1000), 1);
        }
        let stats = rig.stats();
        assert!((5..10).contains(&stats.queued), "{}", stats.queued);
        assert!((5000..=10_000).contains(&stats.queued_bytes), "{}", stats.queued_bytes);
        assert_eq!(stats.dropped[Drop::QueueFull as usize] + stats.queued, 21);
    });
}

#[test]
fn what_is_in_flight_is_bounded_by_bytes_too() {
    let tune = |config: &mut ShardConfig| config.limits.queue_bytes_max = 10_000;
    on_every_size_with(tune, |rig| {
        rig.connect(&v5("p"));
        for qos in [1, 2] {
            let name = format!("s{qos}");
            rig.connect(&v5(&name).lasting());
            rig.subscribe(&name, "t", qos);
            // It reads everything and acknowledges nothing.
            for i in 0..30 {
                rig.publish("p", "t", &format!("{i:01000}"), qos);
            }
            let in_flight = rig.client(&name).inbox_len();
            assert!((5..=10).contains(&in_flight), "{in_flight} in flight to {name}");
            let queued = rig.stats().queued as usize;
            assert!((5..=10).contains(&queued), "{queued} queued");
            // All that was taken comes, in order, also over a new connection.
            rig.cut(&name);
            rig.connect(&v5(&name).lasting());
            let got = rig.take_payloads(&name);
            let expected: Vec<_> = (0..in_flight + queued).map(|i| format!("{i:01000}")).collect();
            assert_eq!(got, expected);
            rig.goodbye(&name);
            rig.connect(&v5(&name));
        }
    });
}

#[test]
fn all_queues_together_are_bounded() {
    let tune = |config: &mut ShardConfig| config.limits.queues_bytes_max = 20_000;
    on_every_size_with(tune, |rig| {
        rig.connect(&v5("p"));
        for i in 0..10 {
            let name = format!("s{i}");
            rig.connect(&v5(&name).lasting());
            rig.subscribe(&name, "t", 1);
            rig.cut(&name);
        }
        for _ in 0..20 {
            rig.publish("p", "t", &"x".repeat(1000), 1);
        }
        let stats = rig.stats();
        assert!(stats.queued_bytes <= 20_000 * rig.shards() as u64);
        let lost = stats.dropped[Drop::QueuesFull as usize];
        assert!(lost > 0 && lost + stats.queued == 200, "{lost} + {}", stats.queued);
    });
}

#[test]
fn a_slow_reader_loses_qos_0_and_nothing_else() {
    let tune = |config: &mut ShardConfig| config.limits.outbox_bytes_max = 2000;
    on_every_size_with(tune, |rig| {
        rig.connect(&v5("p"));
        rig.connect(&v5("slow"));
        rig.subscribe("slow", "t/#", 1);
        rig.connect(&v5("quick"));
        rig.subscribe("quick", "t/#", 1);
        rig.take_only("slow", 0);
        for i in 0..100 {
            rig.publish("p", "t/0", &format!("{i:0100}"), 0);
        }
        for i in 0..20 {
            rig.publish("p", "t/1", &i.to_string(), 1);
        }
        assert_eq!(rig.take_payloads("quick").len(), 120);
        let lost = rig.dropped(Drop::OutboxFull);
        assert!((60..100).contains(&lost), "{lost}");
        rig.take_only("slow", usize::MAX);
        let got = rig.take_payloads("slow");
        assert_eq!(got.len() as u64 + lost, 120);
        // A prefix of the QoS 0 messages, and all the others.
        let kept = 100 - lost as usize;
        assert!(got[..kept].iter().enumerate().all(|(i, text)| *text == format!("{i:0100}")));
        assert_eq!(got[kept..], numbers(0..20));
    });
}

#[test]
fn one_message_larger_than_the_outbox_bound_still_goes_out() {
    let tune = |config: &mut ShardConfig| config.limits.outbox_bytes_max = 100;
    on_every_size_with(tune, |rig| {
        rig.connect(&v5("p"));
        rig.connect(&v5("s"));
        rig.subscribe("s", "t", 0);
        rig.publish("p", "t", &"x".repeat(10_000), 0);
        assert_eq!(rig.take_payloads("s").len(), 1);
    });
}

#[test]
fn drops_are_logged_with_their_number() {
    let tune = |config: &mut ShardConfig| config.limits.queue_messages_max = 1;
    on_every_size_with(tune, |rig| {
        rig.connect(&v5("p"));
        rig.connect(&v5("s").lasting());
        rig.subscribe("s", "t", 1);
        rig.cut("s");
        rig.log_lines();
        publish_many(rig, "t", 1, 0..5);
        rig.advance_s(5);
        let lines = rig.log_lines();
        let told: u64 = lines.iter().map(|line| dropped_in(line)).sum();
        assert_eq!(told, 4, "{lines:?}");
        assert!(lines.len() <= 2, "a flood of drops is no flood of lines: {lines:?}");
    });
}

/// The number in a line such as `dropped 4 messages: the client's queue is full (last for "s")`.
fn dropped_in(line: &str) -> u64 {
    let rest = line.strip_prefix("dropped ").unwrap_or_else(|| panic!("{line}"));
    assert!(rest.ends_with(r#"messages: the client's queue is full (last for "s")"#), "{line}");
    rest.split(' ').next().and_then(|count| count.parse().ok()).expect("a number")
}

#[test]
fn deep_topics_are_refused() {
    let tune = |config: &mut ShardConfig| config.limits.topic_levels_max = 3;
    on_every_size_with(tune, |rig| {
        rig.connect(&v5("s"));
        rig.subscribe("s", "#", 0);
        rig.connect(&v5("p"));
        let deep = rig.publish_message("p", &msg("a/b/c/d", "x").qos(1));
        assert!(deep.is_error(), "{deep}");
        rig.publish("p", "a/b/c", "x", 1);
        assert_eq!(rig.take_payloads("s"), ["x"]);
        assert_eq!(rig.subscribe_with("s", &[("+/+/+/#", options(0))], None), [0x8F]);
    });
}

#[test]
fn shared_subscriptions_have_a_bound_of_their_own() {
    on_every_size_with(
        |config| config.limits.shared_subscriptions_max = 2,
        |rig| {
            rig.connect(&v5("s"));
            let filters: Vec<_> = (0..4).map(|i| format!("$share/g{i}/t")).collect();
            let all: Vec<_> = filters.iter().map(|filter| (filter.as_str(), options(1))).collect();
            let quota = ReasonCode::QuotaExceeded as u8;
            assert_eq!(rig.subscribe_with("s", &all, None), [1, 1, quota, quota]);
            rig.subscribe("s", "t", 1);
            rig.unsubscribe("s", &["$share/g0/t"]);
            rig.subscribe("s", "$share/g3/t", 1);
        },
    );
}

#[test]
fn the_filters_of_a_session_are_bounded_in_bytes() {
    on_every_size_with(
        |config| config.limits.subscription_bytes_max = 100,
        |rig| {
            rig.connect(&v5("s"));
            let (long, shared) = (format!("{}/#", "x".repeat(58)), "$share/g/ten/bytes");
            rig.subscribe("s", &long, 1);
            rig.subscribe("s", shared, 1);
            let quota = ReasonCode::QuotaExceeded as u8;
            let too_long = "y".repeat(30);
            let filters = [(too_long.as_str(), options(1)), ("a", options(1))];
            assert_eq!(rig.subscribe_with("s", &filters, None), [quota, 1]);
            rig.unsubscribe("s", &[shared]);
            rig.subscribe("s", &too_long, 1);
            rig.unsubscribe("s", &[&long, &too_long, "a"]);
            rig.subscribe("s", &long, 1);
        },
    );
}

#[test]
fn one_subscribe_is_looked_at_so_far_and_no_further() {
    let tune = |config: &mut ShardConfig| config.limits.subscribe_filters_max = 2;
    on_every_size_with(tune, |rig| {
        rig.connect(&v5("s"));
        let filters = [("a", options(1)), ("b", options(1)), ("c", options(1))];
        assert_eq!(rig.subscribe_with("s", &filters, None), [1, 1, 0x97]);
        assert_eq!(rig.stats().subscriptions, 2);
    });
}

// [MQTT-3.4.2-2] [MQTT-3.5.2-2] [MQTT-3.6.2-2] [MQTT-3.7.2-2] [MQTT-3.9.2-1] [MQTT-3.11.2-1]
// [MQTT-3.14.2-3] [MQTT-3.4.2-3] [MQTT-3.5.2-3] [MQTT-3.6.2-3] [MQTT-3.7.2-3] [MQTT-3.9.2-2]
// [MQTT-3.11.2-2] [MQTT-3.14.2-4] [MQTT-3.1.2-29] [MQTT-3.2.2-19] [MQTT-3.2.2-20] [MQTT-2.2.2-1]
#[test]
fn explanations_do_not_make_a_packet_too_large() {
    let tune = |config: &mut ShardConfig| {
        config.limits.topic_levels_max = 2;
        config.limits.receive_max = 1;
    };
    on_every_size_with(tune, |rig| {
        for hello in [v5("a").packet_size_max(40), v5("b").no_problem_information(), v5("c")] {
            let name = hello.name();
            rig.connect(&hello);
            rig.publish_message(name, &msg("$SYS/x", "refused").qos(1));
            rig.send_message(name, &msg("$SYS/x", "refused").qos(2));
            let got = rig.take_first(name, PacketType::PubRec);
            assert_eq!(got.pub_rec().reason, ReasonCode::NotAuthorized);
            rig.pub_rel(name, 99);
            assert!(rig.take_first(name, PacketType::PubComp).pub_comp().reason.is_error());
            rig.pub_rec(name, 99);
            assert!(rig.take_first(name, PacketType::PubRel).pub_rel().reason.is_error());
            rig.subscribe_with(name, &[("a/b/c", options(0))], None);
            rig.unsubscribe(name, &["a/b/c"]);
            rig.send_message(name, &msg("t", "1").qos(2));
            rig.take_first(name, PacketType::PubRec);
            rig.send_message(name, &msg("t", "2").qos(2));
            rig.thrown_out(name, ReasonCode::ReceiveMaximumExceeded);
        }
    });
}

// [MQTT-3.1.2-24]
#[test]
fn no_answer_is_larger_than_the_client_takes() {
    on_every_size(|rig| {
        rig.connect(&v5("s").packet_size_max(40));
        let names: Vec<String> = (0..60).map(|i| format!("f{i}")).collect();
        let filters: Vec<_> = names.iter().map(|name| (name.as_str(), options(0))).collect();
        rig.give_subscribe("s", &filters, None);
        rig.settle();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        rig.give_unsubscribe("s", &names);
        rig.settle();
        // The client's own fault: what does not fit is not sent, and the connection goes on.
        rig.send("s", Packet::PingReq);
        assert_eq!(rig.expect("s").packet(), Packet::PingResp);
        rig.nothing("s");
    });
}
