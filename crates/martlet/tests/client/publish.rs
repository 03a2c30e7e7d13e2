//! `martlet pub`.

use std::io::Write as _;
use std::process::Command;

use martlet_proto::{ConnAck, Packet, PacketType, ReasonCode};

use crate::scripted::*;

// [MQTT-4.2-1] [MQTT3-7.1.2-1]
#[test]
fn one_message_and_goodbye() {
    let server = Server::new();
    let child = server.start("pub", &["-t", "a/b", "-m", "hello world", "-r"]);
    let mut peer = server.accept();
    let connect = r#"CONNECT 5 clean=true keep=60 id="" user="" password="""#;
    assert_eq!(peer.next(), connect);
    peer.welcome();
    assert_eq!(peer.next(), "PUBLISH a/b=hello world q0 retain");
    peer.expect_goodbye();
    drop(peer);
    ended_well(child);
}

#[test]
fn it_waits_for_puback_and_its_reason_is_the_exit_code() {
    for (reason, code, text) in [
        (ReasonCode::Success, 0, ""),
        (ReasonCode::NoMatchingSubscribers, 0, ""),
        (ReasonCode::NotAuthorized, 5, "Not authorized"),
        (ReasonCode::QuotaExceeded, 6, "Quota exceeded"),
    ] {
        let server = Server::new();
        let child = server.start("pub", &["-t", "t", "-m", "x", "-q", "1"]);
        let mut peer = server.welcome();
        assert_eq!(peer.next(), "PUBLISH t=x q1");
        peer.ack(PacketType::PubAck, 1, reason);
        peer.expect_goodbye();
        drop(peer);
        let (ended_with, stdout, stderr) = ended(child);
        assert_eq!((ended_with, &stdout[..]), (Some(code), ""), "{stderr}");
        assert!(stderr.contains(text) && stderr.is_empty() == text.is_empty(), "{stderr}");
    }
}

#[test]
fn qos_2_takes_four_steps() {
    let server = Server::new();
    let child = server.start("pub", &["-t", "t", "-n", "-q", "2", "-V", "311"]);
    let mut peer = server.welcome();
    assert_eq!(peer.next(), "PUBLISH t= q2");
    peer.ack(PacketType::PubRec, 1, OK);
    assert_eq!(peer.next(), "PUBREL #1");
    peer.ack(PacketType::PubComp, 1, OK);
    peer.expect_goodbye();
    drop(peer);
    ended_well(child);
}

#[test]
fn payloads_from_standard_input_and_from_a_file() {
    let server = Server::new();
    let mut child = server.start("pub", &["-t", "t", "-s"]);
    child.stdin.take().unwrap().write_all(b"line\nline\n").unwrap();
    assert_eq!(server.welcome().next(), "PUBLISH t=line\nline\n q0");
    ended_well(child);

    let file = std::env::temp_dir().join(format!("martlet-pub-{}", std::process::id()));
    std::fs::write(&file, "from a file").unwrap();
    let child = server.start("pub", &["-t", "t", "-f", file.to_str().unwrap()]);
    assert_eq!(server.welcome().next(), "PUBLISH t=from a file q0");
    ended_well(child);
    std::fs::remove_file(&file).unwrap();
    let child = server.start("pub", &["-t", "t", "-f", file.to_str().unwrap()]);
    let (code, _, stderr) = ended(child);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("martlet-pub"), "{stderr}");
}

#[test]
fn each_line_is_a_message_and_all_are_confirmed() {
    let server = Server::new();
    let mut child = server.start("pub", &["-t", "t", "-l", "-q", "1"]);
    let mut peer = server.welcome();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"first\n").unwrap();
    assert_eq!(peer.next(), "PUBLISH t=first q1");
    peer.ack(PacketType::PubAck, 1, OK);
    stdin.write_all(b"\nlast without newline").unwrap();
    drop(stdin);
    assert_eq!(peer.next(), "PUBLISH t= q1");
    assert_eq!(peer.next(), "PUBLISH t=last without newline q1");
    peer.ack(PacketType::PubAck, 2, ReasonCode::QuotaExceeded);
    peer.ack(PacketType::PubAck, 3, OK);
    peer.expect_goodbye();
    drop(peer);
    let (code, _, stderr) = ended(child);
    assert_eq!(code, Some(6), "one of them was refused: {stderr}");
}

#[test]
fn more_lines_than_may_be_in_flight() {
    let server = Server::new();
    let mut child = server.start("pub", &["-t", "t", "-l", "-q", "1"]);
    let mut peer = server.accept();
    peer.next();
    let mut connack = ConnAck::new(false, OK);
    connack.properties.assigned_client_id = Some("a");
    connack.properties.receive_max = Some(3);
    peer.send(&Packet::ConnAck(connack));
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || {
        for n in 1..=2000 {
            writeln!(stdin, "{n}").unwrap();
        }
    });
    for n in 1..=2000 {
        assert_eq!(peer.next(), format!("PUBLISH t={n} q1"));
        peer.ack(PacketType::PubAck, n, OK);
    }
    peer.expect_goodbye();
    drop(peer);
    writer.join().unwrap();
    ended_well(child);
}

#[test]
fn who_connects() {
    let server = Server::new();
    let connect_with = |arguments: &[&str]| {
        let child = server.start("pub", &[&["-t", "t", "-n", "-k", "9"], arguments].concat());
        let connect = server.accept().next();
        assert_eq!(ended(child).0, Some(3), "the connection ends before CONNACK");
        connect.strip_prefix("CONNECT ").unwrap().to_owned()
    };
    let password = connect_with(&["-i", "me", "-u", "user", "-P", "secret"]);
    assert_eq!(password, r#"5 clean=true keep=9 id="me" user="user" password="secret""#);
    let file = std::env::temp_dir().join(format!("martlet-password-{}", std::process::id()));
    std::fs::write(&file, "from a file\r\nsecond line").unwrap();
    let from_file = connect_with(&["-u", "user", "--password-file", file.to_str().unwrap()]);
    assert!(from_file.ends_with(r#"password="from a file""#), "{from_file}");
    std::fs::remove_file(&file).unwrap();
    let from_environment = connect_with(&["-u", "user", "--password-env", "PASSWORD_OF_TEST"]);
    assert!(from_environment.ends_with(r#"password="from the environment""#), "{from_environment}");
    let persistent = connect_with(&["-i", "me", "-c"]);
    assert!(persistent.contains("clean=false") && persistent.ends_with("expiry=4294967295"));
    assert!(connect_with(&["-i", "me", "-c", "-x", "60"]).ends_with("expiry=60"));
    assert!(connect_with(&["-x", "-1"]).ends_with("expiry=4294967295"));
    assert!(connect_with(&["-V", "31"]).contains(r#"id="martlet-"#));
    assert!(connect_with(&["-I", "test-"]).contains(r#"id="test-"#));
    let will = ["--will-topic", "gone", "--will-payload", "x", "--will-qos", "1", "--will-retain"];
    assert!(connect_with(&will).ends_with("will gone=x q1 retain=true"));
}

#[test]
fn a_refused_connection_is_told_by_exit_code_and_reason() {
    for (reason, code) in [
        (ReasonCode::ServerUnavailable, 4),
        (ReasonCode::ClientIdentifierNotValid, 4),
        (ReasonCode::NotAuthorized, 5),
        (ReasonCode::BadUserNameOrPassword, 5),
    ] {
        let server = Server::new();
        let child = server.start("pub", &["-t", "t", "-m", "x"]);
        let mut peer = server.accept();
        peer.next();
        let mut connack = ConnAck::new(false, reason);
        connack.properties.reason_string = Some("because of the test");
        peer.send(&Packet::ConnAck(connack));
        let (ended_with, stdout, stderr) = ended(child);
        assert_eq!((ended_with, &stdout[..]), (Some(code), ""));
        assert!(stderr.contains(reason.name()) && stderr.contains("because of the test"));
    }
}

#[test]
fn a_server_without_version_5_gets_version_3_1_1_once() {
    for refusal in [&b"\x20\x02\x00\x01"[..], b"\x20\x03\x00\x84\x00"] {
        let server = Server::new();
        let child = server.start("pub", &["-t", "t", "-m", "x"]);
        let mut peer = server.accept();
        assert!(peer.next().starts_with("CONNECT 5 "));
        peer.send_bytes(refusal);
        drop(peer);
        let mut peer = server.accept();
        assert!(peer.next().starts_with("CONNECT 4 "));
        peer.welcome();
        assert_eq!(peer.next(), "PUBLISH t=x q0");
        peer.expect_goodbye();
        drop(peer);
        let (code, _, stderr) = ended(child);
        assert_eq!(code, Some(0));
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
    let server = Server::new();
    let child = server.start("pub", &["-t", "t", "-m", "x", "-V", "5"]);
    let mut peer = server.accept();
    peer.next();
    peer.send_bytes(b"\x20\x02\x00\x01");
    assert_eq!(ended(child).0, Some(4), "a version that was asked for is not changed");
}

#[test]
fn nobody_there_and_a_lost_connection() {
    let server = Server::new();
    let port = server.port();
    drop(server);
    let (code, stdout, stderr) = ended(start("pub", port, &["-t", "t", "-m", "x"]));
    assert_eq!((code, &stdout[..]), (Some(3), ""));
    assert!(stderr.contains("cannot reach"), "{stderr}");

    let server = Server::new();
    let child = server.start("pub", &["-t", "t", "-m", "x", "-q", "1"]);
    let mut peer = server.welcome();
    assert_eq!(peer.next(), "PUBLISH t=x q1");
    drop(peer);
    let (code, _, stderr) = ended(child);
    assert_eq!(code, Some(7), "{stderr}");

    let child = server.start("pub", &["-t", "t", "-m", "x", "-q", "1", "--quiet"]);
    let mut peer = server.welcome();
    peer.next();
    drop(peer);
    assert_eq!(ended(child), (Some(7), String::new(), String::new()));
}

#[test]
fn time_is_limited_on_request() {
    let server = Server::new();
    let child = server.start("pub", &["-t", "t", "-m", "x", "-q", "1", "-W", "1"]);
    let mut peer = server.welcome();
    assert_eq!(peer.next(), "PUBLISH t=x q1");
    peer.expect_goodbye();
    drop(peer);
    assert_eq!(ended(child).0, Some(27));
}

#[test]
fn a_signal_ends_it_with_a_goodbye() {
    let server = Server::new();
    let child = server.start("pub", &["-t", "t", "-l"]);
    let mut peer = server.welcome();
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    peer.expect_goodbye();
    drop(peer);
    assert_eq!(ended(child), (Some(130), String::new(), String::new()));
}

#[test]
fn mistakes_on_the_command_line() {
    for arguments in [
        &["-m", "x"][..],
        &["-t", "t"],
        &["-t", "t", "-m", "x", "-n"],
        &["-t", "a/+", "-m", "x"],
        &["-t", "t", "-m", "x", "-q", "3"],
        &["-t", "t", "-m", "x", "-V", "4"],
        &["-t", "t", "-m", "x", "-c"],
        &["-t", "t", "-m", "x", "--will-qos", "1"],
        &["-t", "t", "-m", "x", "--password-env", "NOT_SET_ANYWHERE"],
        &["-t", "t", "-m", "x", "--password-file", "/does/not/exist"],
    ] {
        let (code, stdout, stderr) = ended(start("pub", 1, arguments));
        assert_eq!((code, &stdout[..]), (Some(2), ""), "{arguments:?}");
        assert!(!stderr.is_empty());
    }
    let (code, stdout, _) = ended(start("pub", 1, &["--help"]));
    assert_eq!(code, Some(0));
    assert!(stdout.contains("--null-message"));
}
