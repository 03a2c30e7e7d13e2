//! What breaks the protocol: each family of errors, the reason a 5.0 client is told, the plain
//! close before.

use martlet_proto::{ReasonCode, Version};

use crate::rig::{Hello, Rig, msg, on_every_size, v5, v31, v311};

/// Bytes that end the connection of a client that was let in, and the reason for version 5.0.
struct Case {
    what: &'static str,
    v3: Option<&'static [u8]>,
    v5: Option<(&'static [u8], ReasonCode)>,
}

const MALFORMED: ReasonCode = ReasonCode::MalformedPacket;
const PROTOCOL: ReasonCode = ReasonCode::ProtocolError;

const fn both(
    what: &'static str,
    v3: &'static [u8],
    v5: &'static [u8],
    reason: ReasonCode,
) -> Case {
    Case { what, v3: Some(v3), v5: Some((v5, reason)) }
}

const fn of_v5(what: &'static str, bytes: &'static [u8], reason: ReasonCode) -> Case {
    Case { what, v3: None, v5: Some((bytes, reason)) }
}

/// Each case alone ends its connection, and harms nobody else.
fn run(cases: &[Case]) {
    on_every_size(|rig| {
        rig.connect(&v5("witness"));
        rig.subscribe("witness", "#", 0);
        for case in cases {
            if let Some(bytes) = case.v3 {
                sends(rig, &v311("a"), bytes, case.what);
                assert!(rig.is_closed("a"), "{}: still open", case.what);
                rig.closed("a");
            }
            if let Some((bytes, reason)) = case.v5 {
                sends(rig, &v5("b"), bytes, case.what);
                assert!(rig.is_closed("b"), "{}: still open", case.what);
                assert_eq!(rig.expect("b").disconnect().reason, reason, "{}", case.what);
                rig.closed("b");
            }
        }
        rig.nothing("witness");
        rig.publish("witness", "t", "alive", 0);
        assert_eq!(rig.take_payloads("witness"), ["alive"]);
    });
}

fn sends(rig: &mut Rig, hello: &Hello, bytes: &[u8], what: &str) {
    rig.log_lines();
    rig.connect(hello);
    rig.send_bytes(hello.name(), bytes);
    let lines = rig.log_lines();
    assert!(lines.iter().any(|line| line.starts_with("disconnected")), "{what}: {lines:?}");
}

// [MQTT-2.1.3-1] [MQTT3-2.2.2-1] [MQTT3-2.2.2-2] [MQTT-3.6.1-1] [MQTT3-3.6.1-1] [MQTT-3.8.1-1]
// [MQTT3-3.8.1-1] [MQTT-3.10.1-1] [MQTT3-3.10.1-1] [MQTT-3.14.1-1] [MQTT3-3.14.1-1] [MQTT-3.15.1-1]
// [MQTT-4.13.1-1]
#[test]
fn reserved_flags_and_types() {
    run(&[
        both("type 0", &[0x00, 0x00], &[0x00, 0x00], MALFORMED),
        both("PUBACK flags", &[0x41, 2, 0, 1], &[0x41, 2, 0, 1], MALFORMED),
        both("PUBREC flags", &[0x52, 2, 0, 1], &[0x52, 2, 0, 1], MALFORMED),
        both("PUBREL flags", &[0x60, 2, 0, 1], &[0x60, 2, 0, 1], MALFORMED),
        both("PUBCOMP flags", &[0x78, 2, 0, 1], &[0x78, 2, 0, 1], MALFORMED),
        both("SUBSCRIBE flags", &[0x80, 6, 0, 1, 0, 1, b'a', 0], &[0x80, 0], MALFORMED),
        both("SUBSCRIBE DUP", &[0x8A, 6, 0, 1, 0, 1, b'a', 0], &[0x8A, 0], MALFORMED),
        both("UNSUBSCRIBE flags", &[0xA0, 5, 0, 1, 0, 1, b'a'], &[0xA0, 0], MALFORMED),
        both("PINGREQ flags", &[0xC1, 0], &[0xC1, 0], MALFORMED),
        both("DISCONNECT flags", &[0xE8, 0], &[0xE8, 0], MALFORMED),
        of_v5("AUTH flags", &[0xF2, 0], MALFORMED),
        Case { what: "AUTH before 5.0", v3: Some(&[0xF0, 0]), v5: None },
    ]);
}

// [MQTT3-4.8.0-1] [MQTT-4.13.1-1]
#[test]
fn packets_that_only_a_server_sends() {
    run(&[
        both("CONNACK", &[0x20, 2, 0, 0], &[0x20, 3, 0, 0, 0], PROTOCOL),
        both("SUBACK", &[0x90, 3, 0, 1, 0], &[0x90, 4, 0, 1, 0, 0], PROTOCOL),
        both("UNSUBACK", &[0xB0, 2, 0, 1], &[0xB0, 4, 0, 1, 0, 0], PROTOCOL),
        both("PINGRESP", &[0xD0, 0], &[0xD0, 0], PROTOCOL),
    ]);
}

// [MQTT-1.5.5-1]
#[test]
fn lengths() {
    run(&[
        both("needless bytes", &[0xC0, 0x80, 0x00], &[0xC0, 0x80, 0x00], MALFORMED),
        both(
            "five bytes",
            &[0x30, 0x80, 0x80, 0x80, 0x80],
            &[0x30, 0x80, 0x80, 0x80, 0x80],
            MALFORMED,
        ),
        both("PINGREQ with a body", &[0xC0, 1, 0], &[0xC0, 1, 0], MALFORMED),
        both("PUBACK too short", &[0x40, 1, 0], &[0x40, 1, 0], MALFORMED),
        both("PUBLISH without a topic", &[0x30, 1, 0], &[0x30, 1, 0], MALFORMED),
        both("a topic beyond the end", &[0x30, 3, 0, 9, b'a'], &[0x30, 3, 0, 9, b'a'], MALFORMED),
        both("SUBSCRIBE ends early", &[0x82, 4, 0, 1, 0, 3], &[0x82, 5, 0, 1, 0, 0, 3], MALFORMED),
        of_v5("properties beyond the end", &[0x30, 5, 0, 1, b'a', 9, 1], MALFORMED),
    ]);
}

// [MQTT-1.5.4-1] [MQTT-1.5.4-2] [MQTT-1.5.7-1] [MQTT3-1.5.3-1] [MQTT3-1.5.3-2] [MQTT-4.7.3-2]
// [MQTT3-4.7.3-2] [MQTT-3.3.2-1] [MQTT3-3.3.2-1] [MQTT-3.8.3-1] [MQTT3-3.8.3-1] [MQTT-3.10.3-1]
// [MQTT3-3.10.3-1] [MQTT-3.3.2-13] [MQTT-3.3.2-19] [MQTT-4.7.3-3] [MQTT3-4.7.3-3]
#[test]
fn strings() {
    run(&[
        both("not UTF-8", &[0x30, 3, 0, 1, 0xFF], &[0x30, 4, 0, 1, 0xFF, 0], MALFORMED),
        both(
            "a surrogate",
            &[0x30, 5, 0, 3, 0xED, 0xA0, 0x80],
            &[0x30, 6, 0, 3, 0xED, 0xA0, 0x80, 0],
            MALFORMED,
        ),
        both("U+0000", &[0x30, 4, 0, 2, b'a', 0], &[0x30, 5, 0, 2, b'a', 0, 0], MALFORMED),
        both(
            "a filter that is not UTF-8",
            &[0x82, 6, 0, 1, 0, 1, 0xC0, 0],
            &[0x82, 7, 0, 1, 0, 0, 1, 0xC0, 0],
            MALFORMED,
        ),
        both(
            "UNSUBSCRIBE that is not UTF-8",
            &[0xA2, 5, 0, 1, 0, 1, 0xC0],
            &[0xA2, 6, 0, 1, 0, 0, 1, 0xC0],
            MALFORMED,
        ),
        of_v5(
            "a user property's value",
            &[0x30, 11, 0, 1, b'a', 7, 0x26, 0, 1, b'k', 0, 1, 0xFF],
            MALFORMED,
        ),
        of_v5("a response topic", &[0x30, 8, 0, 1, b'a', 4, 0x08, 0, 1, 0xFF], MALFORMED),
        of_v5("a content type", &[0x30, 8, 0, 1, b'a', 4, 0x03, 0, 1, 0xFF], MALFORMED),
    ]);
}

// [MQTT-3.3.1-4] [MQTT3-3.3.1-4] [MQTT-3.3.1-2] [MQTT3-3.3.1-2] [MQTT-2.2.1-2] [MQTT-2.2.1-3]
// [MQTT3-2.3.1-1]
#[test]
fn publish_flags_and_identifiers() {
    run(&[
        both("QoS 3", &[0x36, 5, 0, 1, b't', 0, 1], &[0x36, 6, 0, 1, b't', 0, 1, 0], MALFORMED),
        both("DUP with QoS 0", &[0x38, 3, 0, 1, b't'], &[0x38, 4, 0, 1, b't', 0], MALFORMED),
        both(
            "identifier 0",
            &[0x32, 5, 0, 1, b't', 0, 0],
            &[0x32, 6, 0, 1, b't', 0, 0, 0],
            PROTOCOL,
        ),
        both("SUBSCRIBE 0", &[0x82, 6, 0, 0, 0, 1, b'a', 0], &[0x82, 2, 0, 0], PROTOCOL),
        both("UNSUBSCRIBE 0", &[0xA2, 5, 0, 0, 0, 1, b'a'], &[0xA2, 2, 0, 0], PROTOCOL),
        both("PUBACK 0", &[0x40, 2, 0, 0], &[0x40, 2, 0, 0], PROTOCOL),
        both("no identifier", &[0x32, 3, 0, 1, b't'], &[0x32, 3, 0, 1, b't'], MALFORMED),
    ]);
}

// [MQTT-3.3.2-2] [MQTT3-3.3.2-2] [MQTT-4.7.0-1] [MQTT3-4.7.1-1] [MQTT-4.7.3-1] [MQTT3-4.7.3-1]
// [MQTT-3.3.2-14]
#[test]
fn topic_names() {
    let invalid = ReasonCode::TopicNameInvalid;
    run(&[
        both("+", &[0x30, 5, 0, 3, b'a', b'/', b'+'], &[0x30, 4, 0, 1, b'+', 0], invalid),
        both("#", &[0x30, 3, 0, 1, b'#'], &[0x30, 5, 0, 2, b'a', b'#', 0], invalid),
        both("empty", &[0x30, 2, 0, 0], &[0x30, 3, 0, 0, 0], PROTOCOL),
        of_v5(
            "a response topic with a wildcard",
            &[0x30, 8, 0, 1, b'a', 4, 0x08, 0, 1, b'#'],
            PROTOCOL,
        ),
    ]);
}

// [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT3-4.7.1-2] [MQTT3-4.7.1-3] [MQTT-4.8.2-1] [MQTT-4.8.2-2]
// [MQTT-4.7.3-1]
#[test]
fn topic_filters() {
    on_every_size(|rig| {
        let filters = [
            "",
            "a#",
            "a/#/b",
            "#/",
            "a+",
            "+a/b",
            "a/+b",
            "##",
            "$share/",
            "$share/g",
            "$share/g/",
            "$share//t",
            "$share/a+b/t",
            "$share/#/t",
            "$share/g/a#",
        ];
        for filter in filters {
            let mut subscribe = vec![0x82, 6 + filter.len() as u8, 0, 1, 0, 0, filter.len() as u8];
            subscribe.extend(filter.as_bytes());
            subscribe.push(0);
            rig.connect(&v5("a"));
            rig.send_bytes("a", &subscribe);
            assert!(rig.is_closed("a"), "{filter:?}");
            rig.thrown_out("a", ReasonCode::TopicFilterInvalid);
            // The same without properties.
            subscribe.remove(4);
            subscribe[1] -= 1;
            if filter.starts_with("$share") {
                continue;
            }
            rig.connect(&v311("b"));
            rig.send_bytes("b", &subscribe);
            rig.closed("b");
        }
    });
}

// [MQTT-3.8.3-2] [MQTT3-3.8.3-3] [MQTT-3.8.3-4] [MQTT-3.8.3-5] [MQTT3-3.8.3-4] [MQTT-3.10.3-2]
// [MQTT3-3.10.3-2]
#[test]
fn subscribe_and_unsubscribe() {
    run(&[
        both("no filter", &[0x82, 2, 0, 1], &[0x82, 3, 0, 1, 0], PROTOCOL),
        both("nothing to unsubscribe", &[0xA2, 2, 0, 1], &[0xA2, 3, 0, 1, 0], PROTOCOL),
        both(
            "reserved bits",
            &[0x82, 6, 0, 1, 0, 1, b'a', 0x04],
            &[0x82, 7, 0, 1, 0, 0, 1, b'a', 0x40],
            MALFORMED,
        ),
        both(
            "QoS 3",
            &[0x82, 6, 0, 1, 0, 1, b'a', 0x03],
            &[0x82, 7, 0, 1, 0, 0, 1, b'a', 0x03],
            PROTOCOL,
        ),
        of_v5("retain handling 3", &[0x82, 7, 0, 1, 0, 0, 1, b'a', 0x30], PROTOCOL),
        of_v5("no local on a share group", b"\x82\x10\x00\x01\x00\x00\x0a$share/g/t\x04", PROTOCOL),
        of_v5("subscription identifier 0", &[0x82, 9, 0, 1, 2, 0x0B, 0, 0, 1, b'a', 0], PROTOCOL),
    ]);
}

// [MQTT-3.3.4-6] [MQTT-4.13.1-1] [MQTT-3.14.2-1]
#[test]
fn properties() {
    run(&[
        of_v5("a subscription identifier", &[0x30, 6, 0, 1, b'a', 2, 0x0B, 1], PROTOCOL),
        of_v5("twice", &[0x30, 8, 0, 1, b'a', 4, 0x01, 0, 0x01, 0], PROTOCOL),
        of_v5("payload format 2", &[0x30, 6, 0, 1, b'a', 2, 0x01, 2], PROTOCOL),
        of_v5("unknown", &[0x30, 6, 0, 1, b'a', 2, 0x7F, 0], MALFORMED),
        of_v5("of another packet", &[0x30, 7, 0, 1, b'a', 3, 0x21, 0, 1], MALFORMED),
        of_v5("a reason code of another packet", &[0x40, 3, 0, 1, 0x18], PROTOCOL),
        of_v5("a reason code of nobody", &[0x40, 3, 0, 1, 0x7F], PROTOCOL),
        of_v5("AUTH without a method", &[0xF0, 2, 0x18, 0], PROTOCOL),
    ]);
}

/// A CONNECT that is wrong, as 3.1.1 and as 5.0.
fn connects(rig: &mut Rig, bytes: &[u8], is_v5: bool, reason: ReasonCode, what: &str) {
    let version = if is_v5 { Version::V5 } else { Version::V311 };
    rig.open("c", version, None);
    rig.send_bytes("c", bytes);
    assert!(rig.is_closed("c"), "{what}: still open");
    if is_v5 {
        assert_eq!(rig.expect("c").conn_ack().reason, reason, "{what}");
    }
    rig.closed("c");
}

/// CONNECT with these flags and this payload.
fn connect(is_v5: bool, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut body = b"\x00\x04MQTT".to_vec();
    body.extend([if is_v5 { 5 } else { 4 }, flags, 0, 0]);
    if is_v5 {
        body.push(0);
    }
    body.extend(payload);
    [vec![0x10, body.len() as u8], body].concat()
}

// [MQTT-3.1.4-1] [MQTT3-3.1.4-1] [MQTT-3.1.2-9] [MQTT-3.1.2-11] [MQTT-3.1.2-12] [MQTT-3.1.2-13]
// [MQTT-3.1.2-16] [MQTT-3.1.2-17] [MQTT-3.1.2-18] [MQTT-3.1.2-19] [MQTT3-3.1.2-9] [MQTT3-3.1.2-11]
// [MQTT3-3.1.2-13] [MQTT3-3.1.2-14] [MQTT3-3.1.2-15] [MQTT3-3.1.2-18] [MQTT3-3.1.2-19]
// [MQTT3-3.1.2-20] [MQTT3-3.1.2-21] [MQTT3-3.1.2-22] [MQTT-3.1.3-1] [MQTT3-3.1.3-1] [MQTT-3.1.3-3]
// [MQTT3-3.1.3-3] [MQTT-3.1.3-4] [MQTT3-3.1.3-4] [MQTT-3.1.3-11] [MQTT3-3.1.3-10] [MQTT-3.1.3-12]
// [MQTT3-3.1.3-11]
#[test]
fn connect_packets() {
    let will: &[u8] = b"\x00\x01c\x00\x01t\x00\x01m";
    let cases: [(&str, u8, &[u8], ReasonCode); 14] = [
        ("no client identifier", 0x02, b"", MALFORMED),
        ("an identifier that is not UTF-8", 0x02, b"\x00\x01\xFF", MALFORMED),
        ("an identifier with U+0000", 0x02, b"\x00\x01\x00", MALFORMED),
        ("Will QoS without a will", 0x0A, b"\x00\x01c", PROTOCOL),
        ("Will Retain without a will", 0x22, b"\x00\x01c", PROTOCOL),
        ("Will QoS 3", 0x1E, will, MALFORMED),
        ("a will that is not there", 0x06, b"\x00\x01c", MALFORMED),
        ("a Will Topic that is not UTF-8", 0x06, b"\x00\x01c\x00\x01\xFF\x00\x01m", MALFORMED),
        ("a user name that is not there", 0x82, b"\x00\x01c", MALFORMED),
        ("a user name that nobody announced", 0x02, b"\x00\x01c\x00\x01u", MALFORMED),
        ("a user name that is not UTF-8", 0x82, b"\x00\x01c\x00\x01\xFF", MALFORMED),
        ("a password that is not there", 0xC2, b"\x00\x01c\x00\x01u", MALFORMED),
        ("a password that nobody announced", 0x82, b"\x00\x01c\x00\x01u\x00\x01p", MALFORMED),
        ("a user name cut short", 0x82, b"\x00\x01c\x00\x05u", MALFORMED),
    ];
    on_every_size(|rig| {
        for (what, flags, payload, reason) in cases {
            connects(rig, &connect(false, flags, payload), false, reason, what);
            // The Will Properties of 5.0 come before the Will Topic.
            let mut payload = payload.to_vec();
            if flags & 0x04 != 0 && payload.len() > 3 {
                payload.insert(3, 0);
            }
            connects(rig, &connect(true, flags, &payload), true, reason, what);
        }
        // A password needs no user name in 5.0, but before.
        let alone = b"\x00\x01c\x00\x01p";
        connects(rig, &connect(false, 0x42, alone), false, PROTOCOL, "a password alone");
        rig.open("d", Version::V5, None);
        rig.send_bytes("d", &connect(true, 0x42, alone));
        assert_eq!(rig.expect("d").conn_ack().reason, ReasonCode::Success);
    });
}

// [MQTT-3.1.4-1] [MQTT-1.5.5-1]
#[test]
fn connect_properties() {
    let connect = |properties: &[u8]| {
        let mut body = b"\x00\x04MQTT\x05\x02\x00\x00".to_vec();
        body.push(properties.len() as u8);
        body.extend(properties);
        body.extend(b"\x00\x01c");
        [vec![0x10, body.len() as u8], body].concat()
    };
    let cases: [(&str, &[u8], ReasonCode); 7] = [
        ("Receive Maximum 0", &[0x21, 0, 0], PROTOCOL),
        ("Maximum Packet Size 0", &[0x27, 0, 0, 0, 0], PROTOCOL),
        ("Request Problem Information 2", &[0x17, 2], PROTOCOL),
        ("Request Response Information 2", &[0x19, 2], PROTOCOL),
        ("Authentication Data alone", &[0x16, 0, 1, 1], PROTOCOL),
        ("twice", &[0x22, 0, 1, 0x22, 0, 1], PROTOCOL),
        ("of another packet", &[0x23, 0, 1], MALFORMED),
    ];
    on_every_size(|rig| {
        for (what, properties, reason) in cases {
            connects(rig, &connect(properties), true, reason, what);
        }
    });
}

// [MQTT-4.13.1-1] [MQTT3-4.8.0-1]
#[test]
fn what_came_before_the_error_counts_and_what_comes_after_does_not() {
    on_every_size(|rig| {
        rig.connect(&v5("s"));
        rig.subscribe("s", "t", 0);
        for hello in [v31("a"), v311("b"), v5("c")] {
            rig.connect(&hello);
            let name = hello.name();
            rig.give_message(name, &msg("t", "before"));
            rig.give(name, &[0x00, 0x00]);
            rig.give_message(name, &msg("t", "after"));
            rig.settle();
            assert_eq!(rig.take_payloads("s"), ["before"]);
            assert!(rig.is_closed(name));
        }
        rig.thrown_out("c", MALFORMED);
    });
}

// [MQTT3-3.1.2-1]
#[test]
fn version_3_1_has_a_dup_flag_elsewhere() {
    on_every_size(|rig| {
        rig.connect(&v31("a"));
        rig.send_bytes("a", &[0x8A, 6, 0, 1, 0, 1, b't', 1]);
        assert_eq!(rig.expect("a").sub_ack().codes, [1]);
        rig.send_bytes("a", &[0xAA, 5, 0, 2, 0, 1, b't']);
        rig.expect("a").unsub_ack();
        rig.send_bytes("a", &[0x6A, 2, 0, 3]);
        rig.expect("a").pub_comp();
    });
}
