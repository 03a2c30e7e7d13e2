//! Publishers that are faster than the store: they are not read until it has caught up.

use martlet_engine::ShardConfig;
use martlet_engine::store::StoreHealth;

use crate::rig::{Rig, msg, on_every_size, on_every_size_with, v5, v311};

fn few_answers(config: &mut ShardConfig) {
    config.limits.held_max = 4;
}

fn few_bytes(config: &mut ShardConfig) {
    config.limits.unstored_bytes_max = 10_000;
}

fn start(rig: &mut Rig) {
    rig.connect(&v5("s").lasting());
    rig.subscribe("s", "t", 2);
    rig.cut("s");
    rig.connect(&v5("p"));
    rig.hold();
}

#[test]
fn a_publisher_with_too_many_answers_to_come_is_not_read() {
    on_every_size_with(few_answers, |rig| {
        for hello in [v5("p"), v311("p"), v5("p").lasting()] {
            rig.go_on();
            start(rig);
            rig.go_on();
            rig.goodbye("p");
            rig.connect(&hello);
            rig.hold();
            for qos in [1, 2, 1] {
                rig.send_message("p", &msg("t", "m").qos(qos));
                assert!(!rig.is_paused("p"));
            }
            rig.send_message("p", &msg("t", "m").qos(1));
            assert!(rig.is_paused("p"));
            // It may send what it likes.
            for _ in 0..10 {
                rig.send_message("p", &msg("t", "m").qos(1));
            }
            let entries = rig.ops().iter().filter(|op| op.starts_with("entry")).count();
            assert_eq!(entries, 4);
            rig.commit();
            assert!(rig.is_paused("p"), "it was read, and has too many again");
            assert_eq!(rig.client("p").inbox_len(), 4);
            rig.go_on();
            assert!(!rig.is_paused("p"));
            assert_eq!(rig.client("p").inbox_len(), 14);
            rig.ignore_the_rest();
            rig.cut("p");
        }
    });
}

#[test]
fn it_is_read_again_when_half_of_them_are_out() {
    let tune = |config: &mut ShardConfig| config.limits.held_max = 4;
    on_every_size_with(tune, |rig| {
        start(rig);
        // Each in a batch of its own.
        for _ in 0..4 {
            rig.send_message("p", &msg("t", "m").qos(1));
        }
        assert!(rig.is_paused("p"));
        let s = rig.home("s");
        rig.commit_some(s, 1);
        assert!(rig.is_paused("p"));
        rig.commit_some(s, 1);
        assert!(!rig.is_paused("p"));
        assert_eq!(rig.client("p").inbox_len(), 2);
        rig.ignore_the_rest();
    });
}

#[test]
fn a_publisher_is_not_read_while_too_many_bytes_are_not_durable() {
    on_every_size_with(few_bytes, |rig| {
        let same = |rig: &Rig| rig.name_at("q", rig.home("s"));
        rig.connect(&v5("s").lasting());
        let p = same(rig);
        rig.subscribe("s", "t", 2);
        rig.cut("s");
        rig.connect(&v5(&p));
        rig.connect(&v5("c"));
        rig.subscribe("c", "free", 2);
        rig.hold();
        let mut sent = 0;
        while !rig.is_paused(&p) {
            rig.send_message(&p, &msg("t", &"x".repeat(3000)).qos(1));
            sent += 1;
            assert!(sent <= 4, "{sent} times 3000 bytes");
        }
        // Who asks nothing of the store is read.
        let free = rig.name_at("f", rig.home("s"));
        rig.connect(&v5(&free));
        for qos in 0..=2 {
            rig.publish(&free, "free", "m", qos);
            assert_eq!(rig.take_payloads("c"), ["m"]);
        }
        rig.commit();
        assert!(!rig.is_paused(&p));
        assert_eq!(rig.client(&p).inbox_len(), sent);
        rig.ignore_the_rest();
    });
}

#[test]
fn a_publisher_on_another_shard_is_held_up_as_well() {
    let tune = |config: &mut ShardConfig| {
        few_bytes(config);
        few_answers(config);
    };
    on_every_size_with(tune, |rig| {
        let (p, s) = (rig.name_at("p", 0), rig.name_at("s", 1));
        rig.connect(&v5(&s).lasting());
        rig.subscribe(&s, "t", 2);
        rig.cut(&s);
        rig.connect(&v5(&p));
        rig.hold();
        for _ in 0..20 {
            rig.give_message(&p, &msg("t", &"x".repeat(3000)).qos(1));
            rig.settle();
        }
        assert!(rig.is_paused(&p));
        assert!(rig.ops().len() <= 4);
        rig.go_on();
        assert!(!rig.is_paused(&p));
        assert_eq!(rig.client(&p).inbox_len(), 20);
        rig.ignore_the_rest();
    });
}

#[test]
fn a_publisher_that_is_held_up_may_go() {
    on_every_size_with(few_answers, |rig| {
        start(rig);
        for _ in 0..6 {
            rig.send_message("p", &msg("t", "m").qos(1));
        }
        assert!(rig.is_paused("p"));
        rig.cut("p");
        rig.go_on();
        assert_eq!(rig.stats().queued, 4);
        rig.connect(&v5("p"));
        rig.publish("p", "t", "m", 1);
        assert!(!rig.is_paused("p"));
    });
}

#[test]
fn a_publisher_that_does_not_read_stays_held_up_until_it_does() {
    let tune = |config: &mut ShardConfig| {
        few_answers(config);
        config.limits.outbox_low_bytes = 8;
    };
    on_every_size_with(tune, |rig| {
        start(rig);
        rig.take_only("p", 0);
        for _ in 0..4 {
            rig.send_message("p", &msg("t", "m").qos(1));
        }
        rig.commit();
        // 16 bytes of PUBACK that it does not take.
        assert!(rig.is_paused("p"));
        rig.take_only("p", usize::MAX);
        assert!(!rig.is_paused("p"));
        for id in 1..=4 {
            assert_eq!(rig.expect("p").pub_ack().packet_id.get(), id);
        }
    });
}

#[test]
fn publishers_that_wait_for_a_full_store_are_held_up_too() {
    on_every_size_with(few_answers, |rig| {
        start(rig);
        rig.go_on();
        rig.connect(&v311("q"));
        rig.set_health(StoreHealth::Full);
        for _ in 0..6 {
            rig.send_message("q", &msg("t", "m").qos(1));
        }
        assert!(rig.is_paused("q"));
        rig.set_health(StoreHealth::Healthy);
        for _ in 0..6 {
            rig.expect("q").pub_ack();
        }
        assert!(!rig.is_paused("q"));
    });
}

#[test]
fn nobody_is_held_up_in_ordinary_times() {
    on_every_size(|rig| {
        start(rig);
        rig.go_on();
        for qos in [1, 2, 1, 2] {
            rig.publish("p", "t", "m", qos);
            assert!(!rig.is_paused("p"));
        }
    });
}
