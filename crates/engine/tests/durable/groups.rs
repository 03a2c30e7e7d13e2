//! Share groups with durable members: what a member had when its session ended goes to the others,
//! and the session is gone for good only when it is safe there.

use martlet_engine::store::StoreHealth;
use martlet_engine::{Drop, ShardConfig};
use martlet_proto::{PacketType, ReasonCode};

use crate::rig::{Rig, msg, on_every_size, on_every_size_with, on_sizes, options, v5};

const SHARE: &str = "$share/g/t";

/// A durable member that is away with so many messages of its group; then another member joins.
fn start(rig: &mut Rig, messages: usize) {
    rig.connect(&v5("a").expiry_s(1000));
    rig.subscribe("a", SHARE, 1);
    rig.cut("a");
    rig.connect(&v5("p"));
    for i in 0..messages {
        rig.publish("p", "t", &i.to_string(), 1);
    }
    rig.connect(&v5("b").lasting());
    rig.subscribe("b", SHARE, 1);
    rig.cut("b");
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|i| i.to_string()).collect()
}

/// What `b` gets when it comes.
fn back(rig: &mut Rig) -> Vec<String> {
    rig.connect(&v5("b").lasting());
    let got = rig.take_payloads("b");
    let stats = rig.stats();
    assert_eq!((stats.queued, stats.queued_bytes, stats.in_flight), (0, 0, 0));
    got
}

// [MQTT-4.8.2-3]
#[test]
fn a_durable_member_that_is_away_keeps_its_share() {
    on_every_size(|rig| {
        start(rig, 3);
        rig.connect(&v5("a").lasting());
        assert_eq!(rig.take_payloads("a"), numbers(0..3));
        assert_eq!(back(rig), numbers(0..0));
    });
}

#[test]
fn a_session_that_expires_ends_when_its_share_is_safe_elsewhere() {
    on_every_size(|rig| {
        start(rig, 3);
        rig.hold();
        rig.advance_s(1000);
        assert_eq!(rig.stats().sessions, 2, "here it is gone at once");
        assert_eq!(rig.ops(), ["session a 0s away"]);
        assert_eq!(rig.questions().len(), 0, "not before all of it is safe where it is");
        rig.commit();
        rig.answer_loads(true);
        assert_eq!(rig.ops(), ["entry b 0 qos 1", "entry b 1 qos 1", "entry b 2 qos 1"]);
        assert_eq!(rig.stored("a").len(), 1 + 1 + 3);
        rig.commit();
        assert_eq!(rig.ops(), ["end a"]);
        rig.go_on();
        assert_eq!(rig.stored("a").len(), 0);
        assert_eq!(back(rig), numbers(0..3));
    });
}

#[test]
fn a_long_queue_is_given_back_piece_by_piece() {
    on_every_size(|rig| {
        start(rig, 600);
        rig.advance_s(1000);
        assert_eq!(rig.stored("a").len(), 0);
        assert_eq!(back(rig), numbers(0..600));
    });
}

#[test]
fn what_is_in_flight_and_in_memory_is_given_back_as_well() {
    let tune = |config: &mut ShardConfig| config.limits.window_messages = 2;
    on_every_size_with(tune, |rig| {
        start(rig, 0);
        rig.connect(&v5("a").expiry_s(1000).receive_max(2));
        for i in 0..8 {
            rig.send_message("p", &msg("t", &i.to_string()).qos(1));
        }
        rig.subscribe("a", SHARE, 1);
        let _ = rig.client("a");
        for i in 8..16 {
            rig.send_message("p", &msg("t", &i.to_string()).qos(1));
        }
        rig.ignore_the_rest();
        rig.cut("a");
        rig.advance_s(1000);
        assert_eq!(rig.stored("a").len(), 0);
        let mut got: Vec<usize> = back(rig).iter().map(|text| text.parse().expect("one")).collect();
        got.sort_unstable();
        assert_eq!(got, (0..16).collect::<Vec<_>>());
    });
}

#[test]
fn a_clean_start_gives_back_what_the_old_session_had() {
    let tune = |config: &mut ShardConfig| config.limits.window_messages = 4;
    on_every_size_with(tune, |rig| {
        start(rig, 10);
        rig.connect(&v5("a").expiry_s(5));
        assert_eq!(rig.stored("a"), ["session 5s"]);
        assert_eq!(back(rig), numbers(0..10));
    });
}

// [MQTT-3.1.2-4] [MQTT3-3.1.2-6]
#[test]
fn an_old_session_that_is_given_back_is_not_resumed_after_a_kill() {
    for clean in [v5("a"), v5("a").expiry_s(1000)] {
        for shards in [1, 8] {
            on_every_size(|rig| {
                start(rig, 3);
                rig.hold();
                rig.call(&clean);
                rig.nothing("a");
                rig.commit();
                assert!(!rig.expect("a").conn_ack().session_present);
                // The question for what groups get back has no answer yet.
                assert_eq!(rig.questions().len(), 1);
                rig.goodbye("a");
                rig.commit();
                rig.kill(shards, 0);
                let lasts = clean.bytes() != v5("a").bytes();
                assert_eq!(rig.connect(&v5("a").clean(false).expiry_s(50)), lasts);
                rig.advance_s(10);
                rig.connect(&v5("p"));
                rig.send_message("p", &msg("t", "new").qos(1));
                rig.nothing("a");
                assert_eq!(rig.stored("a"), ["session 50s"]);
                rig.connect(&v5("b").lasting());
                assert_eq!(rig.take_payloads("b"), ["0", "1", "2", "new"]);
                rig.ignore_the_rest();
            });
        }
    }
}

/// The session has an open question when it ends; the answers come in this order.
fn with_an_open_question(first: usize, late: bool) {
    let tune = |config: &mut ShardConfig| config.limits.window_messages = 4;
    on_every_size_with(tune, |rig| {
        start(rig, 10);
        rig.hold();
        rig.call(&v5("a").clean(false).expiry_s(1000).receive_max(1));
        rig.commit();
        rig.expect("a").conn_ack();
        assert_eq!(rig.questions().len(), 1);
        // Clean Start: it ends before the answer.
        rig.call(&v5("a2").id("a").expiry_s(1000));
        rig.thrown_out("a", ReasonCode::SessionTakenOver);
        rig.commit();
        rig.expect("a2").conn_ack();
        if rig.questions().len() > first {
            rig.answer_load(first, late);
        }
        rig.answer_loads(late);
        rig.commit();
        rig.go_on();
        assert_eq!(rig.stored("a"), ["session 1000s"]);
        assert_eq!(back(rig), numbers(0..10), "each once");
    });
}

#[test]
fn an_answer_for_the_session_that_has_ended_is_not_taken_for_another() {
    for late in [false, true] {
        for first in [0, 1] {
            with_an_open_question(first, late);
        }
    }
}

#[test]
fn what_cannot_be_read_does_not_keep_the_rest_from_being_given_back() {
    for damaged in [0..2, 1..3, 0..256, 0..300, 255..257] {
        on_sizes(
            &[1, 2],
            |_| {},
            |rig| {
                start(rig, 400);
                for i in damaged.clone() {
                    rig.damage("a", &i.to_string());
                }
                rig.advance_s(1000);
                assert_eq!(rig.stored("a").len(), 0);
                assert_eq!(back(rig).len(), 400 - damaged.len());
                assert_eq!(rig.dropped(Drop::Damaged), damaged.len() as u64);
            },
        );
    }
}

#[test]
fn what_has_expired_is_not_given_back() {
    on_every_size(|rig| {
        start(rig, 0);
        rig.connect(&v5("a").expiry_s(1000));
        rig.subscribe("a", SHARE, 1);
        rig.cut("a");
        for (payload, seconds) in [("x", 10), ("y", 5000), ("x", 10), ("y", 5000)] {
            rig.publish_message("p", &msg("t", payload).qos(1).expiry_s(seconds));
        }
        rig.advance_s(1000);
        rig.connect(&v5("b").lasting());
        let mut got = rig.take_payloads("b");
        got.dedup();
        assert_eq!(got, ["y"]);
        assert_eq!(rig.stored("a").len(), 0);
    });
}

#[test]
fn without_another_member_the_session_ends_all_the_same() {
    on_every_size(|rig| {
        rig.connect(&v5("a").expiry_s(1000));
        rig.subscribe("a", SHARE, 1);
        rig.cut("a");
        rig.connect(&v5("p"));
        rig.publish("p", "t", "m", 1);
        rig.advance_s(1000);
        assert_eq!(rig.stored("a").len(), 0);
        assert_eq!(rig.dropped(Drop::GroupEmpty), 1);
    });
}

#[test]
fn nothing_is_lost_when_the_broker_dies_while_a_session_ends() {
    // Killed after so many steps.
    for steps in 0..7 {
        on_sizes(
            &[1, 2, 8],
            |_| {},
            |rig| {
                start(rig, 3);
                rig.hold();
                rig.advance_s(1000);
                for step in 0..steps {
                    if step % 2 == 0 {
                        rig.commit();
                    } else {
                        rig.answer_loads(true);
                    }
                }
                rig.kill(2, 0);
                rig.advance_s(10);
                assert_eq!(rig.stored("a").len(), 0);
                rig.connect(&v5("b").lasting());
                let mut got = rig.take_payloads("b");
                got.sort();
                got.dedup();
                assert_eq!(got, numbers(0..3), "after {steps}");
            },
        );
    }
}

#[test]
fn a_restored_share_of_a_group_is_given_back_when_the_session_expires() {
    for shards in [1, 2, 8] {
        on_every_size(|rig| {
            rig.connect(&v5("a").expiry_s(1000));
            rig.subscribe("a", SHARE, 1);
            rig.connect(&v5("p"));
            rig.publish("p", "t", "0", 1);
            rig.expect_publish("a");
            rig.cut("a");
            rig.publish("p", "t", "1", 1);
            rig.connect(&v5("b").lasting());
            rig.subscribe("b", SHARE, 1);
            rig.cut("b");
            rig.kill(shards, 0);
            rig.advance_s(1000);
            assert_eq!(rig.stored("a").len(), 0);
            assert_eq!(back(rig), numbers(0..2));
        });
    }
}

#[test]
fn a_part_of_an_exchange_is_not_given_back_before_it_is_durable() {
    on_sizes(
        &[2, 8],
        |_| {},
        |rig| {
            // All but the publisher on shard 1.
            let names = (0..).map(|n: u32| format!("$share/g{n}/t"));
            let share = names.into_iter().find(|name| rig.home(name) == 1).expect("one");
            let (p, a, b) = (rig.name_at("p", 0), rig.name_at("a", 1), rig.name_at("b", 1));
            rig.connect(&v5(&a).expiry_s(1000));
            rig.subscribe(&a, &share, 2);
            rig.cut(&a);
            rig.connect(&v5(&p).lasting());
            rig.connect(&v5(&b).lasting());
            rig.hold();
            rig.send_message(&p, &msg("t", "m").qos(2).id(5));
            rig.give_subscribe(&b, &[(&share, options(2))], None);
            rig.commit_shard(1);
            rig.take_first(&b, PacketType::SubAck);
            rig.advance_s(1000);
            for _ in 0..3 {
                rig.commit_shard(1);
                rig.answer_loads(true);
            }
            rig.nothing(&b);
            rig.go_on();
            rig.expect(&p).pub_rec();
            assert_eq!(rig.take_payloads(&b), ["m"]);
            assert_eq!(rig.stored(&a).len(), 0);
        },
    );
}

// [MQTT-4.8.2-4]
#[test]
fn a_qos_2_message_that_was_never_sent_is_given_back() {
    on_every_size(|rig| {
        rig.connect(&v5("a").expiry_s(1000));
        rig.subscribe("a", SHARE, 2);
        rig.connect(&v5("p"));
        rig.hold();
        rig.send_message("p", &msg("t", "m").qos(2));
        // It has an identifier, and waits for the store.
        rig.nothing("a");
        rig.cut("a");
        rig.go_on();
        rig.take_first("p", PacketType::PubRec);
        rig.connect(&v5("b").lasting());
        rig.subscribe("b", SHARE, 2);
        rig.advance_s(1000);
        assert_eq!(rig.take_payloads("b"), ["m"]);
        assert_eq!(rig.stored("a").len(), 0);
    });
}

// [MQTT-4.8.2-4] [MQTT-4.8.2-5]
#[test]
fn a_qos_2_message_of_a_group_goes_through_the_store_once() {
    on_every_size(|rig| {
        let member = rig.name_at("m", 1);
        rig.connect(&v5(&member).lasting());
        rig.subscribe(&member, SHARE, 2);
        rig.connect(&v5("p").lasting());
        rig.hold();
        rig.send_message("p", &msg("t", "m").qos(2).id(4));
        rig.nothing("p");
        rig.nothing(&member);
        rig.commit();
        rig.take_first("p", PacketType::PubRec);
        assert_eq!(rig.expect_publish(&member).text(), "m");
        rig.ignore_the_rest();
    });
}

#[test]
fn a_group_is_durable_as_long_as_one_of_its_members_is() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        rig.connect(&v5("c"));
        rig.subscribe("c", SHARE, 1);
        let trouble = |rig: &mut Rig, refused: bool| {
            rig.set_health(StoreHealth::Full);
            rig.send_message("p", &msg("t", "m").qos(1));
            let got = rig.expect("p");
            let reason = got.pub_ack().reason;
            assert_eq!(reason.is_error(), refused, "{reason}");
            rig.set_health(StoreHealth::Healthy);
        };
        trouble(rig, false);
        for name in ["a", "b"] {
            rig.connect(&v5(name).lasting());
            rig.subscribe(name, SHARE, 1);
        }
        trouble(rig, true);
        rig.unsubscribe("a", &[SHARE]);
        trouble(rig, true);
        rig.unsubscribe("b", &[SHARE]);
        trouble(rig, false);
        rig.connect(&v5("b").lasting());
        rig.subscribe("b", SHARE, 1);
        trouble(rig, true);
        rig.goodbye("b");
        rig.advance_s(100_000);
        trouble(rig, false);
        rig.ignore_the_rest();
    });
}
