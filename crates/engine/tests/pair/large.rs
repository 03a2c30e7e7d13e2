//! Large payloads in odd pieces.

use martlet_proto::Version;

use crate::rig::{Happened, Q0, Q1, Q2, Rig, VERSIONS, fresh, lasting, on_every_size, publication};

const LEN: usize = 200 * 1024;

/// Bytes that tell their place.
fn pattern(len: usize, salt: usize) -> Vec<u8> {
    (0..len).map(|i| ((i + salt) % 251) as u8).collect()
}

#[test]
fn large_payloads_come_whole_out_of_odd_pieces() {
    for piece in [None, Some(1021), Some(4096), Some(4099), Some(65_537), Some(usize::MAX)] {
        on_few_sizes(|rig| {
            rig.piece = piece;
            for (i, version) in VERSIONS.into_iter().enumerate() {
                let (p, s) = (["p31", "p311", "p5"][i], ["s31", "s311", "s5"][i]);
                rig.connect(p, &fresh(version, p));
                rig.connect(s, &fresh(version, s));
                rig.subscribe(s, "t", Q2);
            }
            for (salt, qos) in [Q0, Q1, Q2].into_iter().enumerate() {
                for p in ["p31", "p311", "p5"] {
                    let payload = pattern(LEN + salt, salt);
                    rig.give_message(p, &publication("t", b"before", qos)).expect("taken");
                    rig.give_message(p, &publication("t", &payload, qos)).expect("taken");
                    rig.give_message(p, &publication("t", b"after", qos)).expect("taken");
                    rig.settle();
                    rig.client(p).events.clear();
                    for s in ["s31", "s311", "s5"] {
                        let messages = rig.messages(s);
                        assert_eq!(messages.len(), 3);
                        assert_eq!(messages[0].text(), "before");
                        assert!(messages[1].payload == payload);
                        assert_eq!(messages[2].text(), "after");
                    }
                }
            }
        });
    }
}

/// Fewer runs than usual: there are many bytes.
fn on_few_sizes(script: impl Fn(&mut Rig)) {
    for shards in [1, 2, 8] {
        let mut rig = Rig::new(shards, 7, |_| {});
        script(&mut rig);
        rig.finish();
    }
}

// [MQTT-4.4.0-1] [MQTT3-4.4.0-1]
#[test]
fn a_large_message_survives_a_cut_in_its_middle() {
    for version in VERSIONS {
        on_every_size(|rig| {
            rig.connect("p", &lasting(version, "p"));
            rig.connect("s", &lasting(version, "s"));
            rig.subscribe("s", "t", Q2);
            let payload = pattern(LEN, 3);
            for qos in [Q1, Q2] {
                for name in ["p", "s"] {
                    let message = publication("t", &payload, qos);
                    rig.give_message("p", &message).expect("taken");
                    let way = if name == "p" {
                        crate::rig::Way::ToServer
                    } else {
                        crate::rig::Way::ToClient
                    };
                    let cut = crate::rig::Cut {
                        way,
                        after: LEN / 2,
                        rest_arrives: true,
                        server_learns: true,
                    };
                    rig.order_cut(name, cut);
                    rig.settle();
                    assert_eq!(rig.client(name).events.pop_back(), Some(Happened::Closed(None)));
                    assert_eq!(rig.connect(name, &lasting(version, name)), version != Version::V31);
                    let messages = rig.messages("s");
                    assert_eq!(messages.len(), 1);
                    assert!(messages[0].payload == payload);
                    rig.client("p").events.clear();
                    assert!(rig.client("p").session.is_idle());
                }
            }
        });
    }
}
