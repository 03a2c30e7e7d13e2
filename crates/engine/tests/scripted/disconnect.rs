//! DISCONNECT from a client.

use martlet_proto::{Disconnect, Packet, ReasonCode};

use crate::rig::{msg, on_every_size, v5, v31, v311};

// [MQTT-3.14.4-1] [MQTT-3.14.4-2] [MQTT3-3.14.4-1] [MQTT3-3.14.4-2]
#[test]
fn disconnect_is_the_last_packet() {
    on_every_size(|rig| {
        rig.connect(&v5("s"));
        rig.subscribe("s", "t", 0);
        for hello in [v31("a"), v311("b"), v5("c")] {
            rig.connect(&hello);
            let name = hello.name();
            let goodbye = Disconnect::new(ReasonCode::NormalDisconnection);
            rig.give_packet(name, Packet::Disconnect(goodbye));
            rig.give_message(name, &msg("t", "too late").qos(1));
            rig.settle();
            rig.closed(name);
            rig.nothing("s");
        }
        assert_eq!(rig.stats().sessions_connected, 1);
    });
}

#[test]
fn a_client_may_say_why() {
    on_every_size(|rig| {
        rig.connect(&v5("a"));
        let why = Disconnect {
            reason_string: Some("tired"),
            ..Disconnect::new(ReasonCode::UnspecifiedError)
        };
        rig.send("a", Packet::Disconnect(why));
        rig.closed("a");
        let lines = rig.log_lines();
        let told = "disconnected \"a\" from - after 0.000s: client disconnected: Unspecified error";
        assert_eq!(lines.last().map(String::as_str), Some(told));
    });
}

// [MQTT-3.14.2-1] [MQTT-3.14.1-1] [MQTT3-3.14.1-1]
#[test]
fn a_wrong_disconnect_is_an_error_like_any_other() {
    on_every_size(|rig| {
        rig.connect(&v5("s"));
        rig.subscribe("s", "will", 0);
        for bytes in [[0xE1, 0x00].as_slice(), &[0xE0, 0x01, 0x8E], &[0xE0, 0x01, 0x10]] {
            rig.connect(&v5("a").will(msg("will", "a's")));
            rig.send_bytes("a", bytes);
            let reason = rig.expect("a").disconnect().reason;
            let expected = if bytes[0] == 0xE1 {
                ReasonCode::MalformedPacket
            } else {
                ReasonCode::ProtocolError
            };
            assert_eq!(reason, expected);
            rig.closed("a");
            assert_eq!(rig.take_payloads("s"), ["a's"]);
        }
        rig.connect(&v311("b").will(msg("will", "b's")));
        rig.send_bytes("b", &[0xE1, 0x00]);
        rig.closed("b");
        assert_eq!(rig.take_payloads("s"), ["b's"]);
    });
}

#[test]
fn half_a_packet_at_the_end_does_no_harm() {
    on_every_size(|rig| {
        rig.connect(&v5("s"));
        rig.subscribe("s", "t", 0);
        rig.connect(&v311("a"));
        let bytes = msg("t", "cut off").bytes(martlet_proto::Version::V311);
        rig.send_bytes("a", &bytes[..bytes.len() - 1]);
        rig.cut("a");
        rig.nothing("s");
        rig.open("b", martlet_proto::Version::V311, None);
        rig.send_bytes("b", &v311("b").bytes()[..7]);
        rig.cut("b");
        assert_eq!(rig.stats().sessions, 1);
    });
}
