//! What an acknowledgement waits for: exactly what it promises.

use martlet_proto::{Disconnect, Packet, PacketType, ReasonCode};

use crate::rig::{Rig, msg, on_every_size, on_sizes, options, v5, v311};

/// A durable session with one subscription at QoS 2, and no connection.
fn absent(rig: &mut Rig, name: &str, filter: &str) {
    rig.connect(&v5(name).lasting());
    rig.subscribe(name, filter, 2);
    rig.goodbye(name);
}

/// A durable session with one subscription at QoS 2, connected.
fn present(rig: &mut Rig, name: &str, filter: &str) {
    rig.connect(&v5(name).lasting());
    rig.subscribe(name, filter, 2);
}

/// One PUBLISH whose answer must not come before the commit, and must then.
fn waits(rig: &mut Rig, message: &crate::rig::Message) {
    let id = rig.send_message("p", message);
    rig.nothing("p");
    rig.commit();
    let got = rig.expect("p");
    match message.qos as u8 {
        1 => assert_eq!(got.pub_ack().packet_id.get(), id),
        _ => assert_eq!(got.pub_rec().packet_id.get(), id),
    }
}

#[test]
fn puback_waits_for_an_absent_durable_subscriber() {
    on_every_size(|rig| {
        absent(rig, "s", "t");
        for hello in [v5("p"), v311("p"), v5("p").lasting()] {
            rig.connect(&hello);
            rig.hold();
            waits(rig, &msg("t", "m").qos(1));
            assert_eq!(rig.ops(), ["entry s m qos 1"]);
            rig.go_on();
            rig.goodbye("p");
        }
    });
}

#[test]
fn puback_waits_for_a_durable_subscriber_that_is_there() {
    on_every_size(|rig| {
        present(rig, "s", "t");
        rig.connect(&v5("p"));
        rig.hold();
        waits(rig, &msg("t", "m").qos(1));
        assert_eq!(rig.ops(), ["entry s m qos 1 id 1"]);
        rig.take_message("s");
    });
}

#[test]
fn puback_waits_for_all_durable_subscribers_wherever_they_are() {
    on_every_size(|rig| {
        let names: Vec<String> = (0..4).map(|n| rig.name_at(&format!("s{n}-"), n)).collect();
        for name in &names {
            absent(rig, name, "t");
        }
        rig.connect(&v5("c"));
        rig.subscribe("c", "t", 1);
        rig.connect(&v5("p"));
        rig.hold();
        let id = rig.send_message("p", &msg("t", "m").qos(1));
        // A clean session has it at once.
        assert_eq!(rig.take_payloads("c"), ["m"]);
        for shard in (0..rig.shards()).rev() {
            rig.nothing("p");
            rig.commit_shard(shard);
        }
        assert_eq!(rig.expect("p").pub_ack().packet_id.get(), id);
        assert_eq!(rig.ops().len(), 4);
    });
}

#[test]
fn puback_waits_for_what_is_retained() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        rig.hold();
        for topic in ["t", "u", "v"] {
            waits(rig, &msg(topic, "m").qos(1).retain());
            assert_eq!(rig.ops(), [format!("retain {topic} m")]);
            waits(rig, &msg(topic, "").qos(2).retain());
            assert_eq!(rig.ops(), [format!("unretain {topic}")]);
            rig.pub_rel("p", 2);
            rig.take_first("p", PacketType::PubComp);
            // There was nothing to remove.
            assert_eq!(
                rig.publish_message("p", &msg(topic, "").qos(1).retain()),
                ReasonCode::NoMatchingSubscribers
            );
            rig.client("p");
        }
    });
}

#[test]
fn pubrec_waits_for_an_absent_durable_subscriber() {
    on_every_size(|rig| {
        absent(rig, "s", "t");
        for hello in [v5("p"), v311("p")] {
            rig.connect(&hello);
            rig.hold();
            waits(rig, &msg("t", "m").qos(2));
            assert_eq!(rig.ops(), ["entry s m qos 2"]);
            // A clean session's identifier is nobody's concern after it.
            rig.pub_rel("p", 1);
            rig.take_first("p", PacketType::PubComp);
            rig.go_on();
            rig.goodbye("p");
        }
    });
}

#[test]
fn pubrec_and_pubcomp_to_a_durable_publisher_wait_for_its_identifier() {
    on_every_size(|rig| {
        rig.connect(&v5("p").lasting());
        rig.hold();
        for payload in ["a", "b"] {
            waits(rig, &msg("t", payload).qos(2).id(9));
            assert_eq!(rig.ops(), ["incoming p 9"]);
            rig.pub_rel("p", 9);
            rig.nothing("p");
            assert_eq!(rig.ops(), ["released p 9"]);
            rig.commit();
            assert_eq!(rig.expect("p").pub_comp().packet_id.get(), 9);
        }
    });
}

#[test]
fn pubrel_to_a_durable_receiver_waits_for_its_pubrec() {
    on_every_size(|rig| {
        present(rig, "s", "t");
        rig.connect(&v5("p"));
        rig.publish("p", "t", "m", 2);
        let id = rig.expect_publish("s").id.expect("an identifier");
        rig.hold();
        rig.pub_rec("s", id);
        rig.nothing("s");
        assert_eq!(rig.ops(), ["release s m id 1"]);
        // The client asks again: no sooner.
        rig.pub_rec("s", id);
        rig.nothing("s");
        rig.commit();
        for _ in 0..2 {
            assert_eq!(rig.expect("s").pub_rel().packet_id.get(), id);
        }
        rig.pub_comp("s", id);
        assert_eq!(rig.ops(), ["remove s m"]);
    });
}

#[test]
fn suback_and_unsuback_of_a_durable_session_wait() {
    on_every_size(|rig| {
        rig.connect(&v5("s").lasting());
        for filter in ["t/+", "$share/g/t"] {
            rig.hold();
            let id = rig.give_subscribe("s", &[(filter, options(1))], None);
            assert_eq!(rig.ops(), [format!("subscribe s {filter}")]);
            rig.nothing("s");
            rig.commit();
            assert_eq!(rig.expect("s").sub_ack().packet_id.get(), id);
            let id = rig.give_unsubscribe("s", &[filter]);
            assert_eq!(rig.ops(), [format!("unsubscribe s {filter}")]);
            rig.nothing("s");
            rig.commit();
            assert_eq!(rig.expect("s").unsub_ack().packet_id.get(), id);
        }
    });
}

#[test]
fn connack_of_a_durable_session_waits() {
    on_every_size(|rig| {
        for (hello, seconds) in [(v5("s").lasting(), 86_400), (v311("s").lasting(), u32::MAX)] {
            rig.hold();
            rig.call(&hello);
            rig.nothing("s");
            assert_eq!(rig.ops(), [format!("session s {seconds}s here")]);
            rig.commit();
            let ack = rig.expect("s");
            assert_eq!(ack.conn_ack().reason, ReasonCode::Success);
            assert_eq!(ack.conn_ack().session_present, seconds != 86_400);
            rig.go_on();
            rig.cut("s");
        }
    });
}

#[test]
fn connack_of_a_resumed_session_waits_and_what_follows_comes_behind_it() {
    on_every_size(|rig| {
        absent(rig, "s", "t");
        rig.connect(&v5("p"));
        rig.publish("p", "t", "m", 1);
        rig.hold();
        rig.call(&v5("s").lasting());
        rig.answer_loads(true);
        rig.nothing("s");
        assert_eq!(rig.ops(), ["session s 86400s here"]);
        rig.commit();
        assert!(rig.expect("s").conn_ack().session_present);
        assert_eq!(rig.take_message("s").text(), "m");
    });
}

#[test]
fn connack_of_a_clean_start_waits_until_the_old_session_is_gone_for_good() {
    on_every_size(|rig| {
        absent(rig, "s", "t");
        rig.hold();
        rig.call(&v5("s"));
        rig.nothing("s");
        assert_eq!(rig.ops(), ["end s"]);
        rig.commit();
        assert!(!rig.expect("s").conn_ack().session_present);
        rig.kill(2, 0);
        assert!(!rig.connect(&v5("s").lasting()));
    });
}

#[test]
fn connack_of_a_clean_start_waits_also_when_an_earlier_one_was_not_answered() {
    on_every_size(|rig| {
        absent(rig, "s", "t");
        rig.hold();
        rig.call(&v5("s"));
        rig.nothing("s");
        rig.cut("s");
        rig.call(&v5("again").id("s"));
        rig.nothing("again");
        // It is about this client only.
        rig.connect(&v5("other"));
        rig.commit();
        assert!(!rig.expect("again").conn_ack().session_present);
    });
}

#[test]
fn connack_of_a_takeover_waits() {
    on_every_size(|rig| {
        present(rig, "s", "t");
        rig.hold();
        rig.call(&v5("s2").id("s").lasting());
        rig.nothing("s2");
        rig.thrown_out("s", ReasonCode::SessionTakenOver);
        rig.commit();
        assert!(rig.expect("s2").conn_ack().session_present);
        // Taken over again before the store has said anything: the one in between hears nothing.
        rig.call(&v5("s3").id("s").lasting());
        rig.nothing("s3");
        rig.call(&v5("s4").id("s").lasting());
        rig.closed("s3");
        rig.commit();
        assert!(rig.expect("s4").conn_ack().session_present);
        rig.thrown_out("s2", ReasonCode::SessionTakenOver);
    });
}

#[test]
fn nothing_waits_that_leaves_nothing() {
    on_every_size(|rig| {
        absent(rig, "d", "elsewhere");
        let (p, s) = (rig.name_at("p", 0), rig.name_at("s", 1));
        rig.hold();
        rig.connect(&v5(&p));
        rig.connect(&v5(&s));
        rig.subscribe(&s, "t/#", 2);
        rig.subscribe(&s, "$share/g/u", 2);
        for qos in 0..=2 {
            rig.publish(&p, "t/x", "m", qos);
            assert_eq!(rig.take_payloads(&s), ["m"]);
            rig.publish(&p, "u", "m", qos);
            assert_eq!(rig.take_payloads(&s), ["m"]);
            rig.publish(&p, "nobody", "m", qos);
        }
        // QoS 0 is not for absent ones.
        rig.publish(&p, "elsewhere", "m", 0);
        rig.unsubscribe(&s, &["t/#"]);
        rig.cut(&s);
        assert_eq!(rig.ops(), Vec::<String>::new());
        assert_eq!(rig.pending(), 0);
    });
}

#[test]
fn a_durable_session_publishes_qos_1_to_nobody_at_once() {
    on_every_size(|rig| {
        rig.connect(&v5("p").lasting());
        rig.connect(&v5("s"));
        rig.subscribe("s", "t", 1);
        rig.hold();
        rig.publish("p", "t", "m", 1);
        rig.publish("p", "u", "m", 1);
        assert_eq!(rig.take_payloads("s"), ["m"]);
        assert_eq!(rig.ops(), Vec::<String>::new());
    });
}

#[test]
fn a_qos_1_message_to_a_subscriber_with_qos_0_waits_for_nothing() {
    on_every_size(|rig| {
        rig.connect(&v5("s").lasting());
        rig.subscribe("s", "t", 0);
        rig.connect(&v5("p"));
        rig.hold();
        rig.publish("p", "t", "m", 1);
        assert_eq!(rig.take_payloads("s"), ["m"]);
        assert_eq!(rig.pending(), 0);
    });
}

// [MQTT-4.6.0-2] [MQTT-4.6.0-3] [MQTT3-4.6.0-2] [MQTT3-4.6.0-3]
#[test]
fn acknowledgements_keep_their_order_when_only_the_first_waits() {
    on_every_size(|rig| {
        absent(rig, "s", "t");
        for (hello, qos) in [(v5("p"), 1), (v311("p"), 1), (v5("p"), 2), (v311("p"), 2)] {
            rig.connect(&hello);
            rig.hold();
            for (id, topic) in [(1, "t"), (2, "nobody"), (3, "t"), (4, "nobody")] {
                rig.send_message("p", &msg(topic, "m").qos(qos).id(id));
                rig.nothing("p");
            }
            rig.commit();
            for id in 1..=4 {
                let got = rig.expect("p");
                match qos {
                    1 => assert_eq!(got.pub_ack().packet_id.get(), id),
                    _ => assert_eq!(got.pub_rec().packet_id.get(), id),
                }
            }
            rig.go_on();
            rig.goodbye("p");
        }
    });
}

#[test]
fn an_unsuback_behind_a_puback_that_waits_comes_behind_it() {
    on_every_size(|rig| {
        absent(rig, "s", "t");
        rig.connect(&v5("p"));
        rig.subscribe("p", "x", 0);
        rig.hold();
        rig.send_message("p", &msg("t", "m").qos(1));
        let id = rig.give_unsubscribe("p", &["x"]);
        rig.settle();
        rig.nothing("p");
        rig.commit();
        rig.expect("p").pub_ack();
        assert_eq!(rig.expect("p").unsub_ack().packet_id.get(), id);
    });
}

#[test]
fn answers_of_a_closed_connection_are_forgotten() {
    on_every_size(|rig| {
        absent(rig, "s", "t");
        for hello in [v5("p"), v5("p").lasting()] {
            rig.connect(&hello);
            rig.hold();
            rig.send_message("p", &msg("t", "1").qos(1));
            rig.send_message("p", &msg("t", "2").qos(2).id(20));
            rig.pub_rel("p", 77);
            rig.give_unsubscribe("p", &["x"]);
            rig.settle();
            rig.cut("p");
            rig.commit();
            rig.go_on();
            rig.connect(&hello.clone().clean(true));
            rig.nothing("p");
            rig.goodbye("p");
        }
    });
}

// [MQTT-4.3.3-10] [MQTT3-4.3.3-2]
#[test]
fn a_repeated_qos_2_publish_is_not_answered_before_the_first_is_stored() {
    on_every_size(|rig| {
        absent(rig, "s", "t");
        rig.connect(&v5("p").lasting());
        rig.hold();
        rig.send_message("p", &msg("t", "m").qos(2).id(5));
        rig.cut("p");
        rig.call(&v5("p2").id("p").lasting());
        rig.send_message("p2", &msg("t", "m").qos(2).id(5).dup());
        // The session's record is durable, the exchange is not.
        rig.nothing("p2");
        rig.commit();
        assert!(rig.expect("p2").conn_ack().session_present);
        assert_eq!(rig.expect("p2").pub_rec().packet_id.get(), 5);
        rig.send_message("p2", &msg("t", "m").qos(2).id(5).dup());
        assert_eq!(rig.expect("p2").pub_rec().packet_id.get(), 5);
        rig.go_on();
        assert_eq!(rig.stats().queued, 1);
    });
}

#[test]
fn a_repeated_qos_2_publish_waits_for_its_own_exchange_and_not_for_others() {
    on_sizes(
        &[2, 8],
        |_| {},
        |rig| {
            // The publisher's shard is 0, the receiver's 1: a joined exchange.
            let (p, s) = (rig.name_at("p", 0), rig.name_at("s", 1));
            absent(rig, &s, "t");
            rig.connect(&v5(&p).lasting());
            rig.hold();
            rig.send_message(&p, &msg("t", "m").qos(2).id(5));
            rig.cut(&p);
            rig.call(&v5("p2").id(&p).lasting());
            rig.commit_shard(0);
            assert!(rig.expect("p2").conn_ack().session_present);
            rig.send_message("p2", &msg("t", "m").qos(2).id(5).dup());
            rig.nothing("p2");
            rig.commit();
            assert_eq!(rig.expect("p2").pub_rec().packet_id.get(), 5);
        },
    );
}

#[test]
fn a_repeated_pubrel_is_not_answered_before_the_first_is_stored() {
    on_every_size(|rig| {
        rig.connect(&v5("p").lasting());
        rig.send_message("p", &msg("t", "m").qos(2).id(5));
        rig.take_first("p", PacketType::PubRec);
        rig.hold();
        rig.pub_rel("p", 5);
        rig.pub_rel("p", 5);
        rig.nothing("p");
        rig.cut("p");
        rig.call(&v5("p").lasting());
        rig.pub_rel("p", 5);
        rig.nothing("p");
        rig.commit();
        rig.expect("p").conn_ack();
        let got = rig.expect("p");
        assert_eq!(got.pub_comp().packet_id.get(), 5);
        assert_eq!(got.pub_comp().reason, ReasonCode::PacketIdentifierNotFound);
    });
}

#[test]
fn a_resent_pubrel_waits_for_the_pubrec_of_the_connection_before() {
    on_every_size(|rig| {
        present(rig, "s", "t");
        rig.connect(&v5("p"));
        rig.publish("p", "t", "m", 2);
        let id = rig.expect_publish("s").id.expect("an identifier");
        rig.hold();
        rig.pub_rec("s", id);
        rig.cut("s");
        rig.call(&v5("s").lasting());
        rig.nothing("s");
        rig.commit();
        rig.expect("s").conn_ack();
        assert_eq!(rig.expect("s").pub_rel().packet_id.get(), id);
        rig.nothing("s");
    });
}

#[test]
fn a_disconnect_that_changes_the_expiry_is_written_down() {
    on_every_size(|rig| {
        rig.connect(&v5("s").expiry_s(100));
        rig.hold();
        let disconnect = Disconnect {
            session_expiry_s: Some(7),
            ..Disconnect::new(ReasonCode::NormalDisconnection)
        };
        rig.send("s", Packet::Disconnect(disconnect));
        rig.closed("s");
        assert_eq!(rig.ops(), ["session s 7s away"]);
    });
}
