//! Clean and persistent sessions on both sides, and what happens when only one side has one.

use martlet_proto::{Connect, ConnectProperties, Disconnect, ReasonCode, Version};
use martlet_session::client::{ClientSession, End, Violation};

use crate::rig::{
    Cut, Happened, Q1, Q2, Rig, VERSIONS, Way, fresh, lasting, on_every_size, publication,
};

/// A v5 CONNECT that resumes, with this Session Expiry Interval.
fn expiring(client_id: &str, session_expiry_s: Option<u32>) -> Connect<'_> {
    let properties = ConnectProperties { session_expiry_s, ..ConnectProperties::default() };
    Connect { properties, ..Connect::new(Version::V5, client_id, false) }
}

/// Whether the server tells that it has the session: 3.1 has no way to.
fn tells(version: Version) -> bool {
    version != Version::V31
}

// [MQTT-3.1.2-5] [MQTT-3.1.2-23] [MQTT-3.2.2-3] [MQTT-4.1.0-1] [MQTT3-3.1.2-4]
// [MQTT3-3.1.2-5] [MQTT3-3.2.2-2] [MQTT3-3.2.2-3] [MQTT3-4.1.0-1]
#[test]
fn a_persistent_session_keeps_subscriptions_and_messages() {
    on_every_size(|rig| {
        rig.connect("p", &fresh(Version::V5, "p"));
        for version in VERSIONS {
            rig.client_anew("s");
            assert!(!rig.connect("s", &lasting(version, "s")));
            rig.subscribe("s", "t/#", Q2);
            for round in 0..3 {
                match round {
                    0 => rig.cut("s"),
                    _ => rig.leave("s"),
                }
                for (text, qos) in [("1", Q1), ("2", Q2), ("3", Q1)] {
                    rig.publish_done("p", "t/x", text, qos);
                }
                assert_eq!(rig.connect("s", &lasting(version, "s")), tells(version));
                assert_eq!(rig.payloads("s"), ["1", "2", "3"]);
            }
            rig.leave("s");
            rig.connect("s", &fresh(version, "s"));
            rig.leave("s");
        }
        assert_eq!((rig.stats().sessions, rig.stats().queued), (1, 0));
    });
}

// [MQTT-3.1.2-4] [MQTT-3.1.2-6] [MQTT-3.2.2-2] [MQTT-4.1.0-2] [MQTT3-3.1.2-6] [MQTT3-3.2.2-1]
#[test]
fn a_clean_session_starts_and_ends_with_nothing() {
    on_every_size(|rig| {
        rig.connect("p", &fresh(Version::V5, "p"));
        for version in VERSIONS {
            for end in [Rig::cut, Rig::leave] {
                assert!(!rig.connect("s", &fresh(version, "s")));
                rig.nothing("s");
                rig.subscribe("s", "t", Q2);
                end(rig, "s");
                assert_eq!(rig.stats().sessions, 1);
                rig.publish_done("p", "t", "missed", Q2);
                // Asking for the old session is of no use either.
                assert!(!rig.connect("s", &lasting(version, "s")));
                rig.publish_done("p", "t", "missed", Q2);
                rig.nothing("s");
                // Clean start throws away what there is.
                rig.subscribe("s", "t", Q2);
                end(rig, "s");
                rig.publish_done("p", "t", "missed", Q2);
            }
            assert!(!rig.connect("s", &fresh(version, "s")));
            rig.nothing("s");
            rig.leave("s");
        }
    });
}

// [MQTT-3.1.2-4] [MQTT3-3.1.2-6]
#[test]
fn clean_start_gives_unconfirmed_messages_back_to_the_application() {
    on_every_size(|rig| {
        rig.connect("s", &fresh(Version::V5, "s"));
        rig.subscribe("s", "t", Q2);
        for version in VERSIONS {
            rig.client_anew("p");
            rig.connect("p", &lasting(version, "p"));
            rig.broker_hangs = true;
            for qos in [Q1, Q2] {
                rig.give_message("p", &publication("t", b"lost", qos)).expect("taken");
            }
            rig.broker_hangs = false;
            rig.cut("p");
            rig.call("p", &fresh(version, "p"));
            for _ in 0..2 {
                let event = rig.next("p");
                let Happened::Discarded(_, payload) = event else { panic!("{event:?}") };
                assert_eq!(payload.as_deref(), Some(b"lost".as_slice()));
            }
            assert!(!rig.connected("p"));
            assert!(rig.payloads("s").is_empty());
            rig.leave("p");
        }
    });
}

// [MQTT-3.2.2-5] [MQTT3-4.4.0-1]
#[test]
fn a_server_that_has_forgotten_is_told_again_or_the_application_is() {
    on_every_size(|rig| {
        rig.connect("s", &fresh(Version::V5, "s"));
        rig.subscribe("s", "t", Q2);
        for version in VERSIONS {
            rig.client_anew("p");
            rig.connect("p", &lasting(version, "p"));
            rig.broker_hangs = true;
            for qos in [Q1, Q2] {
                rig.give_message("p", &publication("t", b"kept", qos)).expect("taken");
            }
            rig.broker_hangs = false;
            rig.cut("p");
            // Somebody else with the same identifier makes the server forget.
            rig.connect("thief", &fresh(version, "p"));
            rig.leave("thief");
            rig.call("p", &lasting(version, "p"));
            assert!(!rig.connected("p"));
            let events = std::mem::take(&mut rig.client("p").events);
            assert_eq!(events.len(), 2);
            let is_lost = |it: &Happened| matches!(it, Happened::Discarded(..));
            assert!(events.iter().all(|event| is_lost(event) == version.is_v5()), "{events:?}");
            assert_eq!(rig.payloads("s").len(), if version.is_v5() { 0 } else { 2 });
            rig.leave("p");
            rig.connect("p", &fresh(version, "p"));
            rig.leave("p");
        }
    });
}

// [MQTT-3.2.2-5]
#[test]
fn a_server_that_has_forgotten_gives_its_identifiers_out_anew() {
    on_every_size(|rig| {
        rig.connect("p", &fresh(Version::V5, "p"));
        // 3.1 does not tell that the session is another one.
        for version in [Version::V311, Version::V5] {
            rig.client_anew("s");
            rig.connect("s", &lasting(version, "s"));
            rig.subscribe("s", "t", Q2);
            // The PUBREC arrives, and nothing after it.
            let (way, after) = (Way::ToServer, 4);
            rig.order_cut("s", Cut { way, after, rest_arrives: false, server_learns: true });
            rig.publish_done("p", "t", "first", Q2);
            let first = rig.messages("s").remove(0);
            assert_eq!(rig.next("s"), Happened::Closed(None));
            rig.connect("thief", &fresh(version, "s"));
            rig.leave("thief");
            assert!(!rig.connect("s", &lasting(version, "s")));
            rig.subscribe("s", "t", Q2);
            rig.publish_done("p", "t", "second", Q2);
            let second = rig.messages("s").remove(0);
            assert_eq!((second.id, second.text()), (first.id, "second"));
            rig.leave("s");
            rig.connect("s", &fresh(version, "s"));
            rig.leave("s");
        }
    });
}

// [MQTT-3.2.2-4]
#[test]
fn a_client_that_has_forgotten_closes_on_session_present() {
    on_every_size(|rig| {
        rig.connect("s", &lasting(Version::V5, "s"));
        rig.leave("s");
        // It knows that it may be resumed: then everything is in order.
        rig.add("s").session = ClientSession::resumed(0);
        assert!(rig.connect("s", &lasting(Version::V5, "s")));
        rig.leave("s");
        // Otherwise the two do not agree on what there is.
        let end = End::Violation(Violation::SessionPresentUnexpected);
        rig.client_anew("s").may_accuse = Some(end);
        rig.call("s", &lasting(Version::V5, "s"));
        assert_eq!(rig.next("s"), Happened::Closed(Some(end)));
        // A clean start helps.
        assert!(!rig.connect("s", &fresh(Version::V5, "s")));
    });
}

// [MQTT-3.1.2-23] [MQTT-4.1.0-2]
#[test]
fn a_session_lives_as_long_as_its_expiry_interval() {
    on_every_size(|rig| {
        rig.connect("p", &fresh(Version::V5, "p"));
        rig.connect("s", &expiring("s", Some(10)));
        rig.subscribe("s", "t", Q1);
        for end in [Rig::cut, Rig::leave] {
            rig.advance_s(100);
            end(rig, "s");
            rig.publish_done("p", "t", "waits", Q1);
            rig.advance_ms(9_999);
            assert!(rig.connect("s", &expiring("s", Some(10))));
            assert_eq!(rig.payloads("s"), ["waits"]);
        }
        rig.cut("s");
        rig.publish_done("p", "t", "too late", Q1);
        rig.advance_s(10);
        assert_eq!((rig.stats().sessions, rig.stats().queued), (1, 0));
        assert!(!rig.connect("s", &expiring("s", Some(10))));
        rig.nothing("s");
    });
}

// [MQTT-3.1.2-23] [MQTT-4.1.0-2]
#[test]
fn disconnect_can_change_the_expiry_interval() {
    let goodbye = |session_expiry_s| Disconnect {
        session_expiry_s: Some(session_expiry_s),
        ..Disconnect::new(ReasonCode::NormalDisconnection)
    };
    on_every_size(|rig| {
        rig.connect("s", &expiring("s", Some(10)));
        rig.goodbye("s", &goodbye(100));
        rig.left("s");
        rig.advance_s(99);
        assert!(rig.connect("s", &expiring("s", Some(100))));
        rig.goodbye("s", &goodbye(5));
        rig.left("s");
        rig.advance_s(5);
        assert!(!rig.connect("s", &expiring("s", Some(100))));
        // The session ends at once, on both sides.
        rig.broker_hangs = true;
        rig.give_message("s", &publication("t", b"unconfirmed", Q1)).expect("taken");
        rig.give("s", |it, session, _, out| it.disconnect(session, &goodbye(0), out))
            .expect("a DISCONNECT in order");
        assert!(matches!(rig.next("s"), Happened::Discarded(..)));
        rig.left("s");
        rig.broker_hangs = false;
        rig.settle();
        assert_eq!(rig.stats().sessions, 0);
        assert!(!rig.connect("s", &expiring("s", Some(100))));
        rig.nothing("s");
    });
}

// [MQTT-4.1.0-2]
#[test]
fn without_an_interval_a_session_ends_with_its_connection() {
    on_every_size(|rig| {
        for end in [Rig::cut, Rig::leave] {
            assert!(!rig.connect("s", &expiring("s", None)));
            rig.subscribe("s", "t", Q1);
            end(rig, "s");
            assert_eq!(rig.stats().sessions, 0);
        }
        // A session that was to live on does not, when the last connection gives it no time.
        rig.connect("s", &expiring("s", Some(50)));
        rig.cut("s");
        assert!(rig.connect("s", &expiring("s", Some(0))));
        rig.cut("s");
        assert_eq!(rig.stats().sessions, 0);
        assert!(!rig.connect("s", &expiring("s", Some(50))));
    });
}

// [MQTT-3.1.2-23]
#[test]
fn the_server_can_grant_less_time_than_asked_for() {
    let tune = |config: &mut martlet_engine::ShardConfig| config.limits.session_expiry_max_s = 20;
    crate::rig::on_every_size_with(tune, |rig| {
        rig.connect("s", &expiring("s", Some(u32::MAX)));
        rig.cut("s");
        rig.advance_s(19);
        assert!(rig.connect("s", &expiring("s", Some(u32::MAX))));
        rig.cut("s");
        rig.advance_s(20);
        assert!(!rig.connect("s", &expiring("s", Some(u32::MAX))));
    });
}

// [MQTT-3.1.4-3] [MQTT-3.1.4-5] [MQTT3-3.1.4-2]
#[test]
fn a_second_connection_takes_the_session_over() {
    on_every_size(|rig| {
        rig.connect("p", &fresh(Version::V5, "p"));
        for version in VERSIONS {
            rig.client_anew("old");
            rig.client_anew("new").session = ClientSession::resumed(0);
            rig.connect("old", &lasting(version, "x"));
            rig.subscribe("old", "t", Q2);
            assert_eq!(rig.connect("new", &lasting(version, "x")), tells(version));
            if version.is_v5() {
                let reason = ReasonCode::SessionTakenOver;
                assert_eq!(rig.next("old"), Happened::Disconnected(reason));
                let end = Some(End::ServerDisconnected(reason));
                assert_eq!(rig.next("old"), Happened::Closed(end));
            } else {
                assert_eq!(rig.next("old"), Happened::Closed(None));
            }
            rig.publish_done("p", "t", "for the new one", Q2);
            assert_eq!(rig.payloads("new"), ["for the new one"]);
            rig.leave("new");
            rig.client_anew("new");
            rig.connect("new", &fresh(version, "x"));
            rig.leave("new");
        }
    });
}

// [MQTT3-2.3.1-3]
#[test]
fn requests_that_a_cut_left_unanswered_are_made_again() {
    on_every_size(|rig| {
        rig.connect("p", &fresh(Version::V5, "p"));
        for version in VERSIONS {
            rig.client_anew("s");
            rig.connect("s", &lasting(version, "s"));
            rig.broker_hangs = true;
            let filters = [("t", martlet_proto::SubscriptionOptions::new(Q1))];
            let request = martlet_session::client::SubscribeRequest {
                filters: &filters,
                subscription_id: None,
                user_properties: &[],
            };
            let token = rig
                .give("s", |it, session, now_ms, out| it.subscribe(now_ms, session, &request, out))
                .expect("a SUBSCRIBE in order");
            rig.broker_hangs = false;
            rig.cut("s");
            rig.connect("s", &lasting(version, "s"));
            assert_eq!(rig.next("s"), Happened::Subscribed(token, vec![1]));
            rig.publish_done("p", "t", "m", Q1);
            assert_eq!(rig.payloads("s"), ["m"]);
            rig.unsubscribe("s", "t");
            rig.leave("s");
            rig.connect("s", &fresh(version, "s"));
            rig.leave("s");
        }
    });
}
