//! CONNECT and CONNACK: who is let in, on which terms, with which session.

use martlet_proto::{Packet, ReasonCode, Version};

use crate::rig::{Hello, Rig, msg, on_every_size, on_every_size_with, v5, v31, v311};

/// A CONNECT with one byte changed.
fn patched(hello: &Hello, at: usize, byte: u8) -> Vec<u8> {
    let mut bytes = hello.bytes();
    bytes[at] = byte;
    bytes
}

fn call_with(rig: &mut Rig, name: &str, version: Version, bytes: &[u8]) {
    rig.open(name, version, None);
    rig.send_bytes(name, bytes);
}

// [MQTT-3.1.4-5] [MQTT-3.2.0-1] [MQTT-3.2.2-2] [MQTT3-3.1.4-4] [MQTT3-3.2.0-1] [MQTT3-3.2.2-1]
// [MQTT-3.2.2-1] [MQTT-3.2.2-8]
#[test]
fn every_version_is_let_in() {
    on_every_size(|rig| {
        for hello in [v31("a"), v311("b"), v5("c")] {
            assert!(!rig.connect(&hello));
        }
        assert_eq!(rig.stats().sessions_connected, 3);
        assert_eq!(rig.stats().clients_accepted, 3);
    });
}

// [MQTT-3.1.2-5] [MQTT-3.1.2-6] [MQTT-3.2.2-3] [MQTT-3.1.2-23] [MQTT3-3.1.2-4] [MQTT3-3.2.2-2]
// [MQTT3-3.2.2-3]
#[test]
fn session_present_says_whether_there_was_one() {
    on_every_size(|rig| {
        for hello in [v311("a").lasting(), v5("b").lasting()] {
            assert!(!rig.connect(&hello), "the first time");
            rig.goodbye(hello.name());
            assert!(rig.connect(&hello), "the second time");
        }
        // Version 3.1 has the same sessions, but no flag to say so.
        let hello = v31("c").lasting();
        rig.connect(&hello);
        rig.subscribe("c", "t", 1);
        rig.cut("c");
        assert!(!rig.connect(&hello));
        assert_eq!(rig.stats().sessions, 3);
        rig.connect(&v5("p"));
        rig.publish("p", "t", "still subscribed", 1);
        assert_eq!(rig.take_message("c").text(), "still subscribed");
    });
}

// [MQTT-3.1.2-4] [MQTT-3.1.4-4] [MQTT-3.2.2-2] [MQTT3-3.1.2-6] [MQTT3-3.1.4-3] [MQTT3-3.2.2-1]
#[test]
fn clean_start_discards_the_old_session() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        for hello in [v311("a").lasting(), v5("b").lasting()] {
            let name = hello.name().to_owned();
            rig.connect(&hello);
            rig.subscribe(&name, "t", 1);
            rig.cut(&name);
            rig.publish("p", "t", "for the old session", 1);
            assert!(!rig.connect(&hello.clone().clean(true)), "no session is present");
            rig.publish("p", "t", "for nobody", 1);
            rig.nothing(&name);
        }
        assert_eq!(rig.stats().subscriptions, 0);
        assert_eq!(rig.stats().queued, 0);
    });
}

// [MQTT3-3.1.2-6]
#[test]
fn a_clean_session_of_3_x_ends_with_its_connection() {
    on_every_size(|rig| {
        rig.connect(&v311("a"));
        rig.subscribe("a", "t", 1);
        rig.cut("a");
        assert_eq!((rig.stats().sessions, rig.stats().subscriptions), (0, 0));
        assert!(!rig.connect(&v311("a").lasting()));
    });
}

// [MQTT-3.1.3-2] [MQTT3-3.1.3-2] [MQTT-3.1.3-3] [MQTT3-3.1.3-3] [MQTT-3.1.3-5] [MQTT3-3.1.3-5]
#[test]
fn the_client_identifier_names_the_session() {
    on_every_size(|rig| {
        let ids =
            ["a", "b", "0123456789abcdefghijklm", "nopqrstuvwxyzABCDEFGHIJ", "KLMNOPQRSTUVWXYZ"];
        rig.connect(&v5("p"));
        for (i, id) in ids.iter().enumerate() {
            assert!(!rig.connect(&v5(&format!("first {i}")).id(id).lasting()));
            rig.subscribe(&format!("first {i}"), &format!("to/{id}"), 1);
            rig.goodbye(&format!("first {i}"));
        }
        for (i, id) in ids.iter().enumerate() {
            let name = format!("second {i}");
            assert!(rig.connect(&v5(&name).id(id).lasting()), "{id}");
            rig.publish("p", &format!("to/{id}"), id, 0);
            assert_eq!(rig.expect_publish(&name).text(), *id);
        }
    });
}

// [MQTT-3.1.3-6] [MQTT-3.1.3-7] [MQTT-3.2.2-16] [MQTT3-3.1.3-6]
#[test]
fn an_empty_identifier_is_replaced_by_a_unique_one() {
    on_every_size(|rig| {
        let mut assigned = Vec::new();
        for i in 0..20 {
            let got = rig.connect_got(&v5(&format!("v5 {i}")).id("").expiry_s(60));
            let id = got.conn_ack().properties.assigned_client_id.expect("assigned").to_owned();
            assert!(!id.is_empty() && !assigned.contains(&id), "{id}");
            assigned.push(id);
            rig.connect(&v311(&format!("v3 {i}")).id(""));
        }
        assert_eq!(rig.stats().sessions, 40);
        // The client goes on under the name it was given.
        rig.cut("v5 7");
        assert!(rig.connect(&v5("again").id(&assigned[7]).lasting()));
    });
}

// [MQTT3-3.1.3-8] [MQTT3-3.1.3-9] [MQTT3-3.1.3-7] [MQTT3-3.2.2-5]
#[test]
fn a_lasting_session_of_3_x_needs_an_identifier() {
    on_every_size(|rig| {
        for hello in [v31("a").id("").lasting(), v311("b").id("").lasting()] {
            rig.call(&hello);
            rig.refused(hello.name(), ReasonCode::ClientIdentifierNotValid);
        }
        assert_eq!(rig.stats().sessions, 0);
    });
}

// [MQTT-3.1.3-8] [MQTT3-3.1.3-9] [MQTT-3.2.2-6] [MQTT-3.2.2-7] [MQTT3-3.2.2-4] [MQTT3-3.2.2-5]
#[test]
fn an_identifier_that_is_too_long_is_rejected() {
    let tune = |config: &mut martlet_engine::ShardConfig| config.limits.client_id_bytes_max = 64;
    on_every_size_with(tune, |rig| {
        for hello in [v311("a"), v5("b")] {
            rig.call(&hello.clone().id(&"x".repeat(65)));
            rig.refused(hello.name(), ReasonCode::ClientIdentifierNotValid);
            rig.connect(&hello.id(&"x".repeat(64)));
        }
    });
}

// [MQTT-3.1.0-1] [MQTT3-3.1.0-1] [MQTT-3.2.0-1] [MQTT3-3.2.0-1]
#[test]
fn the_first_packet_must_be_connect() {
    on_every_size(|rig| {
        for (name, version) in [("a", Version::V311), ("b", Version::V5)] {
            call_with(rig, name, version, &[0xC0, 0x00]);
            rig.closed(name);
            let name = &format!("{name} publishes");
            call_with(rig, name, version, &msg("t", "x").bytes(version));
            rig.closed(name);
        }
        assert_eq!(rig.stats().publish_received, 0);
    });
}

// [MQTT-3.1.0-2] [MQTT3-3.1.0-2] [MQTT3-4.8.0-1]
#[test]
fn a_second_connect_ends_the_connection() {
    on_every_size(|rig| {
        rig.connect(&v311("a"));
        rig.send_bytes("a", &v311("a").bytes());
        rig.closed("a");
        rig.connect(&v5("b"));
        rig.send_bytes("b", &v5("b").bytes());
        rig.thrown_out("b", ReasonCode::ProtocolError);
        // Even when both come at once.
        let twice = [v5("c").bytes(), v5("c").bytes()].concat();
        call_with(rig, "c", Version::V5, &twice);
        assert_eq!(rig.expect("c").conn_ack().reason, ReasonCode::Success);
        rig.thrown_out("c", ReasonCode::ProtocolError);
    });
}

// [MQTT3-3.1.2-2] [MQTT-3.1.2-2]
#[test]
fn an_unknown_protocol_level_is_refused() {
    on_every_size(|rig| {
        for level in [0, 1, 2, 6, 127] {
            let name = format!("level {level}");
            call_with(rig, &name, Version::V311, &patched(&v311("x"), 8, level));
            rig.refused(&name, ReasonCode::UnsupportedProtocolVersion);
        }
    });
}

// [MQTT-3.1.2-1] [MQTT3-3.1.2-1]
#[test]
fn another_protocol_name_is_closed() {
    on_every_size(|rig| {
        call_with(rig, "a", Version::V5, &patched(&v5("x"), 4, b'm'));
        let client_saw = rig.client("a").inbox_len();
        if client_saw > 0 {
            assert_eq!(rig.expect("a").conn_ack().reason, ReasonCode::UnsupportedProtocolVersion);
        }
        rig.closed("a");
        assert_eq!(rig.stats().sessions, 0);
    });
}

// [MQTT-3.1.2-3] [MQTT3-3.1.2-3] [MQTT-3.1.4-1] [MQTT3-3.1.4-1] [MQTT3-3.2.2-6]
#[test]
fn the_reserved_connect_flag_is_checked() {
    on_every_size(|rig| {
        call_with(rig, "a", Version::V311, &patched(&v311("a"), 9, 0b0000_0011));
        rig.closed("a");
        call_with(rig, "b", Version::V5, &patched(&v5("b"), 9, 0b0000_0011));
        rig.refused("b", ReasonCode::MalformedPacket);
    });
}

// [MQTT-3.1.4-6] [MQTT3-3.1.4-5]
#[test]
fn what_follows_a_refused_connect_is_not_looked_at() {
    on_every_size(|rig| {
        rig.connect(&v5("s"));
        rig.subscribe("s", "t", 0);
        let refused = v311("a").id("").lasting();
        let bytes = [refused.bytes(), msg("t", "too late").bytes(Version::V311)].concat();
        call_with(rig, "a", Version::V311, &bytes);
        rig.refused("a", ReasonCode::ClientIdentifierNotValid);
        rig.nothing("s");
        assert_eq!(rig.stats().publish_received, 0);
    });
}

// [MQTT-3.2.0-1] [MQTT3-3.2.0-1]
#[test]
fn packets_right_behind_connect_are_taken() {
    on_every_size(|rig| {
        rig.connect(&v5("s"));
        rig.subscribe("s", "#", 2);
        for i in 0..16 {
            // Whatever shard accepts and whatever shard is home: nothing is lost on the way.
            let name = format!("p{i}");
            let publish = msg("t", &name).qos(1).id(9).bytes(Version::V5);
            call_with(rig, &name, Version::V5, &[v5(&name).bytes(), publish].concat());
            assert_eq!(rig.expect(&name).conn_ack().reason, ReasonCode::Success);
            assert_eq!(rig.expect(&name).pub_ack().packet_id.get(), 9);
            assert_eq!(rig.take_message("s").text(), name);
        }
    });
}

#[test]
fn a_connect_in_pieces_loses_nothing() {
    on_every_size(|rig| {
        rig.connect(&v5("s"));
        rig.subscribe("s", "#", 0);
        for i in 0..16 {
            let name = format!("p{i}");
            let hello = v5(&name).bytes();
            let publish = msg("t", &name).bytes(Version::V5);
            let (head, tail) = hello.split_at(hello.len() / 2);
            call_with(rig, &name, Version::V5, head);
            rig.send_bytes(&name, &[tail, &publish, &publish[..3]].concat());
            rig.send_bytes(&name, &publish[3..]);
            assert_eq!(rig.expect(&name).conn_ack().reason, ReasonCode::Success);
            assert_eq!(rig.take_payloads("s"), [name.clone(), name]);
        }
    });
}

// [MQTT-3.1.2-28]
#[test]
fn response_information_is_given_on_request_only() {
    on_every_size(|rig| {
        let got = rig.connect_got(&v5("a"));
        assert_eq!(got.conn_ack().properties.response_information, None);
        let got = rig.connect_got(&v5("b").response_information());
        assert_eq!(got.conn_ack().properties.response_information, Some("response/b"));
    });
}

// [MQTT-3.2.2-19] [MQTT-3.2.2-20] [MQTT-3.1.2-24]
#[test]
fn conn_ack_fits_the_maximum_packet_size() {
    on_every_size(|rig| {
        let full = rig.connect_got(&v5("a").response_information()).bytes().len() as u32;
        let tight = v5("b").response_information().packet_size_max(full - 1);
        let got = rig.connect_got(&tight);
        assert_eq!(got.conn_ack().properties.response_information, None);
        // Where not even the limits can be told there is no way to go on.
        rig.call(&v5("c").packet_size_max(4));
        rig.closed("c");
        assert_eq!(rig.stats().sessions, 2);
    });
}

// [MQTT-3.1.2-24] [MQTT-3.2.2-7]
#[test]
fn a_refusal_fits_the_maximum_packet_size() {
    on_every_size(|rig| {
        rig.call(&v5("a").packet_size_max(4).method("unknown", None));
        rig.closed("a");
    });
}

#[test]
fn the_limits_are_announced() {
    let tune = |config: &mut martlet_engine::ShardConfig| {
        config.limits.receive_max = 7;
        config.limits.packet_size_max = 5000;
        config.limits.topic_alias_max = 3;
        config.limits.session_expiry_max_s = 100;
        config.limits.keep_alive_max_s = 30;
    };
    on_every_size_with(tune, |rig| {
        let got = rig.connect_got(&v5("a").expiry_s(1000).keep_alive_s(31));
        let properties = got.conn_ack().properties;
        assert_eq!(properties.receive_max, Some(7));
        assert_eq!(properties.packet_size_max, Some(5000));
        assert_eq!(properties.topic_alias_max, Some(3));
        assert_eq!(properties.session_expiry_s, Some(100));
        assert_eq!(properties.server_keep_alive_s, Some(30));
        assert_eq!(properties.assigned_client_id, None);
        let got = rig.connect_got(&v5("b").expiry_s(99).keep_alive_s(30));
        let properties = got.conn_ack().properties;
        assert_eq!(properties.session_expiry_s, None);
        assert_eq!(properties.server_keep_alive_s, None);
    });
}

// [MQTT-4.13.2-1] [MQTT3-4.8.0-2]
#[test]
fn too_many_sessions_are_refused() {
    let tune = |config: &mut martlet_engine::ShardConfig| config.limits.sessions_max = 0;
    on_every_size_with(tune, |rig| {
        rig.call(&v5("a"));
        rig.refused("a", ReasonCode::QuotaExceeded);
        rig.call(&v311("b"));
        rig.refused("b", ReasonCode::ServerUnavailable);
    });
}

#[test]
fn who_says_nothing_is_closed_after_a_while() {
    on_every_size(|rig| {
        rig.open("silent", Version::V5, None);
        rig.open("slow", Version::V5, None);
        let hello = v5("slow").bytes();
        rig.send_bytes("slow", &hello[..5]);
        rig.connect(&v5("good"));
        rig.advance_ms(9_999);
        assert!(!rig.is_closed("silent") && !rig.is_closed("slow"));
        rig.advance_ms(1);
        rig.closed("silent");
        rig.closed("slow");
        rig.nothing("good");
    });
}

#[test]
fn a_broker_that_stops_says_so() {
    on_every_size(|rig| {
        rig.connect(&v311("a"));
        rig.connect(&v5("b"));
        rig.open("c", Version::V5, None);
        rig.order_shutdown();
        rig.settle();
        rig.closed("a");
        rig.thrown_out("b", ReasonCode::ServerShuttingDown);
        rig.closed("c");
    });
}

// [MQTT-3.2.2-8]
#[test]
fn a_broker_that_stops_lets_nobody_in() {
    on_every_size(|rig| {
        rig.order_shutdown();
        rig.settle();
        rig.call(&v5("a"));
        rig.refused("a", ReasonCode::ServerUnavailable);
        rig.call(&v311("b"));
        rig.refused("b", ReasonCode::ServerUnavailable);
    });
}

#[test]
fn the_log_tells_of_connections() {
    on_every_size(|rig| {
        rig.connect(&v311("a").keep_alive_s(60).lasting());
        rig.goodbye("a");
        rig.connect(&v5("b"));
        rig.send("b", Packet::PingReq);
        assert_eq!(rig.expect("b").packet(), Packet::PingResp);
        rig.advance_ms(1500);
        rig.cut("b");
        let lines = rig.log_lines();
        assert_eq!(
            lines,
            [
                r#"connected "a" from - mqtt=3.1.1 session=new keep_alive=60s expiry=never"#,
                r#"disconnected "a" from - after 0.000s: client disconnected"#,
                r#"connected "b" from - mqtt=5.0 session=new keep_alive=0s expiry=0s"#,
                r#"disconnected "b" from - after 1.500s: connection reset"#,
            ]
        );
    });
}
