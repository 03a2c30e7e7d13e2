//! A store that is full or fails: what would have to be durable is refused or waits, everything
//! else goes on, and all heals.

use martlet_engine::store::StoreHealth;
use martlet_proto::{PacketType, ReasonCode};

use crate::rig::{Got, Rig, msg, on_every_size, options, v5, v311};

const TROUBLES: [(StoreHealth, ReasonCode); 2] = [
    (StoreHealth::Full, ReasonCode::QuotaExceeded),
    (StoreHealth::Failing, ReasonCode::ImplementationSpecificError),
];

/// A durable session that is away, and a durable one that is there.
fn start(rig: &mut Rig) {
    rig.connect(&v5("away").lasting());
    rig.subscribe("away", "t", 2);
    rig.cut("away");
    rig.connect(&v5("here").lasting());
    rig.subscribe("here", "u", 2);
}

/// Whether PUBACK or PUBREC refuses with this reason, and says why.
fn is_refusal(got: &Got, qos: u8, reason: ReasonCode) {
    let ack = match qos {
        1 => got.pub_ack(),
        _ => got.pub_rec(),
    };
    assert_eq!(ack.reason, reason);
    assert!(ack.properties.reason_string.is_some_and(|why| why.contains("store")), "{ack:?}");
}

// [MQTT-4.3.3-9]
#[test]
fn durable_publishes_are_refused_with_a_reason() {
    on_every_size(|rig| {
        start(rig);
        let names: Vec<String> = (0..2).map(|n| rig.name_at(&format!("p{n}-"), n)).collect();
        for name in &names {
            rig.connect(&v5(name));
        }
        rig.connect(&v5("d").lasting());
        let mut refused = 0;
        for (health, reason) in TROUBLES {
            rig.set_health(health);
            for name in names.iter().map(String::as_str).chain(["d"]) {
                for topic in ["t", "u", "retained"] {
                    for qos in [1, 2] {
                        let message = msg(topic, "m").qos(qos).id(3);
                        let message = if topic == "retained" { message.retain() } else { message };
                        rig.send_message(name, &message);
                        is_refusal(&rig.expect(name), qos, reason);
                        refused += 1;
                    }
                }
            }
        }
        assert_eq!(rig.stats().refused_by_store, refused);
        rig.nothing("here");
        // All heals, and the identifiers are free.
        rig.set_health(StoreHealth::Healthy);
        for name in names.iter().map(String::as_str).chain(["d"]) {
            rig.send_message(name, &msg("t", name).qos(2).id(3));
            assert_eq!(rig.expect(name).pub_rec().reason, ReasonCode::Success);
        }
        rig.connect(&v5("away").lasting());
        let mut got = rig.take_payloads("away");
        got.sort();
        assert_eq!(got.len(), 3);
    });
}

// [MQTT-3.1.2-29]
#[test]
fn who_wants_no_reasons_gets_the_code_alone() {
    on_every_size(|rig| {
        start(rig);
        rig.connect(&v5("p").no_problem_information());
        rig.set_health(StoreHealth::Full);
        rig.send_message("p", &msg("t", "m").qos(1));
        let got = rig.expect("p");
        assert_eq!(got.pub_ack().reason, ReasonCode::QuotaExceeded);
        assert_eq!(got.pub_ack().properties.reason_string, None);
    });
}

#[test]
fn persistent_connects_are_refused_and_others_are_not() {
    on_every_size(|rig| {
        start(rig);
        for (health, reason) in TROUBLES {
            rig.set_health(health);
            rig.call(&v5("away").lasting());
            rig.refused("away", reason);
            rig.call(&v5("new").lasting());
            rig.refused("new", reason);
            rig.call(&v311("new").lasting());
            rig.refused("new", ReasonCode::ServerUnavailable);
            assert!(!rig.connect(&v5("clean")));
            assert!(!rig.connect(&v311("clean3")));
            rig.goodbye("clean");
            rig.goodbye("clean3");
        }
        rig.set_health(StoreHealth::Healthy);
        assert!(rig.connect(&v5("away").lasting()));
        assert!(!rig.connect(&v5("new").lasting()));
    });
}

#[test]
fn subscriptions_of_durable_sessions_are_refused_and_others_are_not() {
    on_every_size(|rig| {
        start(rig);
        rig.connect(&v311("three").lasting());
        rig.connect(&v5("clean"));
        for (health, reason) in TROUBLES {
            rig.set_health(health);
            for filter in ["x", "$share/g/x"] {
                rig.give_subscribe("here", &[(filter, options(1))], None);
                rig.settle();
                let got = rig.expect("here");
                assert_eq!(got.sub_ack().codes, [reason as u8]);
                let why = got.sub_ack().properties.reason_string;
                assert!(why.is_some_and(|why| why.contains("store")), "{why:?}");
                assert_eq!(rig.subscribe_with("three", &[(filter, options(1))], None), [0x80]);
                assert_eq!(rig.subscribe_with("clean", &[(filter, options(1))], None), [1]);
            }
        }
        // Nobody but the clean session gets it.
        rig.connect(&v5("p"));
        rig.publish("p", "x", "m", 1);
        rig.nothing("here");
        rig.nothing("three");
        assert_eq!(rig.take_payloads("clean").len(), 2);
        rig.set_health(StoreHealth::Healthy);
        rig.subscribe("here", "x", 1);
    });
}

#[test]
fn publishers_that_cannot_be_told_wait_until_it_is_over() {
    on_every_size(|rig| {
        start(rig);
        for hello in [v311("p"), v311("q").lasting()] {
            let name = hello.name();
            rig.connect(&hello);
            rig.set_health(StoreHealth::Full);
            rig.send_message(name, &msg("t", "1").qos(1).id(1));
            rig.send_message(name, &msg("t", "2").qos(2).id(2));
            rig.send_message(name, &msg("t", "3").qos(1).id(3));
            rig.advance_s(100);
            rig.nothing(name);
            rig.set_health(StoreHealth::Healthy);
            assert_eq!(rig.expect(name).pub_ack().packet_id.get(), 1);
            assert_eq!(rig.expect(name).pub_rec().packet_id.get(), 2);
            assert_eq!(rig.expect(name).pub_ack().packet_id.get(), 3);
        }
        assert_eq!(rig.stats().refused_by_store, 0);
        rig.connect(&v5("away").lasting());
        assert_eq!(rig.take_payloads("away"), ["1", "2", "3", "1", "2", "3"]);
    });
}

#[test]
fn what_was_taken_before_is_answered_when_it_is_over() {
    on_every_size(|rig| {
        start(rig);
        rig.connect(&v5("p"));
        rig.hold();
        rig.send_message("p", &msg("t", "1").qos(1));
        let id = rig.give_unsubscribe("here", &["u"]);
        rig.set_health(StoreHealth::Full);
        rig.go_on();
        rig.send_message("p", &msg("t", "2").qos(1));
        // The refusal waits its turn.
        rig.nothing("p");
        rig.nothing("here");
        rig.set_health(StoreHealth::Healthy);
        assert_eq!(rig.expect("p").pub_ack().reason, ReasonCode::Success);
        assert_eq!(rig.expect("p").pub_ack().reason, ReasonCode::QuotaExceeded);
        assert_eq!(rig.expect("here").unsub_ack().packet_id.get(), id);
        rig.connect(&v5("away").lasting());
        assert_eq!(rig.take_payloads("away"), ["1"]);
    });
}

#[test]
fn qos_0_and_clean_sessions_go_on() {
    on_every_size(|rig| {
        start(rig);
        rig.connect(&v5("clean"));
        rig.subscribe("clean", "c", 2);
        rig.connect(&v5("p"));
        rig.connect(&v5("d").lasting());
        for (health, _) in TROUBLES {
            rig.set_health(health);
            for qos in 0..=2 {
                rig.publish("p", "c", "m", qos);
                assert_eq!(rig.take_payloads("clean"), ["m"]);
            }
            rig.publish("d", "c", "m", 1);
            assert_eq!(rig.take_payloads("clean"), ["m"]);
            rig.publish("p", "u", "m", 0);
            assert_eq!(rig.take_payloads("here"), ["m"]);
        }
    });
}

#[test]
fn a_durable_publisher_is_told_at_once_that_its_qos_2_message_cannot_be_taken() {
    on_every_size(|rig| {
        rig.connect(&v5("d").lasting());
        rig.connect(&v5("clean"));
        rig.subscribe("clean", "c", 2);
        for (health, reason) in TROUBLES {
            rig.set_health(health);
            // Its identifier could not be remembered.
            rig.send_message("d", &msg("c", "m").qos(2).id(9));
            is_refusal(&rig.expect("d"), 2, reason);
        }
        rig.set_health(StoreHealth::Healthy);
        rig.send_message("d", &msg("c", "m").qos(2).id(9));
        assert_eq!(rig.expect("d").pub_rec().reason, ReasonCode::Success);
        assert_eq!(rig.take_payloads("clean"), ["m"]);
    });
}

#[test]
fn receivers_go_on_with_what_is_durable() {
    on_every_size(|rig| {
        start(rig);
        rig.connect(&v5("p"));
        for payload in ["1", "2"] {
            rig.publish("p", "u", payload, 1);
        }
        rig.set_health(StoreHealth::Full);
        assert_eq!(rig.take_payloads("here"), ["1", "2"]);
        // A PUBREC cannot be remembered now: PUBREL waits.
        rig.set_health(StoreHealth::Healthy);
        rig.publish("p", "u", "3", 2);
        rig.set_health(StoreHealth::Full);
        let message = rig.expect_publish("here");
        rig.pub_rec("here", message.id.expect("an identifier"));
        rig.nothing("here");
        rig.set_health(StoreHealth::Healthy);
        rig.take_first("here", PacketType::PubRel);
    });
}

#[test]
fn a_clean_start_over_a_durable_session_waits_until_it_can_be_forgotten() {
    on_every_size(|rig| {
        start(rig);
        rig.set_health(StoreHealth::Full);
        rig.call(&v5("away"));
        rig.nothing("away");
        rig.set_health(StoreHealth::Healthy);
        assert!(!rig.expect("away").conn_ack().session_present);
        assert_eq!(rig.stored("away").len(), 0);
    });
}
