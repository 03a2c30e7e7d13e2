//! When a message goes out to a durable session, and what is written of it.

use martlet_proto::{PacketType, Qos, ReasonCode};

use crate::rig::{Rig, msg, on_every_size, on_every_size_with, on_sizes, v5, v311};

const NOTHING: [&str; 0] = [];

/// A durable session that is there and a publisher.
fn start(rig: &mut Rig) {
    rig.connect(&v5("s").lasting());
    rig.subscribe("s", "t", 2);
    rig.connect(&v5("p"));
    rig.hold();
}

/// The same with a client that has just acknowledged quickly.
fn start_prompt(rig: &mut Rig) {
    start(rig);
    rig.send_message("p", &msg("t", "first").qos(1));
    rig.take_message("s");
    rig.commit();
    rig.expect("p").pub_ack();
    let _ = rig.ops();
}

#[test]
fn qos_1_goes_out_at_once() {
    on_every_size(|rig| {
        start(rig);
        for payload in ["1", "2"] {
            rig.send_message("p", &msg("t", payload).qos(1));
            assert_eq!(rig.expect_publish("s").text(), payload);
        }
        rig.nothing("p");
        assert_eq!(rig.ops(), ["entry s 1 qos 1 id 1", "entry s 2 qos 1 id 2"]);
        rig.commit();
        rig.expect("p").pub_ack();
        rig.expect("p").pub_ack();
    });
}

#[test]
fn what_is_acknowledged_after_it_was_written_is_removed() {
    on_every_size(|rig| {
        start(rig);
        rig.send_message("p", &msg("t", "m").qos(1));
        rig.take_message("s");
        assert_eq!(rig.ops(), ["entry s m qos 1 id 1", "remove s m"]);
        // The subscriber has it, but its publisher hears of it with the store.
        rig.nothing("p");
        rig.commit();
        rig.expect("p").pub_ack();
        assert_eq!(rig.stored("s"), ["session 86400s", "subscribed t"]);
    });
}

#[test]
fn qos_2_goes_out_when_it_is_stored_with_its_identifier() {
    on_every_size(|rig| {
        start(rig);
        rig.send_message("p", &msg("t", "m").qos(2));
        rig.nothing("s");
        assert_eq!(rig.ops(), ["entry s m qos 2 id 1"]);
        rig.commit();
        rig.take_first("p", PacketType::PubRec);
        let message = rig.expect_publish("s");
        assert_eq!((message.text(), message.id, message.dup), ("m", Some(1), false));
        rig.pub_rec("s", 1);
        rig.nothing("s");
        rig.commit();
        rig.expect("s").pub_rel();
        rig.pub_comp("s", 1);
        assert_eq!(rig.ops(), ["release s m id 1", "remove s m"]);
    });
}

#[test]
fn a_message_published_at_qos_2_waits_for_the_store_whatever_qos_it_is_delivered_with() {
    on_every_size(|rig| {
        start(rig);
        rig.go_on();
        rig.connect(&v5("one").lasting());
        rig.subscribe("one", "t", 1);
        rig.hold();
        rig.send_message("p", &msg("t", "m").qos(2));
        rig.nothing("one");
        rig.commit();
        assert_eq!(rig.take_message("one").qos, Qos::AtLeastOnce);
        rig.ignore_the_rest();
    });
}

// [MQTT-4.6.0-6] [MQTT3-4.6.0-6]
#[test]
fn qos_1_does_not_pass_a_qos_2_message_that_waits() {
    on_every_size(|rig| {
        start(rig);
        rig.send_message("p", &msg("t", "2").qos(2));
        rig.send_message("p", &msg("t", "1").qos(1));
        rig.nothing("s");
        assert_eq!(rig.ops(), ["entry s 1 qos 1 id 2", "entry s 2 qos 2 id 1"]);
        rig.commit();
        assert_eq!(rig.expect_publish("s").text(), "2");
        assert_eq!(rig.expect_publish("s").text(), "1");
        rig.ignore_the_rest();
    });
}

#[test]
fn a_prompt_client_costs_no_writes() {
    on_every_size(|rig| {
        start_prompt(rig);
        for _ in 0..3 {
            let id = rig.send_message("p", &msg("t", "m").qos(1));
            // Its publisher waits for the one or the other.
            rig.nothing("p");
            rig.advance_ms(19);
            rig.nothing("p");
            rig.take_message("s");
            assert_eq!(rig.expect("p").pub_ack().packet_id.get(), id);
        }
        assert_eq!(rig.ops(), NOTHING);
        assert_eq!(rig.pending(), 0);
    });
}

#[test]
fn several_prompt_clients_all_have_to_answer() {
    on_every_size(|rig| {
        let names: Vec<String> = (0..3).map(|n| rig.name_at(&format!("s{n}-"), n)).collect();
        rig.connect(&v5("p"));
        for name in &names {
            rig.connect(&v5(name).lasting());
            rig.subscribe(name, "t", 1);
        }
        rig.publish("p", "t", "first", 1);
        names.iter().for_each(|name| drop(rig.take_message(name)));
        rig.hold();
        rig.send_message("p", &msg("t", "m").qos(1));
        for name in &names {
            rig.nothing("p");
            rig.take_message(name);
        }
        rig.expect("p").pub_ack();
        // One of them answers late: only for that one something is written.
        rig.send_message("p", &msg("t", "n").qos(1));
        rig.take_message(&names[0]);
        rig.take_message(&names[1]);
        rig.advance_ms(20);
        rig.nothing("p");
        assert_eq!(rig.ops(), [format!("entry {} n qos 1 id 3", names[2])]);
        rig.commit();
        rig.expect("p").pub_ack();
        rig.take_message(&names[2]);
    });
}

#[test]
fn a_prompt_client_that_stops_answering_is_written_for_after_a_while() {
    on_every_size(|rig| {
        start_prompt(rig);
        rig.send_message("p", &msg("t", "m").qos(1));
        rig.advance_ms(19);
        assert_eq!(rig.ops(), NOTHING);
        rig.advance_ms(1);
        assert_eq!(rig.ops(), ["entry s m qos 1 id 2"]);
        rig.nothing("p");
        // The next is written at once: the client is not prompt any more.
        rig.send_message("p", &msg("t", "n").qos(1));
        assert_eq!(rig.ops(), ["entry s n qos 1 id 3"]);
        rig.commit();
        rig.expect("p").pub_ack();
        rig.expect("p").pub_ack();
        // It answers late, and then quickly again.
        assert_eq!((rig.expect_publish("s").text(), rig.expect_publish("s").text()), ("m", "n"));
        rig.pub_ack("s", 2);
        rig.pub_ack("s", 3);
        assert_eq!(rig.ops(), ["remove s m", "remove s n"]);
        rig.send_message("p", &msg("t", "o").qos(1));
        rig.take_message("s");
        assert_eq!(rig.ops(), NOTHING);
        rig.expect("p").pub_ack();
    });
}

#[test]
fn what_is_young_at_different_times_is_written_at_different_times() {
    on_every_size(|rig| {
        start_prompt(rig);
        for payload in ["a", "b", "c"] {
            rig.send_message("p", &msg("t", payload).qos(1));
            rig.advance_ms(8);
        }
        // At 20 the first is due, and at 28 the second.
        assert_eq!(rig.ops(), ["entry s a qos 1 id 2"]);
        rig.pub_ack("s", 3);
        rig.advance_ms(12);
        assert_eq!(rig.ops(), ["entry s c qos 1 id 4"]);
        rig.ignore_the_rest();
    });
}

#[test]
fn a_disconnect_writes_what_is_young_at_once() {
    on_every_size(|rig| {
        start_prompt(rig);
        rig.send_message("p", &msg("t", "m").qos(1));
        rig.expect_publish("s");
        rig.cut("s");
        assert_eq!(rig.ops(), ["entry s m qos 1 id 2", "session s 86400s away"]);
        rig.nothing("p");
        rig.commit();
        rig.expect("p").pub_ack();
        rig.go_on();
        rig.connect(&v5("s").lasting());
        let again = rig.take_message("s");
        assert_eq!((again.id, again.dup), (Some(2), true));
    });
}

#[test]
fn the_end_of_a_session_releases_its_publishers() {
    on_every_size(|rig| {
        rig.connect(&v5("s").expiry_s(10));
        rig.subscribe("s", "t", 1);
        rig.connect(&v5("p"));
        rig.publish("p", "t", "first", 1);
        rig.take_message("s");
        rig.hold();
        rig.send_message("p", &msg("t", "m").qos(1));
        rig.expect_publish("s");
        // Clean Start over it: nobody will ever acknowledge.
        rig.call(&v5("s2").id("s"));
        rig.thrown_out("s", ReasonCode::SessionTakenOver);
        rig.commit();
        rig.expect("p").pub_ack();
        rig.expect("s2").conn_ack();
    });
}

#[test]
fn a_message_larger_than_the_client_takes_holds_nobody_up() {
    on_every_size(|rig| {
        rig.connect(&v5("s").lasting().packet_size_max(50));
        rig.subscribe("s", "t", 1);
        rig.connect(&v5("p"));
        rig.publish("p", "t", "first", 1);
        rig.take_message("s");
        for qos in [1, 2] {
            rig.publish("p", "t", &"x".repeat(100), qos);
        }
        rig.nothing("s");
        assert_eq!(rig.dropped(martlet_engine::Drop::PacketTooLarge), 2);
        assert_eq!(rig.stored("s"), ["session 86400s", "subscribed t"]);
        assert_eq!(rig.stats().in_flight, 0);
    });
}

#[test]
fn a_narrow_window_is_kept_and_the_rest_waits_in_order() {
    on_every_size(|rig| {
        rig.connect(&v5("s").lasting().receive_max(2));
        rig.subscribe("s", "t", 2);
        rig.connect(&v5("p"));
        for i in 0..6 {
            rig.publish("p", "t", &i.to_string(), 1 + i % 2);
        }
        assert_eq!((rig.stats().in_flight, rig.stats().queued), (2, 4));
        assert_eq!(rig.take_payloads("s"), ["0", "1", "2", "3", "4", "5"]);
        assert_eq!(rig.stored("s"), ["session 86400s", "subscribed t"]);
    });
}

#[test]
fn a_queued_qos_2_message_goes_out_when_its_identifier_is_stored() {
    on_every_size(|rig| {
        rig.connect(&v311("s").lasting());
        rig.subscribe("s", "t", 2);
        rig.cut("s");
        rig.connect(&v5("p"));
        rig.publish("p", "t", "one", 1);
        rig.publish("p", "t", "two", 2);
        rig.connect(&v311("s").lasting());
        rig.take_message("s");
        rig.take_message("s");
        rig.cut("s");
        rig.publish("p", "t", "1", 1);
        rig.publish("p", "t", "2", 2);
        rig.hold();
        rig.call(&v311("s").lasting());
        rig.commit();
        rig.answer_loads(true);
        rig.expect("s").conn_ack();
        assert_eq!(rig.expect_publish("s").text(), "1");
        rig.nothing("s");
        // The identifier before it is written as well: after a restart both go out in this order.
        let ops = rig.ops();
        assert_eq!(ops, ["flight s 1 id 3", "flight s 2 id 4", "session s 4294967295s here"]);
        rig.commit();
        assert_eq!(rig.expect_publish("s").text(), "2");
    });
}

#[test]
fn a_receipt_from_another_shard_may_come_before_and_after_the_own_store() {
    on_sizes(
        &[2, 8],
        |_| {},
        |rig| {
            let (p, here, there) = (rig.name_at("p", 0), rig.name_at("h", 0), rig.name_at("e", 1));
            for name in [&here, &there] {
                rig.connect(&v5(name).lasting());
                rig.subscribe(name, "t", 1);
                rig.goodbye(name);
            }
            rig.connect(&v5(&p));
            for order in [[0, 1], [1, 0]] {
                rig.hold();
                rig.send_message(&p, &msg("t", "m").qos(1));
                rig.commit_shard(order[0]);
                rig.nothing(&p);
                rig.commit_shard(order[1]);
                rig.expect(&p).pub_ack();
            }
        },
    );
}

#[test]
fn how_long_writing_waits_follows_from_how_long_clients_take() {
    let tune = |config: &mut martlet_engine::ShardConfig| {
        (config.limits.linger_min_ms, config.limits.linger_ms) = (5, 100);
    };
    on_every_size_with(tune, |rig| {
        start_prompt(rig);
        rig.go_on();
        for _ in 0..200 {
            rig.send_message("p", &msg("t", "m").qos(1));
            rig.advance_ms(10);
            rig.take_message("s");
            rig.expect("p").pub_ack();
        }
        // They need 10 ms: more than the least time is waited for them.
        rig.hold();
        rig.send_message("p", &msg("t", "m").qos(1));
        rig.advance_ms(10);
        assert_eq!(rig.ops(), NOTHING);
        rig.take_message("s");
        rig.expect("p").pub_ack();
        // And more than the most time is never waited.
        rig.send_message("p", &msg("t", "m").qos(1));
        rig.advance_ms(100);
        assert_eq!(rig.ops().len(), 1);
        rig.ignore_the_rest();
    });
}
