//! Full queues: what is dropped or refused, who is told, and that each drop is counted.

use martlet_engine::{Drop, QueueFull, ShardConfig};
use martlet_proto::{PacketType, ReasonCode};

use crate::rig::{Rig, msg, on_every_size, on_every_size_with, on_sizes, v5, v311};

/// What a message with the topic `t` and a payload of one byte counts in a queue.
const COST: usize = 2 + 64;

fn by_count(config: &mut ShardConfig) {
    config.limits.stored_queue_messages_max = 3;
}

fn by_bytes(config: &mut ShardConfig) {
    config.limits.stored_queue_bytes_max = 3 * COST;
}

fn oldest(config: &mut ShardConfig) {
    config.limits.queue_full = QueueFull::DropOldest;
}

fn refuse(config: &mut ShardConfig) {
    config.limits.queue_full = QueueFull::Refuse;
}

/// A durable session that is away, and a publisher.
fn start(rig: &mut Rig) {
    rig.connect(&v5("s").lasting());
    rig.subscribe("s", "t", 2);
    rig.cut("s");
    rig.connect(&v5("p"));
}

fn publish(rig: &mut Rig, payloads: &str, qos: u8) {
    for payload in payloads.chars() {
        rig.publish("p", "t", &payload.to_string(), qos);
    }
}

fn back(rig: &mut Rig) -> String {
    rig.connect(&v5("s").lasting());
    let got = rig.take_payloads("s").concat();
    let stats = rig.stats();
    assert_eq!((stats.queued, stats.queued_bytes), (0, 0));
    assert_eq!(rig.stored("s"), ["session 86400s", "subscribed t"]);
    got
}

#[test]
fn new_messages_are_dropped_beyond_a_number() {
    on_every_size_with(by_count, |rig| {
        start(rig);
        publish(rig, "abcde", 1);
        assert_eq!((rig.stats().queued, rig.dropped(Drop::QueueFull)), (3, 2));
        assert_eq!(rig.stored("s").len(), 2 + 3);
        assert_eq!(back(rig), "abc");
    });
}

#[test]
fn new_messages_are_dropped_beyond_a_size() {
    on_every_size_with(by_bytes, |rig| {
        start(rig);
        publish(rig, "abcde", 2);
        assert_eq!((rig.stats().queued, rig.dropped(Drop::QueueFull)), (3, 2));
        assert_eq!(back(rig), "abc");
    });
}

#[test]
fn new_messages_are_dropped_beyond_the_size_of_all_queues() {
    let tune = |config: &mut ShardConfig| config.limits.stored_queues_bytes_max = 4 * COST;
    on_every_size_with(tune, |rig| {
        start(rig);
        // Of the same shard.
        let other = rig.name_at("o", rig.home("s"));
        rig.connect(&v5(&other).lasting());
        rig.subscribe(&other, "t", 1);
        rig.cut(&other);
        publish(rig, "abc", 1);
        assert_eq!((rig.stats().queued, rig.dropped(Drop::QueuesFull)), (4, 2));
        assert_eq!(back_of_two(rig), "ab");
        // What is in flight or gone makes room.
        rig.cut("s");
        publish(rig, "d", 1);
        assert_eq!((rig.stats().queued, rig.dropped(Drop::QueuesFull)), (4, 2));
    });
}

fn back_of_two(rig: &mut Rig) -> String {
    rig.connect(&v5("s").lasting());
    rig.take_payloads("s").concat()
}

#[test]
fn a_queue_in_memory_and_in_the_store_is_one_queue() {
    let tune = |config: &mut ShardConfig| {
        by_count(config);
        config.limits.window_messages = 2;
    };
    on_every_size_with(tune, |rig| {
        rig.connect(&v5("s").lasting().receive_max(1));
        rig.subscribe("s", "t", 1);
        rig.connect(&v5("p"));
        publish(rig, "abcdefg", 1);
        assert_eq!((rig.stats().in_flight, rig.stats().queued), (1, 3));
        assert_eq!(rig.dropped(Drop::QueueFull), 3);
        assert_eq!(rig.take_payloads("s").concat(), "abcd");
    });
}

#[test]
fn the_oldest_are_dropped_of_who_is_away() {
    for limit in [by_count as fn(&mut ShardConfig), by_bytes] {
        let tune = move |config: &mut ShardConfig| {
            oldest(config);
            limit(config);
        };
        on_every_size_with(tune, |rig| {
            start(rig);
            publish(rig, "abcdef", 1);
            assert_eq!((rig.stats().queued, rig.dropped(Drop::QueueOldest)), (3, 3));
            assert_eq!(rig.stored("s").len(), 2 + 3);
            assert_eq!(back(rig), "def");
        });
    }
}

#[test]
fn the_oldest_are_dropped_of_who_is_slow() {
    let tune = |config: &mut ShardConfig| {
        oldest(config);
        by_count(config);
        config.limits.window_messages = 2;
    };
    on_every_size_with(tune, |rig| {
        rig.connect(&v5("s").lasting().receive_max(1));
        rig.subscribe("s", "t", 1);
        rig.connect(&v5("p"));
        publish(rig, "abcdefg", 1);
        assert_eq!((rig.stats().in_flight, rig.stats().queued), (1, 3));
        assert_eq!(rig.dropped(Drop::QueueOldest), 3);
        assert_eq!(rig.take_payloads("s").concat(), "aefg");
        assert_eq!(rig.stored("s"), ["session 86400s", "subscribed t"]);
    });
}

#[test]
fn dropping_the_oldest_keeps_nothing_in_memory_for_who_is_away() {
    let tune = |config: &mut ShardConfig| {
        oldest(config);
        by_count(config);
    };
    on_every_size_with(tune, |rig| {
        start(rig);
        publish(rig, "abcdef", 1);
        rig.hold();
        rig.call(&v5("s").lasting());
        rig.commit();
        rig.expect("s").conn_ack();
        assert_eq!(rig.questions().len(), 1, "they are read when they are wanted");
        rig.go_on();
        assert_eq!(rig.take_payloads("s").concat(), "def");
    });
}

#[test]
fn publishers_are_told_of_a_full_queue() {
    for limit in [by_count as fn(&mut ShardConfig), by_bytes] {
        let tune = move |config: &mut ShardConfig| {
            refuse(config);
            limit(config);
        };
        on_every_size_with(tune, |rig| {
            start(rig);
            for n in 0..2 {
                let p = rig.name_at(&format!("p{n}-"), n);
                rig.connect(&v5(&p));
            }
            publish(rig, "abc", 1);
            for n in 0..2 {
                let p = rig.name_at(&format!("p{n}-"), n);
                for qos in [1, 2] {
                    rig.send_message(&p, &msg("t", "d").qos(qos));
                    let got = rig.expect(&p);
                    let reason = match qos {
                        1 => got.pub_ack().reason,
                        _ => got.pub_rec().reason,
                    };
                    assert_eq!(reason, ReasonCode::QuotaExceeded, "QoS {qos}");
                }
            }
            assert_eq!((rig.stats().queued, rig.dropped(Drop::QueueFull)), (3, 4));
            assert_eq!(back(rig), "abc");
        });
    }
}

#[test]
fn a_refused_acknowledgement_keeps_its_place() {
    let tune = |config: &mut ShardConfig| {
        refuse(config);
        by_count(config);
    };
    on_every_size_with(tune, |rig| {
        start(rig);
        rig.connect(&v5("d").lasting());
        rig.subscribe("d", "t", 1);
        rig.cut("d");
        publish(rig, "abc", 1);
        rig.connect(&v5("d").lasting());
        rig.take_payloads("d");
        // `d` has room, `s` has not.
        rig.cut("d");
        rig.hold();
        for id in [11, 12] {
            rig.send_message("p", &msg("t", "x").qos(1).id(id));
        }
        rig.nothing("p");
        rig.commit();
        for id in [11, 12] {
            let got = rig.expect("p");
            let ack = got.pub_ack();
            assert_eq!((ack.packet_id.get(), ack.reason), (id, ReasonCode::QuotaExceeded));
        }
        rig.go_on();
        assert_eq!(rig.stats().queued, 3 + 2);
    });
}

// [MQTT-4.3.3-9]
#[test]
fn a_refused_identifier_is_free_again() {
    let tune = |config: &mut ShardConfig| {
        refuse(config);
        by_count(config);
    };
    on_every_size_with(tune, |rig| {
        start(rig);
        publish(rig, "abc", 1);
        let hellos = |rig: &Rig| {
            let name = |prefix: &str, n| rig.name_at(prefix, n);
            let (a, b, c, d) = (name("a", 0), name("b", 1), name("c", 0), name("d", 1));
            [v5(&a), v5(&b), v5(&c).lasting(), v5(&d).lasting()]
        };
        let hellos = hellos(rig);
        for hello in &hellos {
            let name = hello.name();
            rig.connect(hello);
            rig.send_message(name, &msg("t", "x").qos(2).id(7));
            assert_eq!(rig.expect(name).pub_rec().reason, ReasonCode::QuotaExceeded);
            assert!(!rig.stored(name).contains(&"incoming 7".to_owned()));
        }
        assert_eq!(back(rig), "abc");
        for hello in &hellos {
            let name = hello.name();
            rig.send_message(name, &msg("t", name).qos(2).id(7));
            assert_eq!(
                rig.take_first(name, PacketType::PubRec).pub_rec().reason,
                ReasonCode::Success
            );
            assert_eq!(rig.take_payloads("s"), [name]);
        }
    });
}

#[test]
fn publishers_that_cannot_be_told_are_disconnected() {
    let tune = |config: &mut ShardConfig| {
        refuse(config);
        by_count(config);
    };
    on_every_size_with(tune, |rig| {
        start(rig);
        publish(rig, "abc", 1);
        for n in 0..2 {
            for qos in [1, 2] {
                for hello in [v311(""), v311("").lasting()] {
                    let p = rig.name_at(&format!("q{n}{qos}"), n);
                    let hello = hello.id(&p);
                    let hello = crate::rig::named(hello, &p);
                    rig.connect(&hello);
                    rig.send_message(&p, &msg("t", "d").qos(qos).id(4));
                    rig.closed(&p);
                }
            }
        }
        assert_eq!(rig.dropped(Drop::QueueFull), 8);
        assert_eq!(back(rig), "abc");
        // The client sends again, and now there is room.
        let p = rig.name_at("q02", 0);
        rig.connect(&crate::rig::named(v311(""), &p).id(&p).lasting());
        rig.send_message(&p, &msg("t", "d").qos(2).id(4).dup());
        rig.expect(&p).pub_rec();
        assert_eq!(rig.take_payloads("s"), ["d"]);
    });
}

#[test]
fn queues_in_memory_refuse_as_well() {
    let tune = |config: &mut ShardConfig| {
        refuse(config);
        config.store = false;
        config.limits.queue_messages_max = 3;
    };
    on_every_size_with(tune, |rig| {
        start(rig);
        publish(rig, "abc", 1);
        for qos in [1, 2] {
            rig.send_message("p", &msg("t", "d").qos(qos).id(7));
            let got = rig.expect("p");
            let reason = if qos == 1 { got.pub_ack().reason } else { got.pub_rec().reason };
            assert_eq!(reason, ReasonCode::QuotaExceeded);
        }
        rig.connect(&v5("s").lasting());
        assert_eq!(rig.take_payloads("s").concat(), "abc");
        rig.send_message("p", &msg("t", "d").qos(2).id(7));
        assert_eq!(rig.expect("p").pub_rec().reason, ReasonCode::Success);
        assert_eq!(rig.take_payloads("s"), ["d"]);
    });
}

#[test]
fn a_full_queue_refuses_nobody_unless_told_to() {
    on_every_size(|rig| {
        start(rig);
        publish(rig, "abc", 1);
        assert_eq!(back(rig), "abc");
    });
}

#[test]
fn a_message_that_a_join_made_can_be_the_oldest() {
    let tune = |config: &mut ShardConfig| {
        oldest(config);
        by_count(config);
    };
    on_sizes(&[2, 8], tune, |rig| {
        let (p, s) = (rig.name_at("p", 0), rig.name_at("s", 1));
        rig.connect(&v5(&s).lasting());
        rig.subscribe(&s, "t", 2);
        rig.cut(&s);
        rig.connect(&v5(&p).lasting());
        rig.hold();
        for payload in ["a", "b", "c", "d", "e"] {
            rig.send_message(&p, &msg("t", payload).qos(2));
        }
        rig.nothing(&p);
        rig.go_on();
        rig.connect(&v5(&s).lasting());
        assert_eq!(rig.take_payloads(&s).concat(), "cde");
        assert_eq!(rig.dropped(Drop::QueueOldest), 2);
        rig.ignore_the_rest();
    });
}
