//! Queues of durable sessions: a window in memory for who is there, the rest in the store, in
//! order, whatever happens between a question and its answer.

use std::sync::{Arc, Weak};

use martlet_engine::store::StoreOp;
use martlet_engine::{Drop, Message, ShardConfig};

use crate::rig::{Rig, entries_of, msg, on_every_size, on_every_size_with, on_sizes, v5};

/// Four messages of each queue are in memory.
fn narrow(config: &mut ShardConfig) {
    config.limits.window_messages = 4;
}

/// A durable session that is away, and a publisher that has sent it so many messages.
fn start(rig: &mut Rig, messages: usize, qos: u8) {
    rig.connect(&v5("s").lasting());
    rig.subscribe("s", "t", 2);
    rig.cut("s");
    rig.connect(&v5("p"));
    publish(rig, 0..messages, qos);
}

fn publish(rig: &mut Rig, numbers: std::ops::Range<usize>, qos: u8) {
    for i in numbers {
        rig.publish("p", "t", &i.to_string(), qos);
    }
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|i| i.to_string()).collect()
}

/// The messages that batches wrote; the batches themselves are forgotten.
fn written(rig: &mut Rig) -> Vec<Weak<Message>> {
    let batches = rig.batches();
    let entries = entries_of(&batches);
    let weak = entries.iter().map(|(_, op)| match op {
        StoreOp::PutEntry { message, .. } => Arc::downgrade(message),
        _ => unreachable!("only these"),
    });
    weak.collect()
}

fn alive(messages: &[Weak<Message>]) -> usize {
    messages.iter().filter(|message| message.strong_count() > 0).count()
}

/// The session's gauges and its place in the store are empty.
fn is_empty(rig: &mut Rig) {
    let stats = rig.stats();
    assert_eq!((stats.queued, stats.queued_bytes, stats.in_flight), (0, 0, 0));
    assert_eq!(rig.stored("s"), ["session 86400s", "subscribed t"]);
}

#[test]
fn nothing_is_in_memory_for_who_is_away() {
    on_every_size(|rig| {
        start(rig, 0, 1);
        rig.hold();
        for i in 0..20 {
            rig.give_message("p", &msg("t", &i.to_string()).qos(1 + i % 2));
        }
        let messages = written(rig);
        assert_eq!((messages.len(), alive(&messages)), (20, 20), "the store has them");
        rig.commit();
        assert_eq!(alive(&messages), 0);
        assert_eq!(rig.stats().queued, 20);
        rig.ignore_the_rest();
    });
}

#[test]
fn a_window_is_in_memory_for_who_is_slow() {
    on_every_size_with(narrow, |rig| {
        rig.connect(&v5("s").lasting().receive_max(2));
        rig.subscribe("s", "t", 1);
        rig.connect(&v5("p"));
        rig.hold();
        for i in 0..20 {
            rig.give_message("p", &msg("t", &i.to_string()).qos(1));
        }
        let messages = written(rig);
        rig.commit();
        assert_eq!(alive(&messages), 2 + 4, "in flight and the window");
        assert_eq!((rig.stats().in_flight, rig.stats().queued), (2, 18));
        // With the connection the window goes.
        rig.cut("s");
        rig.commit();
        let _ = rig.batches();
        assert_eq!(alive(&messages), 2);
        assert_eq!((rig.stats().in_flight, rig.stats().queued), (2, 18));
        rig.go_on();
        rig.connect(&v5("s").lasting().receive_max(2));
        assert_eq!(rig.take_payloads("s"), numbers(0..20));
        is_empty(rig);
        rig.ignore_the_rest();
    });
}

#[test]
fn the_window_is_bounded_in_bytes_too() {
    let tune = |config: &mut ShardConfig| config.limits.window_bytes = 1000;
    on_every_size_with(tune, |rig| {
        rig.connect(&v5("s").lasting().receive_max(1));
        rig.subscribe("s", "t", 1);
        rig.connect(&v5("p"));
        rig.hold();
        for i in 0..20 {
            rig.give_message("p", &msg("t", &format!("{i:0200}")).qos(1));
        }
        let messages = written(rig);
        rig.commit();
        // A message counts some bytes more than its data.
        assert_eq!(alive(&messages), 1 + 4);
        rig.go_on();
        assert_eq!(rig.take_payloads("s").len(), 20);
        is_empty(rig);
        rig.ignore_the_rest();
    });
}

#[test]
fn what_waits_is_read_in_paces() {
    on_every_size_with(narrow, |rig| {
        start(rig, 10, 1);
        rig.hold();
        rig.call(&v5("s").lasting().receive_max(1));
        rig.commit();
        rig.expect("s").conn_ack();
        for (from, taken) in [(1, 3), (5, 4), (9, 3)] {
            let questions = rig.questions();
            assert_eq!(questions.len(), 1);
            assert_eq!((questions[0].from, questions[0].messages_max), (from, 4));
            assert_eq!(questions[0].bytes_max, 256 * 1024);
            rig.answer_loads(true);
            // Half of the window has to go before more is asked for.
            for _ in 0..taken {
                rig.take_message("s");
            }
        }
        rig.go_on();
        rig.nothing("s");
        is_empty(rig);
    });
}

#[test]
fn order_is_kept_while_messages_come_and_go() {
    for (window, receive_max) in [(1, 1), (2, 3), (4, 2), (5, 100)] {
        for qos in [1, 2] {
            on_sizes(
                &[1, 2, 8],
                move |config| config.limits.window_messages = window,
                |rig| {
                    start(rig, 10, qos);
                    rig.connect(&v5("s").lasting().receive_max(receive_max));
                    let mut got = Vec::new();
                    for i in 10..40 {
                        rig.send_message("p", &msg("t", &i.to_string()).qos(qos));
                        if i % 3 == 0 {
                            let message = rig.take_message("s");
                            got.push(message.text().to_owned());
                        }
                        if i % 11 == 0 {
                            let before = got.len();
                            got.extend(rig.take_payloads("s"));
                            assert!(got.len() > before);
                        }
                    }
                    got.extend(rig.take_payloads("s"));
                    assert_eq!(got, numbers(0..40));
                    is_empty(rig);
                    rig.ignore_the_rest();
                },
            );
        }
    }
}

/// A narrow window, ten messages in the store, the first four asked for; then `while_open` happens,
/// and the answer comes, as of the question or as of now.
fn with_an_open_question(qos: u8, while_open: impl Fn(&mut Rig)) {
    for late in [false, true] {
        on_every_size_with(narrow, |rig| {
            start(rig, 10, qos);
            rig.hold();
            rig.call(&v5("s").lasting().receive_max(2));
            rig.commit();
            rig.expect("s").conn_ack();
            assert_eq!(rig.questions().len(), 1);
            while_open(rig);
            rig.answer_loads(late);
            rig.go_on();
            assert_eq!(rig.take_payloads("s"), numbers(0..13));
            is_empty(rig);
            rig.ignore_the_rest();
        });
    }
}

#[test]
fn messages_may_come_while_a_question_is_open() {
    for qos in [1, 2] {
        with_an_open_question(qos, |rig| {
            for i in 10..13 {
                rig.send_message("p", &msg("t", &i.to_string()).qos(qos));
            }
        });
    }
}

#[test]
fn a_short_queue_may_grow_while_a_question_is_open() {
    for late in [false, true] {
        on_every_size(|rig| {
            start(rig, 2, 1);
            rig.hold();
            rig.call(&v5("s").lasting());
            rig.commit();
            rig.expect("s").conn_ack();
            rig.send_message("p", &msg("t", "2").qos(1));
            rig.send_message("p", &msg("t", "3").qos(1));
            // It says that nothing follows; as of its time, that is true.
            rig.answer_loads(late);
            rig.commit();
            rig.go_on();
            assert_eq!(rig.take_payloads("s"), numbers(0..4));
            is_empty(rig);
            assert_eq!(rig.dropped(Drop::Damaged), 0);
            rig.ignore_the_rest();
        });
    }
}

#[test]
fn an_answer_for_a_connection_that_is_gone_is_of_no_use() {
    on_every_size_with(narrow, |rig| {
        start(rig, 10, 1);
        rig.hold();
        rig.call(&v5("s").lasting().receive_max(1));
        rig.commit();
        rig.expect("s").conn_ack();
        rig.answer_loads(true);
        // Three are taken: the window has one, and the next are asked for.
        for i in 0..3 {
            assert_eq!(rig.take_message("s").text(), i.to_string());
        }
        assert_eq!(rig.questions().len(), 1);
        rig.cut("s");
        rig.call(&v5("s").lasting().receive_max(1));
        rig.commit();
        rig.expect("s").conn_ack();
        assert_eq!(rig.questions().len(), 1, "one question at a time");
        rig.answer_loads(true);
        rig.go_on();
        assert_eq!(rig.take_payloads("s"), numbers(3..10));
        is_empty(rig);
    });
}

#[test]
fn an_answer_that_comes_while_nobody_is_there_is_not_kept_in_memory() {
    on_every_size_with(narrow, |rig| {
        start(rig, 10, 1);
        rig.hold();
        rig.call(&v5("s").lasting().receive_max(1));
        rig.commit();
        rig.expect("s").conn_ack();
        rig.cut("s");
        rig.answer_loads(true);
        rig.commit();
        assert_eq!(rig.stats().queued, 10);
        // Whoever comes asks again, from the start.
        rig.call(&v5("s").lasting().receive_max(1));
        rig.commit();
        rig.expect("s").conn_ack();
        let questions = rig.questions();
        assert_eq!(questions.iter().map(|question| question.from).collect::<Vec<_>>(), [1]);
        rig.go_on();
        assert_eq!(rig.take_payloads("s"), numbers(0..10));
        is_empty(rig);
    });
}

#[test]
fn a_qos_2_message_is_not_read_back_and_sent_before_it_is_durable() {
    for late in [false, true] {
        on_sizes(
            &[2, 8],
            |_| {},
            |rig| {
                let (p, s) = (rig.name_at("p", 0), rig.name_at("s", 1));
                rig.connect(&v5(&s).lasting());
                rig.subscribe(&s, "t", 2);
                rig.cut(&s);
                rig.connect(&v5("q"));
                rig.publish("q", "t", "first", 1);
                rig.connect(&v5(&p).lasting());
                rig.hold();
                rig.call(&v5(&s).lasting());
                rig.commit();
                rig.expect(&s).conn_ack();
                // The question is open; the message is part of an exchange that is not durable.
                rig.send_message(&p, &msg("t", "m").qos(2));
                rig.answer_loads(late);
                assert_eq!(rig.take_message(&s).text(), "first");
                rig.commit_shard(0);
                rig.commit_shard(1);
                rig.answer_loads(late);
                rig.nothing(&s);
                rig.go_on();
                assert_eq!(rig.take_message(&s).text(), "m");
                assert_eq!((rig.stats().queued, rig.stats().queued_bytes), (0, 0));
                rig.ignore_the_rest();
            },
        );
    }
}

// [MQTT-3.3.2-5]
#[test]
fn what_expires_in_the_store_is_removed_when_it_is_read() {
    on_every_size(|rig| {
        start(rig, 0, 1);
        for (payload, seconds) in [("a", 10), ("b", 100), ("c", 10)] {
            let message = msg("t", payload).qos(1).expiry_s(seconds);
            assert!(!rig.publish_message("p", &message).is_error());
        }
        rig.advance_s(10);
        rig.connect(&v5("s").lasting());
        let message = rig.take_message("s");
        assert_eq!((message.text(), message.expiry_s), ("b", Some(90)));
        rig.nothing("s");
        assert_eq!(rig.dropped(Drop::Expired), 2);
        is_empty(rig);
    });
}

#[test]
fn what_expires_in_the_window_is_removed() {
    on_every_size(|rig| {
        rig.connect(&v5("s").lasting().receive_max(1));
        rig.subscribe("s", "t", 1);
        rig.connect(&v5("p"));
        for payload in ["a", "b", "c"] {
            rig.publish_message("p", &msg("t", payload).qos(1).expiry_s(10));
        }
        rig.advance_s(10);
        assert_eq!(rig.take_payloads("s"), ["a"]);
        assert_eq!(rig.dropped(Drop::Expired), 2);
        is_empty(rig);
    });
}

#[test]
fn messages_that_cannot_be_read_are_counted_and_the_rest_goes_on() {
    for damaged in [&[3usize][..], &[0], &[9], &[0, 1, 2, 3], &[2, 3, 4, 5, 6], &[0, 9, 4]] {
        on_every_size_with(narrow, |rig| {
            start(rig, 10, 1);
            for i in damaged {
                rig.damage("s", &i.to_string());
            }
            rig.connect(&v5("s").lasting().receive_max(3));
            let left = (0..10).filter(|i| !damaged.contains(i)).map(|i| i.to_string());
            assert_eq!(rig.take_payloads("s"), left.collect::<Vec<_>>());
            assert_eq!(rig.dropped(Drop::Damaged), damaged.len() as u64);
            is_empty(rig);
            rig.send_message("p", &msg("t", "10").qos(1));
            assert_eq!(rig.take_payloads("s"), numbers(10..11));
            rig.expect("p").pub_ack();
        });
    }
}

#[test]
fn messages_that_are_gone_without_a_trace_are_counted_too() {
    for gone in [&[3usize][..], &[9], &[0, 1, 2, 3], &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]] {
        on_every_size_with(narrow, |rig| {
            start(rig, 10, 1);
            for i in gone {
                rig.lose("s", &i.to_string());
            }
            rig.connect(&v5("s").lasting().receive_max(3));
            let left = (0..10).filter(|i| !gone.contains(i)).map(|i| i.to_string());
            assert_eq!(rig.take_payloads("s"), left.collect::<Vec<_>>());
            assert_eq!(rig.dropped(Drop::Damaged), gone.len() as u64);
            is_empty(rig);
            rig.send_message("p", &msg("t", "10").qos(1));
            assert_eq!(rig.take_payloads("s"), numbers(10..11));
            rig.expect("p").pub_ack();
        });
    }
}

#[test]
fn messages_that_come_while_an_answer_is_short_are_not_counted_as_lost() {
    for late in [false, true] {
        on_every_size(|rig| {
            start(rig, 3, 1);
            rig.lose("s", "1");
            rig.hold();
            rig.call(&v5("s").lasting());
            rig.commit();
            rig.expect("s").conn_ack();
            rig.send_message("p", &msg("t", "3").qos(1));
            rig.answer_loads(late);
            rig.go_on();
            assert_eq!(rig.take_payloads("s"), ["0", "2", "3"]);
            assert_eq!(rig.dropped(Drop::Damaged), 1);
            is_empty(rig);
            rig.ignore_the_rest();
        });
    }
}

#[test]
fn what_a_write_makes_room_for_is_asked_of_the_store() {
    let tune = |config: &mut ShardConfig| {
        (config.limits.outbox_pause_bytes, config.limits.outbox_low_bytes) = (1000, 400);
    };
    on_every_size_with(tune, |rig| {
        rig.connect(&v5("s").lasting());
        rig.subscribe("s", "t", 2);
        rig.subscribe("s", "z", 0);
        rig.connect(&v5("p"));
        rig.take_only("s", 0);
        rig.publish("p", "z", &"x".repeat(2000), 0);
        rig.publish("p", "t", "m", 2);
        assert_eq!(rig.stats().queued, 1);
        // The client reads again; the shard notices with its next write, at the end of a turn.
        rig.read_again("s");
        rig.publish("p", "z", "y", 0);
        assert_eq!(rig.take_payloads("s").len(), 3);
        is_empty_but(rig, "z");
    });
}

fn is_empty_but(rig: &mut Rig, filter: &str) {
    assert_eq!(rig.stats().queued, 0);
    let subscribed = format!("subscribed {filter}");
    assert_eq!(rig.stored("s"), ["session 86400s", "subscribed t", &subscribed]);
}
