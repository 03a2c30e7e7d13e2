//! Topic aliases in both directions, with more topics than aliases.

use martlet_engine::ShardConfig;
use martlet_proto::{Connect, ConnectProperties, Packet, Version};
use martlet_session::client::ConnectionOptions;

use crate::rig::{
    Q0, Q1, Q2, Rig, Way, fresh, lasting, on_every_size, on_every_size_with, publication,
};

const TOPICS: [&str; 7] = ["a/1", "a/2", "a/3/long", "b/1/longer", "b/2", "c", "d/and/more"];

/// A v5 CONNECT of a session that lasts and takes so many aliases.
fn taking(client_id: &str, topic_alias_max: u16) -> Connect<'_> {
    let connect = lasting(Version::V5, client_id);
    let topic_alias_max = Some(topic_alias_max);
    Connect { properties: ConnectProperties { topic_alias_max, ..connect.properties }, ..connect }
}

/// Topics and aliases of the PUBLISH packets that crossed in this direction.
fn on_the_wire(rig: &Rig, name: &str, way: Way) -> Vec<(String, Option<u16>)> {
    let crossings = rig.crossings(name).iter().filter(|it| it.way == way);
    let publishes = crossings.filter_map(|it| match it.packet() {
        Packet::Publish(it) => {
            Some((it.topic.to_owned(), it.properties.topic_alias.map(|alias| alias.get())))
        }
        _ => None,
    });
    publishes.collect()
}

/// Publishes on a topic twice, then on another, over and over; what came is what was sent.
fn publish_everywhere(rig: &mut Rig) {
    for i in 0..60usize {
        let topic = TOPICS[i / 2 % TOPICS.len()];
        let qos = [Q0, Q1, Q2][i % 3];
        rig.publish_done("p", topic, &i.to_string(), qos);
        let messages = rig.messages("s");
        assert_eq!(messages.len(), 1);
        assert_eq!((messages[0].topic.as_str(), messages[0].text()), (topic, &*i.to_string()));
    }
}

/// No alias is above the maximum, and some packets come without a topic.
fn check_use(wire: &[(String, Option<u16>)], max: u16) {
    assert!(wire.iter().all(|(_, alias)| alias.is_none_or(|alias| (1..=max).contains(&alias))));
    assert!(wire.iter().any(|(topic, _)| topic.is_empty()));
    assert!(wire.iter().all(|(topic, alias)| !topic.is_empty() || alias.is_some()));
}

// [MQTT-3.2.2-17] [MQTT-3.3.2-8] [MQTT-3.3.2-9] [MQTT-3.3.2-12]
#[test]
fn the_client_uses_as_many_as_the_server_takes() {
    for max in [1, 3, 64] {
        on_every_size_with(
            |config| config.limits.topic_alias_max = max,
            |rig| {
                rig.connect("s", &fresh(Version::V311, "s"));
                rig.subscribe("s", "#", Q2);
                rig.connect("p", &fresh(Version::V5, "p"));
                publish_everywhere(rig);
                check_use(&on_the_wire(rig, "p", Way::ToServer), max);
            },
        );
    }
}

// [MQTT-3.2.2-18] [MQTT-3.1.2-27]
#[test]
fn without_permission_nobody_uses_one() {
    let none = |config: &mut ShardConfig| config.limits.topic_alias_max = 0;
    on_every_size_with(none, |rig| {
        rig.connect("s", &fresh(Version::V5, "s"));
        rig.subscribe("s", "#", Q2);
        rig.connect("p", &fresh(Version::V5, "p"));
        publish_everywhere(rig);
        for (name, way) in [("p", Way::ToServer), ("s", Way::ToClient)] {
            assert!(on_the_wire(rig, name, way).iter().all(|(_, alias)| alias.is_none()));
        }
    });
    on_every_size(|rig| {
        rig.connect("s", &fresh(Version::V311, "s"));
        rig.subscribe("s", "#", Q2);
        let options = ConnectionOptions { topic_aliases: false, ..Default::default() };
        rig.add("p").options = options;
        rig.connect("p", &fresh(Version::V5, "p"));
        publish_everywhere(rig);
        assert!(on_the_wire(rig, "p", Way::ToServer).iter().all(|(_, alias)| alias.is_none()));
    });
}

// [MQTT-3.1.2-26] [MQTT-3.3.2-8] [MQTT-3.3.2-10] [MQTT-3.3.2-11]
#[test]
fn the_server_uses_as_many_as_the_client_takes() {
    for max in [1, 3, 64] {
        on_every_size(|rig| {
            rig.connect("s", &taking("s", max));
            rig.subscribe("s", "#", Q2);
            rig.connect("p", &fresh(Version::V311, "p"));
            publish_everywhere(rig);
            check_use(&on_the_wire(rig, "s", Way::ToClient), max);
        });
    }
}

// [MQTT-3.3.2-7]
#[test]
fn each_connection_starts_without_aliases() {
    on_every_size(|rig| {
        rig.connect("s", &taking("s", 3));
        rig.subscribe("s", "#", Q2);
        rig.connect("p", &taking("p", 3));
        for _ in 0..3 {
            publish_everywhere(rig);
            rig.cut("s");
            rig.cut("p");
            // What waits meanwhile comes with its topic, on both ways.
            let offline = publication(TOPICS[0], b"offline", Q2);
            rig.client("p").session.publish(&offline).expect("kept");
            assert!(rig.connect("p", &taking("p", 3)));
            assert!(rig.connect("s", &taking("s", 3)));
            rig.client("p").events.clear();
            let messages = rig.messages("s");
            assert_eq!(messages.len(), 1);
            assert_eq!((messages[0].topic.as_str(), messages[0].text()), (TOPICS[0], "offline"));
            for (name, way) in [("p", Way::ToServer), ("s", Way::ToClient)] {
                assert_eq!(on_the_wire(rig, name, way)[0].0, TOPICS[0]);
            }
        }
    });
}

// [MQTT-3.3.2-7] [MQTT-4.4.0-1]
#[test]
fn what_is_sent_again_is_understood_without_the_old_aliases() {
    on_every_size(|rig| {
        rig.connect("s", &fresh(Version::V5, "s"));
        rig.subscribe("s", "#", Q2);
        rig.connect("p", &taking("p", 3));
        publish_everywhere(rig);
        rig.broker_hangs = true;
        for topic in TOPICS.into_iter().chain(TOPICS) {
            rig.give_message("p", &publication(topic, b"again", Q2)).expect("taken");
        }
        rig.broker_hangs = false;
        rig.cut("p");
        assert!(rig.connect("p", &taking("p", 3)));
        rig.client("p").events.clear();
        let topics: Vec<_> = rig.messages("s").into_iter().map(|it| it.topic).collect();
        assert_eq!(topics, [TOPICS, TOPICS].concat());
    });
}
