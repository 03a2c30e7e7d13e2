//! Keep alive: who has nothing to say pings, and who is silent is closed.

use martlet_engine::ShardConfig;
use martlet_proto::{Connect, Packet, PacketType, ReasonCode, Version};
use martlet_session::client::End;

use crate::rig::{
    Happened, Q0, Q1, Rig, VERSIONS, Way, fresh, on_every_size, on_every_size_with, publication,
};

fn keeping<'a>(version: Version, client_id: &'a str, keep_alive_s: u16) -> Connect<'a> {
    Connect { keep_alive_s, ..fresh(version, client_id) }
}

fn pings(rig: &Rig, name: &str) -> usize {
    let is_ping = |packet: Packet<'_>| packet.packet_type() == PacketType::PingReq;
    rig.crossings(name).iter().filter(|it| it.way == Way::ToServer && is_ping(it.packet())).count()
}

/// The client has been closed for its silence.
fn thrown_out(rig: &mut Rig, name: &'static str, version: Version) {
    rig.client(name).hangs = false;
    rig.settle();
    if version.is_v5() {
        let reason = ReasonCode::KeepAliveTimeout;
        assert_eq!(rig.next(name), Happened::Disconnected(reason));
        assert_eq!(rig.next(name), Happened::Closed(Some(End::ServerDisconnected(reason))));
    } else {
        assert_eq!(rig.next(name), Happened::Closed(None));
    }
}

// [MQTT-3.1.2-20] [MQTT-3.12.4-1] [MQTT3-3.1.2-23] [MQTT3-3.12.4-1]
#[test]
fn a_client_with_nothing_to_say_pings_in_time() {
    on_every_size(|rig| {
        for (i, version) in VERSIONS.into_iter().enumerate() {
            let name = ["a", "b", "c"][i];
            rig.connect(name, &keeping(version, name, 10));
        }
        rig.advance_s(1000);
        for name in ["a", "b", "c"] {
            rig.nothing(name);
            assert!((100..=120).contains(&pings(rig, name)), "{}", pings(rig, name));
        }
    });
}

// [MQTT-3.1.2-20] [MQTT3-3.1.2-23]
#[test]
fn who_talks_needs_no_pings() {
    on_every_size(|rig| {
        for version in VERSIONS {
            rig.connect("a", &keeping(version, "a", 10));
            for _ in 0..20 {
                rig.advance_s(8);
                rig.publish_done("a", "t", "still here", Q0);
            }
            assert_eq!(pings(rig, "a"), 0);
            // Hearing the server does not count: the client has to speak.
            rig.connect("p", &fresh(version, "p"));
            rig.subscribe("a", "t", Q0);
            for _ in 0..20 {
                rig.advance_s(5);
                rig.publish_done("p", "t", "listen", Q0);
            }
            assert_eq!(rig.messages("a").len(), 20);
            assert!(pings(rig, "a") >= 10);
            rig.leave("a");
            rig.leave("p");
        }
    });
}

// [MQTT-3.1.2-22] [MQTT3-3.1.2-24] [MQTT-4.13.2-1]
#[test]
fn a_silent_client_is_closed_after_one_and_a_half_intervals() {
    on_every_size(|rig| {
        for version in VERSIONS {
            rig.connect("a", &keeping(version, "a", 10));
            rig.advance_s(5);
            rig.publish_done("a", "t", "last words", Q1);
            rig.client("a").hangs = true;
            rig.advance_ms(14_999);
            assert_eq!(rig.stats().sessions_connected, 1);
            rig.advance_ms(1);
            assert_eq!(rig.stats().sessions_connected, 0);
            thrown_out(rig, "a", version);
        }
    });
}

#[test]
fn without_keep_alive_silence_is_allowed() {
    on_every_size(|rig| {
        for (i, version) in VERSIONS.into_iter().enumerate() {
            let name = ["a", "b", "c"][i];
            rig.connect(name, &keeping(version, name, 0));
        }
        rig.advance_s(10_000_000);
        for name in ["a", "b", "c"] {
            rig.nothing(name);
            assert_eq!(pings(rig, name), 0);
        }
    });
}

// [MQTT-3.1.2-21] [MQTT-3.2.2-21] [MQTT-3.2.2-22]
#[test]
fn the_servers_keep_alive_counts() {
    let tune = |config: &mut ShardConfig| config.limits.keep_alive_max_s = 4;
    on_every_size_with(tune, |rig| {
        for (asked_s, granted_s) in [(0, 4), (3, 3), (4, 4), (600, 4)] {
            rig.connect("a", &keeping(Version::V5, "a", asked_s));
            let connection = rig.client("a").connection.as_ref().expect("it is connected");
            assert_eq!(connection.keep_alive_s(), granted_s);
            rig.advance_s(400);
            rig.nothing("a");
            assert!((100..=160).contains(&pings(rig, "a")), "{}", pings(rig, "a"));
            rig.publish_done("a", "t", "last words", Q0);
            rig.client("a").hangs = true;
            rig.advance_ms(u64::from(granted_s) * 1500 - 1);
            assert_eq!(rig.stats().sessions_connected, 1);
            rig.advance_ms(1);
            assert_eq!(rig.stats().sessions_connected, 0);
            thrown_out(rig, "a", Version::V5);
        }
        // Earlier versions cannot be told: what they ask for counts.
        for (i, version) in [Version::V31, Version::V311].into_iter().enumerate() {
            let name = ["b", "c"][i];
            rig.connect(name, &keeping(version, name, 60));
            rig.advance_s(400);
            rig.nothing(name);
            assert!(pings(rig, name) < 10);
        }
    });
}

// [MQTT-3.1.2-20] [MQTT3-3.1.2-23]
#[test]
fn a_silent_server_is_given_up() {
    on_every_size(|rig| {
        for version in VERSIONS {
            rig.connect("a", &keeping(version, "a", 10));
            rig.advance_s(3);
            rig.broker_hangs = true;
            rig.advance_s(15);
            assert!(rig.client("a").connection.is_some());
            rig.advance_s(5);
            let end = Some(End::KeepAliveTimeout);
            assert_eq!(rig.next("a"), Happened::Closed(end));
            // A server that does not even answer CONNECT is given up too.
            let asked_at_ms = rig.now_ms();
            rig.call("a", &keeping(version, "a", 10));
            rig.advance_s(40);
            assert_eq!(rig.next("a"), Happened::Closed(Some(End::ConnAckTimeout)));
            assert!(rig.now_ms() - asked_at_ms <= 40_000);
            rig.broker_hangs = false;
            rig.settle();
            rig.connect("a", &keeping(version, "a", 10));
            rig.publish_done("a", "t", "alive", Q1);
            rig.leave("a");
        }
    });
}

// [MQTT-3.1.2-22]
#[test]
fn an_unfinished_packet_is_no_sign_of_life_for_ever() {
    on_every_size(|rig| {
        rig.connect("a", &keeping(Version::V5, "a", 10));
        // Its transport swallows the rest of a message.
        let payload = vec![0; 1000];
        rig.give_message("a", &publication("t", &payload, Q0)).expect("taken");
        let cut = crate::rig::Cut {
            way: Way::ToServer,
            after: 500,
            rest_arrives: false,
            server_learns: false,
        };
        rig.order_cut("a", cut);
        rig.settle();
        assert_eq!(rig.next("a"), Happened::Closed(None));
        assert_eq!(rig.stats().sessions_connected, 1);
        rig.advance_s(15);
        assert_eq!(rig.stats().sessions_connected, 0);
    });
}
