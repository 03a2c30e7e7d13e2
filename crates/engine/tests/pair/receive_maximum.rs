//! Receive Maximum in both directions, with a receiver that takes its time.

use martlet_engine::ShardConfig;
use martlet_proto::{Connect, ConnectProperties, Qos, ReasonCode, SubscriptionOptions, Version};
use martlet_session::client::{ConnectionOptions, SubscribeRequest};

use crate::rig::{
    Got, Happened, Q0, Q1, Q2, Rig, VERSIONS, fresh, lasting, on_every_size, on_every_size_with,
    publication,
};

/// A v5 CONNECT of a session that lasts, with this Receive Maximum.
fn narrow(client_id: &str, receive_max: u16) -> Connect<'_> {
    let connect = lasting(Version::V5, client_id);
    let properties = ConnectProperties { receive_max: Some(receive_max), ..connect.properties };
    Connect { properties, ..connect }
}

/// A subscriber that acknowledges by command, and a publisher.
fn slow_subscriber(rig: &mut Rig, connect: &Connect<'_>) {
    rig.connect("p", &fresh(Version::V5, "p"));
    let options = ConnectionOptions { manual_acks: true, ..ConnectionOptions::default() };
    rig.add("s").options = options;
    rig.connect("s", connect);
    rig.subscribe("s", "t", Q2);
}

fn publish_numbers(rig: &mut Rig, qos: Qos, count: usize) {
    for i in 0..count {
        rig.publish_done("p", "t", &i.to_string(), qos);
    }
}

// [MQTT-3.3.4-9] [MQTT-4.9.0-1] [MQTT-4.9.0-2]
#[test]
fn the_server_sends_no_more_than_the_client_allows() {
    on_every_size(|rig| {
        slow_subscriber(rig, &narrow("s", 3));
        for qos in [Q1, Q2] {
            publish_numbers(rig, qos, 10);
            let mut open = rig.messages("s");
            assert_eq!(open.len(), 3);
            let mut seen = 0;
            while !open.is_empty() {
                let message = open.remove(0);
                assert_eq!(message.text(), seen.to_string());
                seen += 1;
                rig.acknowledge("s", &message, ReasonCode::Success);
                // Room for one, and one comes.
                let more = rig.messages("s");
                assert_eq!(more.len(), usize::from(seen <= 7));
                open.extend(more);
            }
            assert_eq!(seen, 10);
            assert_eq!((rig.stats().in_flight, rig.stats().queued), (0, 0));
        }
        // QoS 0 needs no room.
        publish_numbers(rig, Q1, 3);
        let open = rig.messages("s");
        publish_numbers(rig, Q0, 5);
        assert_eq!(rig.messages("s").len(), 5);
        open.iter().for_each(|message| rig.acknowledge("s", message, ReasonCode::Success));
    });
}

// [MQTT-4.6.0-2] [MQTT-4.6.0-3] [MQTT-3.3.4-9]
#[test]
fn what_is_acknowledged_out_of_order_gives_room_in_order() {
    on_every_size(|rig| {
        slow_subscriber(rig, &narrow("s", 3));
        for qos in [Q1, Q2] {
            publish_numbers(rig, qos, 6);
            let open = rig.messages("s");
            for message in open[1..].iter().rev() {
                rig.acknowledge("s", message, ReasonCode::Success);
                rig.nothing("s");
            }
            rig.acknowledge("s", &open[0], ReasonCode::Success);
            let rest = rig.messages("s");
            assert_eq!(rest.iter().map(Got::text).collect::<Vec<_>>(), ["3", "4", "5"]);
            rest.iter().for_each(|message| rig.acknowledge("s", message, ReasonCode::Success));
        }
        assert_eq!(rig.stats().in_flight, 0);
    });
}

// [MQTT-4.4.0-2]
#[test]
fn a_refused_message_gives_room_like_any_other() {
    on_every_size(|rig| {
        slow_subscriber(rig, &narrow("s", 1));
        for qos in [Q1, Q2] {
            publish_numbers(rig, qos, 4);
            for i in 0..4 {
                let open = rig.messages("s");
                assert_eq!(open.iter().map(Got::text).collect::<Vec<_>>(), [i.to_string()]);
                rig.acknowledge("s", &open[0], ReasonCode::QuotaExceeded);
            }
            rig.nothing("s");
            assert_eq!((rig.stats().in_flight, rig.stats().queued), (0, 0));
        }
    });
}

// [MQTT-4.9.0-1] [MQTT-4.9.0-2] [MQTT-4.4.0-1]
#[test]
fn the_next_connection_can_allow_less_or_more() {
    on_every_size(|rig| {
        slow_subscriber(rig, &lasting(Version::V5, "s"));
        for qos in [Q1, Q2] {
            rig.leave("s");
            assert!(rig.connect("s", &narrow("s", 5)));
            publish_numbers(rig, qos, 8);
            assert_eq!(rig.messages("s").len(), 5);
            rig.cut("s");
            for receive_max in [2, 1, 4] {
                assert!(rig.connect("s", &narrow("s", receive_max)));
                let open = rig.messages("s");
                assert_eq!(open.len(), usize::from(receive_max));
                assert!(open.iter().all(|message| message.dup));
                rig.cut("s");
            }
            assert!(rig.connect("s", &narrow("s", 3)));
            let mut all = Vec::new();
            loop {
                let open = rig.messages("s");
                if open.is_empty() {
                    break;
                }
                for message in &open {
                    rig.acknowledge("s", message, ReasonCode::Success);
                    all.push(message.text().to_owned());
                }
            }
            assert_eq!(all, (0..8).map(|i| i.to_string()).collect::<Vec<_>>());
            assert_eq!((rig.stats().in_flight, rig.stats().queued), (0, 0));
        }
    });
}

// [MQTT-3.3.4-7] [MQTT-4.9.0-2] [MQTT-4.9.0-3]
#[test]
fn the_client_sends_no_more_than_the_server_allows() {
    on_every_size_with(
        |config| config.limits.receive_max = 3,
        |rig| {
            rig.connect("s", &fresh(Version::V5, "s"));
            rig.subscribe("s", "t", Q2);
            rig.connect("p", &lasting(Version::V5, "p"));
            for qos in [Q1, Q2] {
                rig.broker_hangs = true;
                give_numbers(rig, qos, 10);
                rig.settle();
                let session = &rig.client("p").session;
                assert_eq!((session.in_flight(), session.waiting()), (3, 7));
                // QoS 0 and requests do not wait.
                rig.publish("p", &publication("t", b"QoS 0", Q0)).expect("taken");
                give_subscribe(rig);
                rig.broker_hangs = false;
                rig.settle();
                assert!(rig.client("p").session.is_idle());
                assert_eq!(std::mem::take(&mut rig.client("p").events).len(), 10 + 1);
                let texts = rig.payloads("s");
                let numbers: Vec<_> = texts.iter().filter(|text| *text != "QoS 0").collect();
                assert_eq!(numbers.len(), 10);
                assert!(numbers.is_sorted());
            }
        },
    );
}

fn give_subscribe(rig: &mut Rig) {
    let filters = [("other", SubscriptionOptions::new(Q0))];
    let request =
        SubscribeRequest { filters: &filters, subscription_id: None, user_properties: &[] };
    rig.give("p", |it, session, now_ms, out| it.subscribe(now_ms, session, &request, out))
        .expect("a SUBSCRIBE in order");
}

fn give_numbers(rig: &mut Rig, qos: Qos, count: usize) {
    for i in 0..count {
        let payload = i.to_string();
        rig.give_message("p", &publication("t", payload.as_bytes(), qos)).expect("taken");
    }
}

// [MQTT-4.9.0-1] [MQTT-4.9.0-2] [MQTT-4.4.0-1] [MQTT-3.3.4-7]
#[test]
fn a_resumed_publisher_keeps_to_the_servers_maximum() {
    on_every_size_with(
        |config| config.limits.receive_max = 2,
        |rig| {
            rig.connect("s", &fresh(Version::V5, "s"));
            rig.subscribe("s", "t", Q2);
            rig.connect("p", &lasting(Version::V5, "p"));
            for qos in [Q1, Q2] {
                rig.broker_hangs = true;
                give_numbers(rig, qos, 6);
                rig.broker_hangs = false;
                rig.cut("p");
                assert!(rig.connect("p", &lasting(Version::V5, "p")));
                assert!(rig.client("p").session.is_idle());
                let is_done = |it: &Happened| matches!(it, Happened::Published(..));
                let events = std::mem::take(&mut rig.client("p").events);
                assert!(events.len() == 6 && events.iter().all(is_done), "{events:?}");
                assert_eq!(rig.payloads("s"), ["0", "1", "2", "3", "4", "5"]);
            }
        },
    );
}

#[test]
fn the_servers_own_bound_holds_for_every_version() {
    let tune = |config: &mut ShardConfig| config.limits.in_flight_max = 2;
    for version in VERSIONS {
        on_every_size_with(tune, |rig| {
            slow_subscriber(rig, &lasting(version, "s"));
            for qos in [Q1, Q2] {
                publish_numbers(rig, qos, 5);
                let mut all = Vec::new();
                loop {
                    let open = rig.messages("s");
                    if open.is_empty() {
                        break;
                    }
                    assert!(open.len() <= 2);
                    for message in &open {
                        rig.acknowledge("s", message, ReasonCode::Success);
                        all.push(message.text().to_owned());
                    }
                }
                assert_eq!(all, ["0", "1", "2", "3", "4"]);
            }
        });
    }
}
