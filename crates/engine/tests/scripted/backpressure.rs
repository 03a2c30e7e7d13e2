//! Slow peers: who does not read is not read, who is slow harms nobody else.

use martlet_engine::ShardConfig;
use martlet_proto::{Packet, PacketType};

use crate::rig::{msg, on_every_size_with, v5, v311};

fn small(config: &mut ShardConfig) {
    config.limits.outbox_pause_bytes = 1000;
    config.limits.outbox_low_bytes = 400;
}

#[test]
fn a_publisher_that_reads_no_acknowledgements_is_not_read() {
    on_every_size_with(small, |rig| {
        rig.connect(&v5("s"));
        rig.subscribe("s", "t", 0);
        rig.connect(&v311("p"));
        rig.take_only("p", 0);
        let mut sent = 0;
        while !rig.is_paused("p") {
            rig.send_message("p", &msg("t", &sent.to_string()).qos(1));
            sent += 1;
            assert!(sent <= 251, "an outbox of {sent} PUBACKs");
        }
        assert_eq!(sent, 250, "1000 bytes of PUBACK");
        for i in sent..sent + 50 {
            rig.give_message("p", &msg("t", &i.to_string()).qos(1));
        }
        rig.settle();
        assert_eq!(rig.take_payloads("s").len(), sent, "nothing more is read");
        // Some room is not enough; below the mark it is read again.
        rig.take_only("p", 500);
        assert!(rig.is_paused("p"));
        rig.take_only("p", 200);
        assert!(!rig.is_paused("p"));
        assert_eq!(rig.take_payloads("s").len(), 50);
        rig.take_only("p", usize::MAX);
        for id in 1..=300 {
            assert_eq!(rig.expect("p").pub_ack().packet_id.get(), id);
        }
    });
}

#[test]
fn a_slow_subscriber_slows_nobody_down() {
    on_every_size_with(small, |rig| {
        rig.connect(&v5("p"));
        for name in ["slow", "quick"] {
            rig.connect(&v5(name));
            rig.subscribe(name, "t", 1);
        }
        rig.take_only("slow", 0);
        for i in 0..200 {
            rig.publish("p", "t", &i.to_string(), 1);
            assert_eq!(rig.take_message("quick").text(), i.to_string());
        }
        assert!(!rig.is_paused("p") && !rig.is_paused("slow"));
        assert!(rig.stats().queued > 50, "what it does not take waits in its queue");
        // A little at a time, it gets everything in order.
        let mut got = 0;
        for _ in 0..500 {
            rig.take_only("slow", 37);
            while rig.client("slow").inbox_len() > 0 {
                assert_eq!(rig.take_message("slow").text(), got.to_string());
                got += 1;
            }
        }
        assert_eq!((got, rig.stats().queued), (200, 0));
    });
}

#[test]
fn a_client_that_is_paused_can_still_be_served() {
    on_every_size_with(small, |rig| {
        rig.connect(&v5("p"));
        rig.connect(&v5("s").lasting());
        rig.subscribe("s", "t", 1);
        rig.take_only("s", 0);
        for _ in 0..600 {
            rig.give_packet("s", Packet::PingReq);
        }
        rig.settle();
        assert!(rig.is_paused("s"));
        for i in 0..10 {
            rig.publish("p", "t", &i.to_string(), 1);
        }
        rig.take_only("s", usize::MAX);
        assert!(!rig.is_paused("s"));
        for _ in 0..600 {
            rig.take_first("s", PacketType::PingResp);
        }
        assert_eq!(rig.take_payloads("s").len(), 10);
    });
}

#[test]
fn a_connection_that_ends_while_it_is_paused_leaves_nothing_behind() {
    on_every_size_with(small, |rig| {
        rig.connect(&v5("s"));
        rig.subscribe("s", "t", 0);
        rig.connect(&v5("p").will(msg("t", "will")));
        rig.take_only("p", 0);
        for _ in 0..600 {
            rig.give_packet("p", Packet::PingReq);
        }
        rig.settle();
        assert!(rig.is_paused("p"));
        rig.cut("p");
        assert_eq!(rig.take_payloads("s"), ["will"]);
        // Its number is used again, and whoever has it now is read.
        for i in 0..4 {
            let name = format!("n{i}");
            rig.connect(&v5(&name));
            rig.publish(&name, "t", &name, 1);
            assert_eq!(rig.take_payloads("s"), [name]);
        }
    });
}

#[test]
fn retained_messages_wait_for_a_slow_client() {
    on_every_size_with(small, |rig| {
        rig.connect(&v5("p"));
        for i in 0..100 {
            let message = msg(&format!("r/{i}"), &"x".repeat(50)).retain();
            rig.publish_message("p", &message);
        }
        rig.connect(&v5("s"));
        rig.subscribe("s", "none", 0);
        rig.take_only("s", 0);
        rig.give_subscribe("s", &[("r/+", crate::rig::options(0))], None);
        rig.settle();
        assert_eq!(rig.stats().dropped_all(), 0, "a replay is no reason to drop");
        let mut got = 0;
        for _ in 0..1000 {
            rig.take_only("s", 97);
            while rig.client("s").inbox_len() > 0 {
                got += usize::from(rig.expect("s").packet().packet_type() == PacketType::Publish);
            }
        }
        assert_eq!(got, 100);
        assert_eq!(rig.stats().dropped_all(), 0);
    });
}

#[test]
fn large_payloads_leave_in_pieces() {
    on_every_size_with(small, |rig| {
        rig.connect(&v5("p"));
        rig.connect(&v5("s"));
        rig.subscribe("s", "t", 1);
        rig.take_only("s", 0);
        let texts: Vec<String> = [10, 5000, 4096, 1, 9000, 20]
            .iter()
            .enumerate()
            .map(|(i, len)| format!("{i}").repeat(*len))
            .collect();
        for text in &texts {
            rig.publish("p", "t", text, 1);
        }
        let mut got = Vec::new();
        for _ in 0..60 {
            rig.take_only("s", 333);
            while rig.client("s").inbox_len() > 0 {
                got.push(rig.take_message("s").text().to_owned());
            }
        }
        assert_eq!(got, texts);
    });
}
