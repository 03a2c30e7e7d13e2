//! Authentication with a scripted port: credentials, the enhanced exchange, re-authentication.

use martlet_engine::{AuthMode, AuthStep, ShardConfig, Verdict};
use martlet_proto::{Connect, ConnectProperties, Disconnect, ReasonCode, Version};
use martlet_session::client::{AuthError, End};

use crate::rig::{Happened, Q1, Q2, Rig, VERSIONS, fresh, on_every_size_with};

const METHOD: &str = "SCRIPTED";
const GO_ON: ReasonCode = ReasonCode::ContinueAuthentication;

fn port(config: &mut ShardConfig) {
    config.auth = AuthMode::Port;
}

/// A v5 CONNECT with a method and data.
fn enhanced(client_id: &str) -> Connect<'_> {
    let properties = ConnectProperties {
        auth_method: Some(METHOD),
        auth_data: Some(b"first"),
        ..ConnectProperties::default()
    };
    Connect { properties, ..fresh(Version::V5, client_id) }
}

fn data(text: &str) -> Option<Box<[u8]>> {
    Some(text.as_bytes().into())
}

fn allow(text: Option<&str>) -> Verdict {
    Verdict::Allow { data: text.and_then(data) }
}

fn go_on(text: &str) -> Verdict {
    Verdict::Continue { data: data(text) }
}

/// The client was asked, or told that it is done.
fn expect_auth(rig: &mut Rig, name: &str, reason: ReasonCode, text: &str) {
    assert_eq!(rig.next(name), Happened::Auth(reason, Some(text.as_bytes().to_vec())));
}

fn answer(rig: &mut Rig, name: &'static str, text: &str) {
    rig.act(name, |it, _, now_ms, out| it.auth(now_ms, Some(text.as_bytes()), out))
        .expect("it is the client's turn");
    let step = AuthStep::Continue { method: METHOD.into(), data: data(text) };
    assert_eq!(rig.question().step, step);
}

fn ask_again(rig: &mut Rig, name: &'static str, text: &str) {
    rig.act(name, |it, _, now_ms, out| it.reauthenticate(now_ms, Some(text.as_bytes()), out))
        .expect("it is the client's turn");
    let step = AuthStep::ReAuthenticate { method: METHOD.into(), data: data(text) };
    assert_eq!(rig.question().step, step);
}

/// Connects by way of the exchange.
fn let_in(rig: &mut Rig, name: &'static str) {
    rig.call(name, &enhanced(name));
    rig.judge(allow(None));
    assert!(!rig.connected(name));
}

// [MQTT-3.1.4-2] [MQTT-3.2.2-7] [MQTT3-3.2.2-4] [MQTT3-3.2.2-5]
#[test]
fn credentials_are_judged_by_the_port() {
    on_every_size_with(port, |rig| {
        for version in VERSIONS {
            let connect = Connect {
                user_name: Some("name"),
                password: Some(b"secret"),
                ..fresh(version, "a")
            };
            rig.call("a", &connect);
            let (user_name, password) = (Some("name".into()), data("secret"));
            let step = AuthStep::Connect { user_name, password, method: None, data: None };
            assert_eq!(rig.question().step, step);
            rig.nothing("a");
            rig.judge(allow(None));
            assert!(!rig.connected("a"));
            rig.leave("a");
            for reason in [ReasonCode::BadUserNameOrPassword, ReasonCode::NotAuthorized] {
                rig.call("a", &connect);
                rig.judge(Verdict::Refuse { reason });
                assert_eq!(rig.next("a"), Happened::Refused(reason));
                assert_eq!(rig.next("a"), Happened::Closed(Some(End::Refused(reason))));
            }
        }
        assert_eq!(rig.stats().sessions, 0);
    });
}

// [MQTT-4.12.0-2] [MQTT-4.12.0-3] [MQTT-4.12.0-5] [MQTT-3.15.2-1]
#[test]
fn an_exchange_takes_as_many_steps_as_the_port_wants() {
    for steps in 0..4 {
        on_every_size_with(port, |rig| {
            rig.call("a", &enhanced("a"));
            let (method, first) = (Some(METHOD.into()), data("first"));
            let (user_name, password) = (None, None);
            let step = AuthStep::Connect { user_name, password, method, data: first };
            assert_eq!(rig.question().step, step);
            for i in 0..steps {
                rig.judge(go_on(&format!("question {i}")));
                expect_auth(rig, "a", GO_ON, &format!("question {i}"));
                answer(rig, "a", &format!("answer {i}"));
                // It has spoken: now it is the server's turn.
                let twice = rig.act("a", |it, _, now_ms, out| it.auth(now_ms, None, out));
                assert_eq!(twice, Err(AuthError::OutOfTurn));
            }
            rig.judge(allow(Some("welcome")));
            let event = rig.next("a");
            let Happened::Connected { auth_data, .. } = event else { panic!("{event:?}") };
            assert_eq!(auth_data.as_deref(), Some(b"welcome".as_slice()));
            rig.publish_done("a", "t", "m", Q2);
        });
    }
}

// [MQTT-4.12.0-4] [MQTT-3.2.2-7]
#[test]
fn an_exchange_can_fail_at_each_step() {
    on_every_size_with(port, |rig| {
        let reason = ReasonCode::BadAuthenticationMethod;
        for steps in 0..3 {
            rig.call("a", &enhanced("a"));
            for _ in 0..steps {
                rig.judge(go_on("question"));
                expect_auth(rig, "a", GO_ON, "question");
                answer(rig, "a", "wrong");
            }
            rig.judge(Verdict::Refuse { reason });
            assert_eq!(rig.next("a"), Happened::Refused(reason));
            assert_eq!(rig.next("a"), Happened::Closed(Some(End::Refused(reason))));
        }
        // Or the client has enough of it.
        rig.call("a", &enhanced("a"));
        rig.judge(go_on("question"));
        expect_auth(rig, "a", GO_ON, "question");
        rig.goodbye("a", &Disconnect::new(ReasonCode::NormalDisconnection));
        rig.left("a");
        assert_eq!((rig.stats().sessions, rig.stats().clients_accepted), (0, 0));
    });
}

// [MQTT-4.12.0-1]
#[test]
fn without_a_port_the_method_is_refused() {
    on_every_size_with(
        |_| {},
        |rig| {
            let reason = ReasonCode::BadAuthenticationMethod;
            rig.call("a", &enhanced("a"));
            assert_eq!(rig.next("a"), Happened::Refused(reason));
            assert_eq!(rig.next("a"), Happened::Closed(Some(End::Refused(reason))));
        },
    );
}

// [MQTT-4.12.1-1] [MQTT-4.12.0-5] [MQTT-3.15.2-1]
#[test]
fn messages_flow_on_during_a_re_authentication() {
    on_every_size_with(port, |rig| {
        let_in(rig, "a");
        rig.subscribe("a", "t", Q2);
        for round in 0..3 {
            ask_again(rig, "a", "again");
            for _ in 0..round {
                rig.publish_done("a", "t", "meanwhile", Q2);
                assert_eq!(rig.payloads("a"), ["meanwhile"]);
                rig.judge(go_on("question"));
                expect_auth(rig, "a", GO_ON, "question");
                rig.publish_done("a", "t", "meanwhile", Q1);
                assert_eq!(rig.payloads("a"), ["meanwhile"]);
                answer(rig, "a", "answer");
            }
            rig.judge(allow(Some("done")));
            expect_auth(rig, "a", ReasonCode::Success, "done");
        }
        assert_eq!(rig.stats().sessions_connected, 1);
    });
}

// [MQTT-4.12.1-2]
#[test]
fn a_failed_re_authentication_closes_the_connection() {
    on_every_size_with(port, |rig| {
        let reason = ReasonCode::NotAuthorized;
        for steps in 0..2 {
            let_in(rig, "a");
            ask_again(rig, "a", "again");
            for _ in 0..steps {
                rig.judge(go_on("question"));
                expect_auth(rig, "a", GO_ON, "question");
                answer(rig, "a", "wrong");
            }
            rig.judge(Verdict::Refuse { reason });
            assert_eq!(rig.next("a"), Happened::Disconnected(reason));
            assert_eq!(rig.next("a"), Happened::Closed(Some(End::ServerDisconnected(reason))));
            assert_eq!(rig.stats().sessions, 0);
        }
    });
}

// [MQTT-4.12.0-6] [MQTT-4.12.0-7]
#[test]
fn without_a_method_there_is_no_exchange() {
    on_every_size_with(port, |rig| {
        rig.call("a", &fresh(Version::V5, "a"));
        rig.judge(allow(Some("for nobody")));
        let event = rig.next("a");
        let Happened::Connected { auth_data: None, .. } = event else { panic!("{event:?}") };
        let refused = rig.act("a", |it, _, now_ms, out| it.reauthenticate(now_ms, None, out));
        assert_eq!(refused, Err(AuthError::NoMethod));
        rig.publish_done("a", "t", "m", Q1);
    });
}
