//! Keep alive: silence ends a connection, and only silence.

use martlet_engine::ShardConfig;
use martlet_proto::{Packet, ReasonCode};

use crate::rig::{Rig, msg, on_every_size, on_every_size_with, options, v5, v31, v311};

fn ping(rig: &mut Rig, name: &str) {
    rig.send(name, Packet::PingReq);
    assert_eq!(rig.expect(name).packet(), Packet::PingResp);
}

// [MQTT-3.1.2-22] [MQTT3-3.1.2-24]
#[test]
fn silence_of_one_and_a_half_intervals_ends_the_connection() {
    on_every_size(|rig| {
        rig.connect(&v31("a").keep_alive_s(10));
        rig.connect(&v311("b").keep_alive_s(10));
        rig.connect(&v5("c").keep_alive_s(10));
        rig.advance_ms(14_999);
        for name in ["a", "b", "c"] {
            rig.nothing(name);
        }
        rig.advance_ms(1);
        rig.closed("a");
        rig.closed("b");
        rig.thrown_out("c", ReasonCode::KeepAliveTimeout);
    });
}

// [MQTT-3.12.4-1] [MQTT3-3.12.4-1] [MQTT-3.1.2-22] [MQTT3-3.1.2-24]
#[test]
fn any_packet_counts() {
    on_every_size(|rig| {
        rig.connect(&v5("s"));
        rig.subscribe("s", "t", 0);
        rig.connect(&v5("a").keep_alive_s(10));
        for round in 0..6 {
            rig.advance_ms(14_999);
            match round {
                0 => ping(rig, "a"),
                1 => rig.publish("a", "t", "m", 0),
                2 => rig.pub_ack("a", 5),
                3 => rig.subscribe("a", "x", 0),
                4 => drop(rig.unsubscribe("a", &["x"])),
                _ => rig.publish("a", "t", "m", 1),
            }
        }
        rig.advance_ms(14_999);
        rig.nothing("a");
        // What the broker sends does not count, nor does half a packet.
        rig.subscribe("a", "t", 0);
        rig.advance_ms(10_000);
        rig.publish("s", "t", "to a", 0);
        rig.expect_publish("a");
        rig.send_bytes("a", &[0xC0]);
        rig.advance_ms(5_000);
        rig.thrown_out("a", ReasonCode::KeepAliveTimeout);
        rig.ignore_the_rest();
    });
}

#[test]
fn zero_turns_it_off() {
    on_every_size(|rig| {
        rig.connect(&v311("a"));
        rig.connect(&v5("b"));
        rig.advance_s(10_000_000);
        ping(rig, "a");
        ping(rig, "b");
    });
}

// [MQTT-3.2.2-22] [MQTT-3.1.2-22] [MQTT-3.2.2-21]
#[test]
fn the_server_keep_alive_counts_where_it_was_told() {
    let tune = |config: &mut ShardConfig| config.limits.keep_alive_max_s = 20;
    on_every_size_with(tune, |rig| {
        for (name, asked, granted) in [("a", 0, 20), ("b", 60, 20), ("c", 10, 10)] {
            let got = rig.connect_got(&v5(name).keep_alive_s(asked));
            let told = got.conn_ack().properties.server_keep_alive_s;
            assert_eq!(told, (asked != granted).then_some(granted));
            rig.advance_ms(u64::from(granted) * 1500 - 1);
            rig.nothing(name);
            rig.advance_ms(1);
            rig.thrown_out(name, ReasonCode::KeepAliveTimeout);
        }
        // Before 5.0 it cannot be told, so the client's own value counts.
        rig.connect(&v311("d").keep_alive_s(60));
        rig.connect(&v311("e"));
        rig.advance_ms(89_999);
        rig.nothing("d");
        rig.advance_ms(1);
        rig.closed("d");
        rig.nothing("e");
    });
}

#[test]
fn who_is_not_read_is_not_called_silent() {
    let tune = |config: &mut ShardConfig| {
        config.limits.outbox_pause_bytes = 1000;
        config.limits.outbox_low_bytes = 500;
    };
    on_every_size_with(tune, |rig| {
        rig.connect(&v5("a").keep_alive_s(10));
        rig.take_only("a", 0);
        for _ in 0..400 {
            rig.give_message("a", &msg("t", "m").qos(1));
        }
        rig.settle();
        rig.give_subscribe("a", &[("x", options(0))], None);
        rig.settle();
        assert!(rig.is_paused("a"));
        rig.advance_s(50);
        assert!(!rig.is_closed("a"));
        rig.take_only("a", usize::MAX);
        assert!(!rig.is_paused("a"));
        rig.ignore_the_rest();
    });
}

#[test]
fn who_takes_nothing_for_long_is_given_up() {
    let tune = |config: &mut ShardConfig| {
        config.limits.outbox_pause_bytes = 1000;
        config.limits.outbox_low_bytes = 500;
        config.limits.stall_max_ms = 60_000;
    };
    on_every_size_with(tune, |rig| {
        rig.connect(&v5("a").keep_alive_s(10));
        rig.take_only("a", 0);
        for _ in 0..400 {
            rig.give_message("a", &msg("t", "m").qos(1));
        }
        rig.settle();
        assert!(rig.is_paused("a"));
        rig.advance_ms(59_999);
        assert!(!rig.is_closed("a"));
        rig.advance_ms(1);
        assert_eq!(rig.stats().sessions_connected, 0);
        rig.ignore_the_rest();
    });
}

#[test]
fn who_stays_is_watched_however_many_come_and_go() {
    on_every_size(|rig| {
        rig.connect(&v5("stays").keep_alive_s(3000).expiry_s(10_000));
        rig.connect(&v5("away").expiry_s(5000));
        rig.cut("away");
        for _ in 0..900 {
            rig.connect(&v5("guest").keep_alive_s(u16::MAX).expiry_s(60_000).clean(false));
            rig.cut("guest");
        }
        assert_eq!(rig.stats().sessions, 3);
        rig.advance_ms(4_499_999);
        rig.nothing("stays");
        rig.advance_ms(1);
        rig.thrown_out("stays", ReasonCode::KeepAliveTimeout);
        rig.advance_ms(500_000);
        assert_eq!(rig.stats().sessions, 2);
        rig.advance_s(55_000);
        assert_eq!(rig.stats().sessions, 0);
    });
}
