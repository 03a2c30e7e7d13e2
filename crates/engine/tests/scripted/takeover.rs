//! Two connections with one client identifier.

use martlet_proto::ReasonCode;

use crate::rig::{msg, on_every_size, v5, v31, v311};

// [MQTT-3.1.4-3] [MQTT3-3.1.4-2]
#[test]
fn the_new_connection_wins() {
    on_every_size(|rig| {
        rig.connect(&v31("a1").id("a"));
        rig.connect(&v311("a2").id("a"));
        rig.closed("a1");
        rig.connect(&v5("a3").id("a"));
        rig.closed("a2");
        rig.connect(&v5("a4").id("a"));
        rig.thrown_out("a3", ReasonCode::SessionTakenOver);
        rig.nothing("a4");
        assert_eq!((rig.stats().sessions, rig.stats().sessions_connected), (1, 1));
    });
}

// [MQTT-3.1.4-3] [MQTT-3.1.2-5] [MQTT-4.4.0-1] [MQTT3-3.1.2-4]
#[test]
fn the_session_moves_to_the_new_connection() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        rig.connect(&v5("old").id("s").lasting());
        rig.subscribe("old", "t", 1);
        rig.publish("p", "t", "unacknowledged", 1);
        let first = rig.expect_publish("old");
        assert!(rig.connect(&v5("new").id("s").lasting()));
        rig.thrown_out("old", ReasonCode::SessionTakenOver);
        let again = rig.take_message("new");
        assert_eq!((again.id, again.dup, again.text()), (first.id, true, "unacknowledged"));
        rig.publish("p", "t", "live", 1);
        assert_eq!(rig.take_payloads("new"), ["live"]);
    });
}

// [MQTT-3.1.2-4] [MQTT-3.2.2-2]
#[test]
fn a_clean_start_takes_over_without_the_session() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        rig.connect(&v5("old").id("s").lasting());
        rig.subscribe("old", "t", 1);
        assert!(!rig.connect(&v5("new").id("s")));
        rig.thrown_out("old", ReasonCode::SessionTakenOver);
        rig.publish("p", "t", "m", 1);
        rig.nothing("new");
        assert_eq!(rig.stats().subscriptions, 0);
    });
}

#[test]
fn a_session_that_ends_with_its_connection_is_not_resumed() {
    on_every_size(|rig| {
        rig.connect(&v311("old").id("s"));
        rig.subscribe("old", "t", 1);
        assert!(!rig.connect(&v311("new").id("s").lasting()));
        rig.closed("old");
        assert_eq!(rig.stats().subscriptions, 0);
    });
}

// [MQTT-3.1.4-3]
#[test]
fn both_at_once_leave_one() {
    on_every_size(|rig| {
        rig.open("a1", martlet_proto::Version::V5, None);
        rig.open("a2", martlet_proto::Version::V5, None);
        rig.give("a1", &v5("a").lasting().bytes());
        rig.give("a2", &v5("a").lasting().bytes());
        rig.settle();
        let closed = [rig.is_closed("a1"), rig.is_closed("a2")];
        assert_eq!(closed.iter().filter(|closed| **closed).count(), 1, "{closed:?}");
        assert_eq!((rig.stats().sessions, rig.stats().sessions_connected), (1, 1));
        rig.ignore_the_rest();
    });
}

// [MQTT-3.14.4-1]
#[test]
fn what_the_old_connection_still_sends_is_not_looked_at() {
    on_every_size(|rig| {
        rig.connect(&v5("s"));
        rig.subscribe("s", "t", 0);
        rig.connect(&v5("old").id("a").lasting());
        rig.connect(&v5("new").id("a").lasting());
        rig.give_message("old", &msg("t", "ghost").qos(1));
        rig.settle();
        rig.thrown_out("old", ReasonCode::SessionTakenOver);
        rig.nothing("s");
        rig.publish("new", "t", "alive", 1);
        assert_eq!(rig.take_payloads("s"), ["alive"]);
    });
}
