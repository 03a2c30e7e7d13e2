//! Shared subscriptions: one member gets each message; what a member leaves behind goes to another.

use std::collections::BTreeMap;

use martlet_engine::Drop;
use martlet_proto::{Ack, Packet, PacketType, ReasonCode};

use crate::rig::{Message, Rig, msg, on_every_size, options, packet_id, v5, v311};

fn members(rig: &mut Rig, count: usize, filter: &str, qos: u8) -> Vec<String> {
    let names: Vec<String> = (0..count).map(|i| format!("m{i}")).collect();
    for name in &names {
        rig.connect(&v5(name).expiry_s(100));
        rig.subscribe(name, filter, qos);
    }
    names
}

/// Who has a PUBLISH waiting, and which.
fn receivers(rig: &mut Rig, names: &[String]) -> Vec<(String, Message)> {
    let mut all = Vec::new();
    for name in names {
        while rig.client(name).inbox_len() > 0 {
            all.push((name.clone(), rig.expect_publish(name)));
        }
    }
    all
}

// [MQTT-4.8.2-1] [MQTT-4.8.2-2]
#[test]
fn each_message_goes_to_one_member_in_turn() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        let names = members(rig, 3, "$share/g/t/+", 1);
        for i in 0..30 {
            rig.publish("p", "t/x", &i.to_string(), i % 2);
        }
        let mut counts = BTreeMap::new();
        let mut payloads = Vec::new();
        for name in &names {
            let own = rig.take_payloads(name);
            counts.insert(name.clone(), own.len());
            payloads.extend(own.iter().map(|text| text.parse::<u32>().expect("a number")));
        }
        payloads.sort_unstable();
        assert_eq!(payloads, (0..30).collect::<Vec<_>>());
        assert!(counts.values().all(|count| *count == 10), "{counts:?}");
    });
}

#[test]
fn groups_and_plain_subscriptions_do_not_disturb_each_other() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        rig.connect(&v311("old"));
        rig.connect(&v5("new"));
        for name in ["old", "new"] {
            for filter in ["t", "$share/one/t", "$share/two/#", "$share/one/+"] {
                rig.subscribe(name, filter, 1);
            }
        }
        assert_eq!((rig.stats().subscriptions, rig.stats().subscriptions_shared), (8, 6));
        rig.publish("p", "t", "m", 1);
        let count = rig.take_payloads("old").len() + rig.take_payloads("new").len();
        // Two of their own, and one for each of the three groups.
        assert_eq!(count, 5);
        rig.publish("p", "u", "m", 1);
        let count = rig.take_payloads("old").len() + rig.take_payloads("new").len();
        assert_eq!(count, 2);
    });
}

// [MQTT-4.8.2-3]
#[test]
fn the_granted_qos_is_respected() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        for granted in 0..=2 {
            let name = format!("m{granted}");
            rig.connect(&v5(&name));
            let filters = [("$share/g/t", options(granted))];
            rig.subscribe_with(&name, &filters, Some(u32::from(granted) + 1));
        }
        for published in 0..=2 {
            for _ in 0..3 {
                rig.publish("p", "t", "m", published);
            }
            for granted in 0..=2u8 {
                let message = rig.take_message(&format!("m{granted}"));
                assert_eq!(message.qos as u8, published.min(granted));
                assert_eq!(message.subscription_ids, [u32::from(granted) + 1]);
            }
        }
    });
}

#[test]
fn a_member_may_change_its_qos() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        let names = members(rig, 2, "$share/g/t", 1);
        rig.subscribe("m0", "$share/g/t", 0);
        rig.subscribe("m1", "$share/g/t", 0);
        rig.publish("p", "t", "1", 1);
        rig.publish("p", "t", "2", 1);
        let got = receivers(rig, &names);
        assert_eq!(got.len(), 2);
        assert!(got.iter().all(|(_, message)| message.qos as u8 == 0));
        assert_eq!(rig.stats().subscriptions_shared, 2);
    });
}

#[test]
fn connected_members_are_preferred() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        let names = members(rig, 3, "$share/g/t", 1);
        rig.cut("m0");
        rig.cut("m2");
        for i in 0..4 {
            rig.publish("p", "t", &i.to_string(), 1);
        }
        assert_eq!(rig.take_payloads("m1").len(), 4);
        // With nobody there, QoS 1 and 2 wait, and QoS 0 is nobody's.
        rig.cut("m1");
        for qos in 0..=2 {
            rig.publish("p", "t", &format!("QoS {qos}"), qos);
        }
        assert_eq!(rig.stats().queued, 2);
        for name in &names {
            rig.connect(&v5(name).lasting());
        }
        let got = receivers(rig, &names);
        let mut texts: Vec<_> = got.iter().map(|(_, message)| message.text()).collect();
        texts.sort_unstable();
        assert_eq!(texts, ["QoS 1", "QoS 2"]);
    });
}

#[test]
fn nothing_waits_for_a_member_with_qos_0() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        let names = members(rig, 6, "$share/g/t", 0);
        rig.subscribe("m4", "$share/g/t", 1);
        names.iter().for_each(|name| rig.cut(name));
        for i in 0..6 {
            rig.publish("p", "t", &i.to_string(), 2);
        }
        assert_eq!(rig.stats().queued, 6);
        assert_eq!(rig.stats().dropped_all(), 0);
        rig.connect(&v5("m4").lasting());
        assert_eq!(rig.take_payloads("m4").len(), 6);
        rig.goodbye("m4");
        rig.connect(&v5("m4"));
        // With nobody left who could keep it, it is dropped, and counted.
        rig.publish("p", "t", "m", 2);
        assert_eq!(rig.dropped(Drop::GroupEmpty), 1);
    });
}

#[test]
fn an_unsubscribed_member_gets_nothing_more() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        let names = members(rig, 3, "$share/g/t", 1);
        assert_eq!(rig.unsubscribe("m1", &["$share/g/t"]), [0]);
        for i in 0..10 {
            rig.publish("p", "t", &i.to_string(), 1);
        }
        let got = receivers(rig, &names);
        assert_eq!(got.len(), 10);
        assert!(got.iter().all(|(name, _)| name != "m1"));
        rig.unsubscribe("m0", &["$share/g/t"]);
        rig.unsubscribe("m2", &["$share/g/t"]);
        assert!(!rig.publish_message("p", &msg("t", "m").qos(1)).is_error());
        names.iter().for_each(|name| rig.nothing(name));
    });
}

// [MQTT-4.8.2-4]
#[test]
fn a_delivery_that_was_started_is_finished_with_the_same_member() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        let names = members(rig, 2, "$share/g/t", 2);
        for qos in 1..=2 {
            rig.publish("p", "t", "m", qos);
            let (name, first) = receivers(rig, &names).remove(0);
            rig.cut(&name);
            rig.connect(&v5(&name).lasting().expiry_s(100));
            let again = rig.take_message(&name);
            assert_eq!((again.id, again.dup), (first.id, true));
            assert_eq!(receivers(rig, &names), []);
        }
    });
}

#[test]
fn what_a_member_did_not_acknowledge_goes_to_another() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        let names = members(rig, 2, "$share/g/t", 1);
        rig.publish("p", "t", "m", 1);
        let (name, _) = receivers(rig, &names).remove(0);
        rig.cut(&name);
        assert_eq!(receivers(rig, &names), [], "it may come back");
        rig.advance_s(100);
        let got = receivers(rig, &names);
        assert_eq!(got.len(), 1);
        assert_ne!(got[0].0, name);
        assert_eq!((got[0].1.text(), got[0].1.dup), ("m", false));
    });
}

#[test]
fn a_member_without_a_lasting_session_gives_back_at_once() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        let names: Vec<String> = (0..4).map(|i| format!("m{i}")).collect();
        for name in &names {
            rig.connect(&v311(name));
            rig.subscribe(name, "$share/g/t", 1);
        }
        for i in 0..8 {
            rig.publish("p", "t", &i.to_string(), 1);
        }
        receivers(rig, &names);
        for name in &names[1..] {
            rig.cut(name);
        }
        // Two of its own, unacknowledged, and what the three others had.
        assert_eq!(rig.stats().in_flight, 8);
        assert_eq!(receivers(rig, &names[..1]).len(), 6);
        assert_eq!(rig.dropped(Drop::GroupEmpty), 0);
        rig.cut("m0");
        assert_eq!(rig.stats().in_flight, 0);
        assert_eq!(rig.dropped(Drop::GroupEmpty), 8, "nobody is left to take them");
        rig.ignore_the_rest();
    });
}

// [MQTT-4.8.2-5]
#[test]
fn a_qos_2_message_that_was_sent_goes_to_nobody_else() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        let names = members(rig, 2, "$share/g/t", 2);
        rig.publish("p", "t", "m", 2);
        let (name, _) = receivers(rig, &names).remove(0);
        rig.cut(&name);
        rig.advance_s(100);
        assert_eq!(receivers(rig, &names), []);
        assert_eq!(rig.stats().in_flight, 0);
    });
}

#[test]
fn a_qos_2_message_that_was_only_queued_goes_to_another() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        rig.connect(&v5("m0").expiry_s(100));
        rig.subscribe("m0", "$share/g/t", 2);
        rig.cut("m0");
        rig.publish("p", "t", "m", 2);
        rig.connect(&v5("m1"));
        rig.subscribe("m1", "$share/g/t", 2);
        rig.nothing("m1");
        rig.advance_s(100);
        assert_eq!(rig.take_payloads("m1"), ["m"]);
    });
}

// [MQTT-4.8.2-6]
#[test]
fn a_message_that_a_member_refuses_is_discarded() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        let names = members(rig, 2, "$share/g/t", 2);
        for qos in 1..=2 {
            rig.publish("p", "t", "m", qos);
            let (name, message) = receivers(rig, &names).remove(0);
            let id = packet_id(message.id.expect("an identifier"));
            let refusal = Ack::new(id, ReasonCode::UnspecifiedError);
            let packet = if qos == 1 { Packet::PubAck(refusal) } else { Packet::PubRec(refusal) };
            rig.send(&name, packet);
            rig.cut(&name);
            rig.advance_s(100);
            assert_eq!(receivers(rig, &names), []);
            rig.connect(&v5(&name).expiry_s(100));
            rig.subscribe(&name, "$share/g/t", 2);
        }
    });
}

// [MQTT-3.3.2-5]
#[test]
fn what_expired_meanwhile_goes_to_nobody() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        rig.connect(&v5("m0").expiry_s(100));
        rig.subscribe("m0", "$share/g/t", 1);
        rig.cut("m0");
        rig.publish_message("p", &msg("t", "stale").qos(1).expiry_s(50));
        rig.publish_message("p", &msg("t", "fresh").qos(1).expiry_s(500));
        rig.connect(&v5("m1"));
        rig.subscribe("m1", "$share/g/t", 1);
        rig.advance_s(100);
        let message = rig.take_message("m1");
        assert_eq!((message.text(), message.expiry_s), ("fresh", Some(400)));
        rig.nothing("m1");
    });
}

#[test]
fn a_group_that_ends_drops_what_waited_for_it() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        rig.connect(&v5("m0").expiry_s(100));
        rig.subscribe("m0", "$share/g/t", 1);
        rig.cut("m0");
        rig.publish("p", "t", "m", 1);
        rig.advance_s(100);
        assert_eq!((rig.stats().queued, rig.stats().subscriptions_shared), (0, 0));
        assert_eq!(rig.dropped(Drop::GroupEmpty), 1);
        // A new group of the same name starts with nothing.
        rig.connect(&v5("m1"));
        rig.subscribe("m1", "$share/g/t", 1);
        rig.nothing("m1");
    });
}

#[test]
fn suback_of_a_member_means_that_messages_reach_it() {
    on_every_size(|rig| {
        let publishers: Vec<String> = (0..8).map(|i| format!("p{i}")).collect();
        publishers.iter().for_each(|name| {
            rig.connect(&v5(name));
        });
        for i in 0..6 {
            let name = format!("m{i}");
            rig.connect(&v5(&name));
            rig.subscribe(&name, &format!("$share/g{i}/t/{i}/#"), 1);
            for publisher in &publishers {
                rig.publish(publisher, &format!("t/{i}/x"), "m", 1);
            }
            assert_eq!(rig.take_payloads(&name).len(), 8);
        }
    });
}

#[test]
fn a_full_window_of_one_member_holds_nobody_up() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        rig.connect(&v5("slow").receive_max(1));
        rig.subscribe("slow", "$share/g/t", 1);
        rig.connect(&v5("quick"));
        rig.subscribe("quick", "$share/g/t", 1);
        for i in 0..10 {
            rig.publish("p", "t", &i.to_string(), 1);
        }
        assert_eq!(rig.take_payloads("quick").len(), 5);
        let first = rig.take_first("slow", PacketType::Publish);
        assert_eq!(rig.client("slow").inbox_len(), 0);
        // What waits for the slow one goes to the quick one when the slow one leaves.
        rig.pub_ack("slow", first.publish().packet_id.expect("an identifier").get());
        rig.cut("slow");
        rig.take_first("slow", PacketType::Publish);
        assert_eq!(rig.take_payloads("quick").len(), 4);
    });
}
