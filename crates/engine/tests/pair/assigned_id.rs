//! Clients that leave their identifier to the server.

use martlet_proto::{Connect, Version};
use martlet_session::client::{ClientConnection, ConnectError, ConnectionOptions};

use crate::rig::{Happened, Q1, Q2, Rig, fresh, lasting, on_every_size};

fn assigned(rig: &mut Rig, name: &'static str, connect: &Connect<'_>) -> String {
    rig.call(name, connect);
    let event = rig.next(name);
    let Happened::Connected { present: false, assigned: Some(id), .. } = event else {
        panic!("{event:?}")
    };
    assert!(!id.is_empty());
    id
}

// [MQTT-3.1.3-6] [MQTT-3.1.3-7] [MQTT-3.2.2-16]
#[test]
fn each_client_gets_an_identifier_of_its_own() {
    on_every_size(|rig| {
        let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
        let mut ids: Vec<String> =
            names.into_iter().map(|name| assigned(rig, name, &fresh(Version::V5, ""))).collect();
        assert_eq!(rig.stats().sessions_connected, 10);
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 10);
        for name in names {
            rig.subscribe(name, "t", Q1);
            rig.publish_done(name, name, "m", Q2);
        }
        rig.publish_done("a", "t", "for all", Q2);
        for name in names {
            assert_eq!(rig.payloads(name), ["for all"]);
        }
    });
}

// [MQTT-3.2.2-16] [MQTT-3.1.2-5] [MQTT-3.1.3-2]
#[test]
fn under_the_assigned_identifier_the_session_is_resumed() {
    on_every_size(|rig| {
        rig.connect("p", &fresh(Version::V5, "p"));
        let id = assigned(rig, "a", &lasting(Version::V5, ""));
        rig.subscribe("a", "t", Q2);
        rig.cut("a");
        rig.publish_done("p", "t", "waits", Q2);
        // The session is that of the assigned identifier and of no other.
        let session = &mut rig.client("a").session;
        let connect = lasting(Version::V5, "");
        let options = ConnectionOptions::default();
        let opened = ClientConnection::open(0, session, &connect, options, &mut Vec::new(), |_| {});
        assert_eq!(opened.err(), Some(ConnectError::ClientIdDiffers));
        assert!(rig.connect("a", &lasting(Version::V5, &id)));
        assert_eq!(rig.payloads("a"), ["waits"]);
    });
}

// [MQTT3-3.1.3-6] [MQTT3-3.1.3-7]
#[test]
fn in_3_1_1_nobody_is_told_the_identifier() {
    on_every_size(|rig| {
        for name in ["a", "b", "c"] {
            assert!(!rig.connect(name, &fresh(Version::V311, "")));
            rig.subscribe(name, "t", Q2);
        }
        rig.publish_done("a", "t", "m", Q2);
        for name in ["a", "b", "c"] {
            assert_eq!(rig.payloads(name), ["m"]);
            rig.leave(name);
        }
        assert_eq!(rig.stats().sessions, 0);
    });
}
