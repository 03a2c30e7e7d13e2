//! `martlet sub`.

use std::io::{BufRead as _, BufReader};
use std::process::Command;

use martlet_proto::{ConnAck, Disconnect, Packet, PacketType, Publish, Qos, ReasonCode};

use crate::scripted::*;

#[test]
fn it_prints_what_comes_and_acknowledges_what_it_printed() {
    let server = Server::new();
    let arguments = ["-t", "a/#", "-t", "b", "-q", "2", "-v", "-C", "3"];
    let mut child = server.start("sub", &arguments);
    let mut peer = server.welcome();
    assert_eq!(peer.next(), "SUBSCRIBE a/#:2 b:2");
    peer.suback(1, &[2, 1]);
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = || {
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        line
    };
    peer.publish("a/1", "zero", Qos::AtMostOnce, 0);
    assert_eq!(line(), "a/1 zero\n");
    peer.publish("a/2", "one", Qos::AtLeastOnce, 9);
    assert_eq!(line(), "a/2 one\n");
    assert_eq!(peer.next(), "PUBACK #9");
    peer.publish("b", "two", Qos::ExactlyOnce, 5);
    peer.publish("b", "one too many", Qos::ExactlyOnce, 6);
    assert_eq!(line(), "b two\n");
    assert_eq!(peer.next(), "PUBREC #5");
    peer.expect_goodbye();
    drop(peer);
    ended_well(child);
}

#[test]
fn retained_messages_can_be_left_out() {
    let server = Server::new();
    let child = server.start("sub", &["-t", "t", "-R", "-N", "-C", "2"]);
    let mut peer = server.welcome();
    peer.next();
    peer.suback(1, &[0]);
    let old = Publish { topic: "t", payload: b"old", retain: true, ..Publish::default() };
    peer.send(&Packet::Publish(old));
    peer.publish("t", "new", Qos::AtMostOnce, 0);
    peer.publish("t", "newer", Qos::AtMostOnce, 0);
    peer.expect_goodbye();
    drop(peer);
    assert_eq!(ended(child), (Some(0), "newnewer".to_owned(), String::new()));
}

#[test]
fn a_refused_subscription_is_told_by_exit_code_and_filter() {
    for (code, expected) in [(0x87, 5), (0x97, 6), (0x80, 6)] {
        let server = Server::new();
        let child = server.start("sub", &["-t", "good", "-t", "bad"]);
        let mut peer = server.welcome();
        peer.next();
        peer.suback(1, &[0, code]);
        peer.expect_goodbye();
        drop(peer);
        let (ended_with, stdout, stderr) = ended(child);
        assert_eq!((ended_with, &stdout[..]), (Some(expected), ""));
        assert!(stderr.contains("bad") && !stderr.contains("good"), "{stderr}");
    }
}

#[test]
fn it_can_end_when_the_subscriptions_are_confirmed() {
    let server = Server::new();
    let child = server.start("sub", &["-t", "t", "-E", "-V", "31"]);
    let mut peer = server.welcome();
    assert_eq!(peer.next(), "SUBSCRIBE t:0");
    peer.suback(1, &[0]);
    peer.expect_goodbye();
    drop(peer);
    ended_well(child);
}

#[test]
fn time_is_limited_on_request() {
    let server = Server::new();
    let child = server.start("sub", &["-t", "t", "-W", "1"]);
    let mut peer = server.welcome();
    peer.next();
    peer.suback(1, &[0]);
    peer.publish("t", "x", Qos::AtMostOnce, 0);
    peer.expect_goodbye();
    drop(peer);
    let (code, stdout, _) = ended(child);
    assert_eq!((code, &stdout[..]), (Some(27), "x\n"));
}

#[test]
fn a_lost_connection_is_made_anew_unless_told_otherwise() {
    let server = Server::new();
    let child = server.start("sub", &["-t", "t", "-q", "1", "-C", "2"]);
    let mut peer = server.welcome();
    assert_eq!(peer.next(), "SUBSCRIBE t:1");
    peer.suback(1, &[1]);
    peer.publish("t", "before", Qos::AtLeastOnce, 1);
    assert_eq!(peer.next(), "PUBACK #1");
    drop(peer);
    let mut peer = server.welcome();
    assert_eq!(peer.next(), "SUBSCRIBE t:1");
    peer.suback(1, &[1]);
    peer.publish("t", "after", Qos::AtLeastOnce, 1);
    assert_eq!(peer.next(), "PUBACK #1");
    peer.expect_goodbye();
    drop(peer);
    let (code, stdout, stderr) = ended(child);
    assert_eq!((code, &stdout[..]), (Some(0), "before\nafter\n"));
    assert!(stderr.contains("connecting again"), "{stderr}");

    let child = server.start("sub", &["-t", "t", "--no-reconnect"]);
    let mut peer = server.welcome();
    peer.next();
    let goodbye = Disconnect::new(ReasonCode::ServerShuttingDown);
    peer.send(&Packet::Disconnect(goodbye));
    let (code, _, stderr) = ended(child);
    assert_eq!(code, Some(7));
    assert!(stderr.contains("Server shutting down"), "{stderr}");
}

#[test]
fn a_takeover_is_no_reason_to_come_back() {
    let server = Server::new();
    let child = server.start("sub", &["-t", "t", "-i", "me"]);
    let mut peer = server.welcome();
    peer.next();
    peer.send(&Packet::Disconnect(Disconnect::new(ReasonCode::SessionTakenOver)));
    let (code, _, stderr) = ended(child);
    assert_eq!(code, Some(7));
    assert!(stderr.contains("Session taken over"), "{stderr}");
}

#[test]
fn a_persistent_session_is_taken_up_by_a_new_process() {
    let server = Server::new();
    let child = server.start("sub", &["-t", "t", "-q", "2", "-i", "me", "-c", "-C", "1"]);
    let mut peer = server.accept();
    assert!(peer.next().contains("clean=false"));
    peer.send(&Packet::ConnAck(ConnAck::new(true, OK)));
    // Flows of the process before are finished, whatever this one knows of them. They come first:
    // with its one message the process has what it came for.
    peer.ack(PacketType::PubRel, 6, OK);
    peer.publish("t", "queued", Qos::ExactlyOnce, 7);
    let mut sent = [peer.next(), peer.next(), peer.next()];
    sent.sort();
    assert_eq!(sent, ["PUBCOMP #6", "PUBREC #7", "SUBSCRIBE t:2"]);
    peer.expect_goodbye();
    drop(peer);
    let (code, stdout, _) = ended(child);
    assert_eq!((code, &stdout[..]), (Some(0), "queued\n"));
}

#[test]
fn a_closed_output_ends_it_quietly() {
    let server = Server::new();
    let mut child = server.start("sub", &["-t", "t", "-q", "1"]);
    let mut peer = server.welcome();
    peer.next();
    peer.suback(1, &[1]);
    drop(child.stdout.take());
    peer.publish("t", "nobody reads this", Qos::AtLeastOnce, 1);
    // Not acknowledged: it was not written.
    peer.expect_goodbye();
    drop(peer);
    ended_well(child);
}

#[test]
fn a_signal_ends_it_with_a_goodbye() {
    for signal in ["-INT", "-TERM"] {
        let server = Server::new();
        let child = server.start("sub", &["-t", "t"]);
        let mut peer = server.welcome();
        peer.next();
        let id = child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
        peer.expect_goodbye();
        drop(peer);
        assert_eq!(ended(child), (Some(130), String::new(), String::new()));
    }
}

#[test]
fn a_server_that_breaks_the_protocol_is_left() {
    let server = Server::new();
    let child = server.start("sub", &["-t", "t"]);
    let mut peer = server.welcome();
    peer.next();
    peer.send_bytes(b"\x36\x03\x00\x01t");
    assert_eq!(peer.next(), "DISCONNECT 0x81");
    drop(peer);
    let (code, _, stderr) = ended(child);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("QoS 3"), "{stderr}");
}
