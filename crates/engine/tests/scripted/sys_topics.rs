//! `$SYS/broker/...`: the figures, as retained messages and as they change.

use std::collections::BTreeMap;

use martlet_engine::ShardConfig;

use crate::rig::{Rig, msg, on_every_size, on_every_size_with, v5, v311};

fn every_ten_seconds(config: &mut ShardConfig) {
    config.sys_interval_ms = 10_000;
    config.version = "martlet version test".to_owned();
}

/// What a new subscriber to all figures is told, topic by topic.
fn figures(rig: &mut Rig) -> BTreeMap<String, String> {
    rig.connect(&v5("reader").id("reader"));
    rig.subscribe("reader", "$SYS/broker/#", 0);
    let mut all = BTreeMap::new();
    while rig.client("reader").inbox_len() > 0 {
        let message = rig.expect_publish("reader");
        assert!(message.retain);
        let name = message.topic.strip_prefix("$SYS/broker/").expect("asked for").to_owned();
        all.insert(name, message.text().to_owned());
    }
    rig.goodbye("reader");
    all
}

fn assert_figures(all: &BTreeMap<String, String>, expected: &[(&str, &str)]) {
    for (name, value) in expected {
        assert_eq!(all.get(*name).map(String::as_str), Some(*value), "{name} in {all:?}");
    }
}

#[test]
fn the_figures_are_those_of_all_shards() {
    on_every_size_with(every_ten_seconds, |rig| {
        rig.connect(&v5("p"));
        for i in 0..10 {
            let name = format!("s{i}");
            rig.connect(&v311(&name).lasting());
            rig.subscribe(&name, "t/#", 1);
        }
        rig.subscribe("s0", "$share/g/u", 0);
        rig.publish("p", "t/1", "12345", 1);
        for i in 0..10 {
            rig.take_message(&format!("s{i}"));
        }
        for i in 0..4 {
            rig.cut(&format!("s{i}"));
        }
        rig.publish_message("p", &msg("t/2", "123").qos(1).retain());
        for i in 4..10 {
            rig.expect_publish(&format!("s{i}"));
        }
        rig.advance_s(21);
        assert_figures(
            &figures(rig),
            &[
                ("version", "martlet version test"),
                ("uptime", "20 seconds"),
                ("clients/total", "11"),
                ("clients/connected", "7"),
                ("clients/active", "7"),
                ("clients/disconnected", "4"),
                ("clients/inactive", "4"),
                ("clients/maximum", "11"),
                ("clients/expired", "0"),
                ("subscriptions/count", "11"),
                ("shared_subscriptions/count", "1"),
                ("messages/inflight", "6"),
                ("publish/messages/received", "2"),
                ("publish/messages/sent", "16"),
                ("publish/bytes/received", "8"),
                ("publish/bytes/sent", "68"),
                ("publish/messages/dropped", "0"),
            ],
        );
    });
}

#[test]
fn they_follow_what_happens() {
    on_every_size_with(every_ten_seconds, |rig| {
        rig.connect(&v5("watch"));
        rig.advance_s(21);
        rig.subscribe("watch", "$SYS/broker/clients/connected", 0);
        assert_eq!(rig.expect_publish("watch").text(), "1");
        for i in 0..5 {
            rig.connect(&v5(&format!("c{i}")));
        }
        rig.advance_s(21);
        let seen = rig.take_payloads("watch");
        assert_eq!(seen.last().map(String::as_str), Some("6"));
        // A figure that stays is not told again.
        rig.advance_s(100);
        rig.nothing("watch");
        rig.cut("c0");
        rig.advance_s(21);
        assert_eq!(rig.take_payloads("watch").last().map(String::as_str), Some("5"));
    });
}

#[test]
fn live_figures_carry_no_retain_flag() {
    on_every_size_with(every_ten_seconds, |rig| {
        rig.advance_s(15);
        rig.connect(&v5("a"));
        rig.subscribe("a", "$SYS/broker/uptime", 0);
        assert!(rig.expect_publish("a").retain);
        rig.advance_s(15);
        assert!(!rig.expect_publish("a").retain);
        rig.ignore_the_rest();
    });
}

// [MQTT-4.7.2-1] [MQTT3-4.7.2-1]
#[test]
fn they_are_not_for_leading_wildcards() {
    on_every_size_with(every_ten_seconds, |rig| {
        rig.connect(&v5("a"));
        rig.subscribe("a", "#", 0);
        rig.subscribe("a", "+/broker/#", 0);
        rig.advance_s(100);
        rig.nothing("a");
    });
}

#[test]
fn the_averages_move() {
    on_every_size_with(every_ten_seconds, |rig| {
        rig.connect(&v5("p"));
        for _ in 0..60 {
            for _ in 0..10 {
                rig.publish("p", "t", "m", 0);
            }
            rig.advance_s(10);
        }
        let all = figures(rig);
        let load = |name: &str| all[name].parse::<f64>().expect("a number");
        // 60 messages a minute for ten minutes: one minute has seen nothing else, fifteen half of
        // it.
        let (one, five, fifteen) = (
            load("load/publish/received/1min"),
            load("load/publish/received/5min"),
            load("load/publish/received/15min"),
        );
        assert!((58.0..62.0).contains(&one), "{one}");
        assert!((45.0..60.0).contains(&five), "{five}");
        assert!((20.0..40.0).contains(&fifteen), "{fifteen}");
    });
}

#[test]
fn they_can_be_turned_off() {
    on_every_size(|rig| {
        rig.connect(&v5("a"));
        rig.subscribe("a", "$SYS/#", 0);
        rig.advance_s(1000);
        rig.nothing("a");
        assert_eq!(rig.stats().retained, 0);
    });
}
