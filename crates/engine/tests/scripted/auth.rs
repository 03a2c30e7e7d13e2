//! Authentication by the port: verdicts on CONNECT, the enhanced exchange, re-authentication.

use martlet_engine::{AuthStep, Verdict};
use martlet_proto::{Auth, Disconnect, Packet, PacketType, ReasonCode, Version};

use crate::rig::{Rig, ask_port, msg, on_every_size, on_every_size_with, v5, v31, v311};

const METHOD: &str = "SCRIPTED";

fn allow(data: Option<&str>) -> Verdict {
    Verdict::Allow { data: data.map(|data| data.as_bytes().into()) }
}

fn go_on(data: &str) -> Verdict {
    Verdict::Continue { data: Some(data.as_bytes().into()) }
}

fn refuse(reason: ReasonCode) -> Verdict {
    Verdict::Refuse { reason }
}

fn auth<'a>(reason: ReasonCode, data: &'a str) -> Packet<'a> {
    Packet::Auth(Auth { data: Some(data.as_bytes()), ..Auth::new(reason, METHOD) })
}

fn answer(data: &str) -> Packet<'_> {
    auth(ReasonCode::ContinueAuthentication, data)
}

/// AUTH with this reason and these data came, with the method of CONNECT.
fn expect_auth(rig: &mut Rig, name: &str, reason: ReasonCode, data: Option<&str>) {
    let got = rig.expect(name);
    let auth = got.auth();
    assert_eq!((auth.reason, auth.method), (reason, Some(METHOD)));
    assert_eq!(auth.data, data.map(str::as_bytes));
    assert!(auth.reason_string.is_none() && auth.user_properties.is_empty());
}

/// A client in an enhanced exchange that has been asked to go on.
fn halfway(rig: &mut Rig, name: &str) {
    rig.call(&v5(name).method(METHOD, Some("first")));
    rig.nothing(name);
    rig.judge(go_on("challenge"));
    expect_auth(rig, name, ReasonCode::ContinueAuthentication, Some("challenge"));
}

/// A client that the enhanced exchange has let in.
fn let_in(rig: &mut Rig, name: &str) {
    rig.call(&v5(name).method(METHOD, None));
    rig.judge(allow(None));
    assert_eq!(rig.expect(name).conn_ack().reason, ReasonCode::Success);
}

#[test]
fn a_client_that_waits_for_a_second_verdict_is_not_read_either() {
    on_every_size_with(ask_port, |rig| {
        let hello = v5("c").method(METHOD, Some("first"));
        rig.open("c", Version::V5, None);
        rig.give("c", &hello.bytes());
        // It does not wait for the challenge.
        rig.send("c", answer("early"));
        rig.judge(go_on("challenge"));
        expect_auth(rig, "c", ReasonCode::ContinueAuthentication, Some("challenge"));
        assert!(rig.is_asked() && rig.is_paused("c"));
        rig.judge(allow(None));
        assert_eq!(rig.expect("c").conn_ack().reason, ReasonCode::Success);
        assert!(!rig.is_paused("c"));
    });
}

// [MQTT-3.1.4-2]
#[test]
fn the_port_judges_every_connect() {
    on_every_size_with(ask_port, |rig| {
        for hello in [v31("a"), v311("b"), v5("c")] {
            rig.call(&hello.clone().user("name", "secret"));
            rig.nothing(hello.name());
            let question = rig.question();
            assert_eq!(&*question.client_id, hello.name());
            let (user_name, password) = (Some("name".into()), Some(b"secret".as_slice().into()));
            let step = AuthStep::Connect { user_name, password, method: None, data: None };
            assert_eq!(question.step, step);
            rig.judge(allow(None));
            assert_eq!(rig.expect(hello.name()).conn_ack().reason, ReasonCode::Success);
        }
        rig.call(&v311("nobody"));
        let none = AuthStep::Connect { user_name: None, password: None, method: None, data: None };
        assert_eq!(rig.question().step, none);
        rig.judge(allow(None));
        rig.expect("nobody").conn_ack();
    });
}

// [MQTT-3.1.4-2] [MQTT-3.2.2-7] [MQTT-3.2.2-6] [MQTT-4.13.2-1] [MQTT3-3.2.2-4] [MQTT3-3.2.2-5]
// [MQTT3-4.8.0-2]
#[test]
fn a_refusal_says_why_and_closes() {
    on_every_size_with(ask_port, |rig| {
        let table = [
            (ReasonCode::BadUserNameOrPassword, ReasonCode::BadUserNameOrPassword),
            (ReasonCode::NotAuthorized, ReasonCode::NotAuthorized),
            (ReasonCode::Banned, ReasonCode::NotAuthorized),
            (ReasonCode::ServerUnavailable, ReasonCode::ServerUnavailable),
            (ReasonCode::UnspecifiedError, ReasonCode::ServerUnavailable),
        ];
        for (reason, in_v3) in table {
            rig.call(&v5("a"));
            rig.judge(refuse(reason));
            rig.refused("a", reason);
            rig.call(&v311("b"));
            rig.judge(refuse(reason));
            rig.refused("b", in_v3);
        }
        assert_eq!((rig.stats().sessions, rig.stats().clients_accepted), (0, 0));
    });
}

// [MQTT-3.1.4-6] [MQTT3-3.1.4-5]
#[test]
fn what_comes_before_the_verdict_waits_for_it() {
    on_every_size_with(ask_port, |rig| {
        rig.call(&v5("s"));
        rig.judge(allow(None));
        rig.expect("s").conn_ack();
        rig.subscribe("s", "t", 0);
        for (name, version) in [("a", Version::V311), ("b", Version::V5)] {
            let hello = if version.is_v5() { v5(name) } else { v311(name) };
            rig.call(&hello);
            assert!(rig.is_paused(name));
            rig.send_message(name, &msg("t", name).qos(1).id(1));
            rig.nothing("s");
            rig.judge(allow(None));
            assert!(!rig.is_paused(name));
            assert_eq!(rig.expect(name).conn_ack().reason, ReasonCode::Success);
            assert_eq!(rig.expect(name).pub_ack().packet_id.get(), 1);
            assert_eq!(rig.take_payloads("s"), [name]);
        }
        // All in one piece.
        let both = [v5("d").bytes(), msg("t", "d").bytes(Version::V5)].concat();
        rig.open("d", Version::V5, None);
        rig.send_bytes("d", &both);
        rig.nothing("s");
        rig.judge(allow(None));
        rig.expect("d").conn_ack();
        assert_eq!(rig.take_payloads("s"), ["d"]);
        // A refused client's packets are never looked at.
        let both = [v5("c").bytes(), msg("t", "c").bytes(Version::V5)].concat();
        rig.open("c", Version::V5, None);
        rig.send_bytes("c", &both);
        rig.judge(refuse(ReasonCode::NotAuthorized));
        rig.refused("c", ReasonCode::NotAuthorized);
        rig.nothing("s");
    });
}

// [MQTT-4.12.0-2] [MQTT-4.12.0-3] [MQTT-4.12.0-5] [MQTT-3.15.2-1] [MQTT-3.1.2-30] [MQTT-3.15.2-2]
// [MQTT-3.15.2-3]
#[test]
fn an_exchange_goes_on_until_its_verdict() {
    on_every_size_with(ask_port, |rig| {
        halfway(rig, "a");
        for i in 0..3 {
            let data = format!("answer {i}");
            rig.send("a", answer(&data));
            let data = Some(data.as_bytes().into());
            assert_eq!(rig.question().step, AuthStep::Continue { method: METHOD.into(), data });
            assert_eq!(&*rig.question().client_id, "a");
            rig.judge(go_on("more"));
            expect_auth(rig, "a", ReasonCode::ContinueAuthentication, Some("more"));
        }
        rig.send("a", answer("last"));
        rig.judge(allow(Some("welcome")));
        let got = rig.expect("a");
        assert_eq!(got.conn_ack().reason, ReasonCode::Success);
        assert_eq!(got.conn_ack().properties.auth_method, Some(METHOD));
        assert_eq!(got.conn_ack().properties.auth_data, Some(b"welcome".as_slice()));
        rig.publish("a", "t", "m", 1);
    });
}

// [MQTT-4.12.0-4] [MQTT-3.2.2-7]
#[test]
fn an_exchange_can_fail_at_any_point() {
    on_every_size_with(ask_port, |rig| {
        rig.call(&v5("a").method(METHOD, None));
        rig.judge(refuse(ReasonCode::BadAuthenticationMethod));
        rig.refused("a", ReasonCode::BadAuthenticationMethod);
        halfway(rig, "b");
        rig.send("b", answer("wrong"));
        rig.judge(refuse(ReasonCode::NotAuthorized));
        rig.refused("b", ReasonCode::NotAuthorized);
        assert_eq!(rig.stats().sessions, 0);
    });
}

// [MQTT-4.12.0-6] [MQTT-4.12.0-5]
#[test]
fn without_a_method_none_is_named() {
    on_every_size_with(ask_port, |rig| {
        rig.call(&v5("a"));
        rig.judge(allow(Some("data of no exchange")));
        let got = rig.expect("a");
        assert_eq!(got.conn_ack().properties.auth_method, None);
        assert_eq!(got.conn_ack().properties.auth_data, None);
        // A port that wants to go on all the same cannot: there is no exchange.
        for hello in [v5("b"), v311("c")] {
            rig.call(&hello);
            rig.judge(go_on("challenge"));
            rig.refused(hello.name(), ReasonCode::NotAuthorized);
        }
    });
}

// [MQTT-4.12.0-1]
#[test]
fn without_a_port_every_method_is_unknown() {
    on_every_size(|rig| {
        rig.call(&v5("a").method(METHOD, Some("data")));
        rig.refused("a", ReasonCode::BadAuthenticationMethod);
        assert!(!rig.is_asked());
    });
}

// [MQTT-3.1.2-30] [MQTT-3.14.0-1]
#[test]
fn only_auth_and_disconnect_may_come_during_the_exchange() {
    on_every_size_with(ask_port, |rig| {
        halfway(rig, "a");
        rig.send("a", Packet::PingReq);
        rig.refused("a", ReasonCode::ProtocolError);
        halfway(rig, "b");
        rig.send_message("b", &msg("t", "too early"));
        rig.refused("b", ReasonCode::ProtocolError);
        halfway(rig, "c");
        let goodbye = Disconnect::new(ReasonCode::NormalDisconnection);
        rig.send("c", Packet::Disconnect(goodbye));
        rig.closed("c");
        halfway(rig, "d");
        rig.send_bytes("d", &v5("d").bytes());
        rig.refused("d", ReasonCode::ProtocolError);
        assert_eq!(rig.stats().publish_received, 0);
    });
}

// [MQTT-4.12.0-3] [MQTT-4.12.0-5] [MQTT-3.15.2-1]
#[test]
fn a_wrong_auth_ends_the_exchange() {
    on_every_size_with(ask_port, |rig| {
        halfway(rig, "a");
        let other = Auth::new(ReasonCode::ContinueAuthentication, "OTHER");
        rig.send("a", Packet::Auth(other));
        rig.refused("a", ReasonCode::ProtocolError);
        halfway(rig, "b");
        rig.send("b", auth(ReasonCode::ReAuthenticate, "too early"));
        rig.refused("b", ReasonCode::ProtocolError);
        // AUTH with Success is a server's.
        halfway(rig, "c");
        rig.send_bytes("c", &[0xF0, 0x00]);
        assert!(rig.expect("c").conn_ack().reason.is_error());
        rig.closed("c");
        assert!(!rig.is_asked());
    });
}

// [MQTT-4.12.0-7] [MQTT-3.15.1-1]
#[test]
fn auth_without_a_method_in_connect_is_an_error() {
    on_every_size(|rig| {
        rig.connect(&v5("a"));
        rig.send("a", auth(ReasonCode::ReAuthenticate, "x"));
        rig.thrown_out("a", ReasonCode::ProtocolError);
        rig.connect(&v311("b"));
        rig.send_bytes("b", &[0xF0, 0x00]);
        rig.closed("b");
        rig.connect(&v5("c"));
        rig.send_bytes("c", &[0xF1, 0x00]);
        rig.thrown_out("c", ReasonCode::MalformedPacket);
    });
}

// [MQTT-4.12.1-1] [MQTT-4.12.0-5] [MQTT-3.15.2-1]
#[test]
fn an_open_connection_can_authenticate_again() {
    on_every_size_with(ask_port, |rig| {
        let_in(rig, "a");
        for _ in 0..2 {
            rig.send("a", auth(ReasonCode::ReAuthenticate, "again"));
            let data = Some(b"again".as_slice().into());
            let step = AuthStep::ReAuthenticate { method: METHOD.into(), data };
            assert_eq!((rig.question().step, &*rig.question().client_id), (step, "a"));
            // Meanwhile everything else goes on.
            rig.publish("a", "t", "m", 2);
            rig.judge(go_on("challenge"));
            expect_auth(rig, "a", ReasonCode::ContinueAuthentication, Some("challenge"));
            rig.publish("a", "t", "m", 1);
            rig.send("a", answer("answer"));
            rig.judge(allow(Some("done")));
            expect_auth(rig, "a", ReasonCode::Success, Some("done"));
        }
        rig.nothing("a");
    });
}

// [MQTT-4.12.1-2] [MQTT-3.14.2-1]
#[test]
fn a_failed_re_authentication_ends_the_connection() {
    on_every_size_with(ask_port, |rig| {
        let table = [
            (ReasonCode::NotAuthorized, ReasonCode::NotAuthorized),
            (ReasonCode::BadUserNameOrPassword, ReasonCode::NotAuthorized),
            (ReasonCode::QuotaExceeded, ReasonCode::QuotaExceeded),
        ];
        for (reason, said) in table {
            let_in(rig, "a");
            rig.send("a", auth(ReasonCode::ReAuthenticate, "again"));
            rig.judge(refuse(reason));
            rig.thrown_out("a", said);
        }
    });
}

// [MQTT-4.12.1-1] [MQTT-4.12.0-5]
#[test]
fn a_wrong_re_authentication_ends_the_connection() {
    on_every_size_with(ask_port, |rig| {
        let_in(rig, "a");
        rig.send("a", Packet::Auth(Auth::new(ReasonCode::ReAuthenticate, "OTHER")));
        rig.thrown_out("a", ReasonCode::ProtocolError);
        let_in(rig, "b");
        rig.send("b", answer("to nothing"));
        rig.thrown_out("b", ReasonCode::ProtocolError);
        let_in(rig, "c");
        rig.send("c", auth(ReasonCode::ReAuthenticate, "one"));
        rig.send("c", auth(ReasonCode::ReAuthenticate, "two"));
        rig.thrown_out("c", ReasonCode::ProtocolError);
        // The verdict that comes now is for nobody.
        rig.judge(allow(None));
        rig.closed("c");
    });
}

#[test]
fn a_verdict_for_who_has_gone_is_ignored() {
    on_every_size_with(ask_port, |rig| {
        rig.call(&v5("a"));
        rig.cut("a");
        rig.judge(allow(None));
        assert_eq!((rig.stats().sessions, rig.stats().clients_accepted), (0, 0));
        // Whoever has the number now is not meant.
        rig.call(&v5("b"));
        rig.nothing("b");
        rig.judge(allow(None));
        rig.expect("b").conn_ack();
    });
}

// [MQTT-3.14.4-1] [MQTT-3.2.0-2]
#[test]
fn a_verdict_in_the_turn_of_the_end_is_ignored() {
    on_every_size_with(ask_port, |rig| {
        rig.call(&v5("a"));
        rig.call(&v5("b").method(METHOD, None));
        let_in_later(rig);
        rig.settle();
        rig.refused("a", ReasonCode::ServerUnavailable);
        rig.refused("b", ReasonCode::ServerUnavailable);
        assert_eq!(rig.stats().clients_accepted, 0);
    });
    on_every_size_with(ask_port, |rig| {
        let_in(rig, "c");
        rig.send("c", auth(ReasonCode::ReAuthenticate, "again"));
        rig.order_shutdown();
        rig.order_verdict(go_on("too late"));
        rig.settle();
        rig.thrown_out("c", ReasonCode::ServerShuttingDown);
    });
}

/// The broker stops, and both verdicts come in the same turn.
fn let_in_later(rig: &mut Rig) {
    rig.order_shutdown();
    rig.order_verdict(allow(None));
    rig.order_verdict(allow(None));
}

#[test]
fn who_does_not_answer_is_closed_after_a_while() {
    on_every_size_with(ask_port, |rig| {
        halfway(rig, "a");
        rig.advance_s(20);
        rig.closed("a");
        // The port's own slowness is not the client's fault.
        rig.call(&v5("b"));
        rig.advance_s(60);
        rig.nothing("b");
        rig.judge(allow(None));
        rig.expect("b").conn_ack();
        rig.advance_s(60);
        rig.nothing("b");
        // But the port's delay does not protect a silent client afterwards.
        rig.call(&v5("c").method(METHOD, None));
        rig.advance_s(60);
        rig.judge(go_on("challenge"));
        rig.take_first("c", PacketType::Auth);
        rig.advance_s(60);
        rig.closed("c");
    });
}

#[test]
fn two_questions_at_once_are_two_clients() {
    on_every_size_with(ask_port, |rig| {
        for name in ["a", "b", "c"] {
            rig.call(&v5(name));
        }
        let mut waiting = vec!["a", "b", "c"];
        while rig.is_asked() {
            let id = rig.question().client_id;
            let verdict = if &*id == "b" { refuse(ReasonCode::Banned) } else { allow(None) };
            rig.judge(verdict);
            waiting.retain(|name| **name != *id);
        }
        assert!(waiting.is_empty());
        rig.refused("b", ReasonCode::Banned);
        assert_eq!(rig.expect("a").conn_ack().reason, ReasonCode::Success);
        assert_eq!(rig.expect("c").conn_ack().reason, ReasonCode::Success);
    });
}

// [MQTT-3.1.4-3]
#[test]
fn a_takeover_waits_for_the_verdict() {
    on_every_size_with(ask_port, |rig| {
        rig.call(&v5("old").id("a").lasting());
        rig.judge(allow(None));
        rig.expect("old").conn_ack();
        rig.call(&v5("thief").id("a"));
        rig.judge(refuse(ReasonCode::NotAuthorized));
        rig.refused("thief", ReasonCode::NotAuthorized);
        rig.nothing("old");
        rig.call(&v5("new").id("a").lasting());
        rig.nothing("old");
        rig.judge(allow(None));
        assert!(rig.expect("new").conn_ack().session_present);
        rig.thrown_out("old", ReasonCode::SessionTakenOver);
    });
}
