//! The transport breaks at every byte of an exchange, and the next connection goes on: QoS 1 at
//! least once, QoS 2 exactly once, in both directions, whatever was under way and whether or not
//! the server has noticed.

use martlet_proto::{Packet, Qos, ReasonCode, Version};

use crate::rig::{Cut, Happened, Q1, Q2, Rig, VERSIONS, Way, fresh, lasting, publication};

/// Whose transport breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Publisher,
    Subscriber,
}

/// One exchange and where it is cut.
#[derive(Debug, Clone, Copy)]
struct Case<'a> {
    role: Role,
    version: Version,
    /// One message each.
    qos: &'a [Qos],
    cut: Cut,
    /// Also the transport of the connection that resumes breaks.
    again: Option<Cut>,
}

const ROLES: [Role; 2] = [Role::Publisher, Role::Subscriber];
const WAYS: [Way; 2] = [Way::ToServer, Way::ToClient];

impl Case<'_> {
    /// Runs the exchange. How many cuts were reached.
    fn run(&self, shards: u16) -> usize {
        let mut rig = Rig::new(shards, self.cut.after as u64, |_| {});
        let cut = match self.role {
            Role::Publisher => {
                rig.connect("p", &lasting(self.version, "p"));
                rig.connect("s", &fresh(Version::V5, "s"));
                "p"
            }
            Role::Subscriber => {
                rig.connect("p", &fresh(Version::V311, "p"));
                rig.connect("s", &lasting(self.version, "s"));
                "s"
            }
        };
        rig.subscribe("s", "t", Q2);
        for (i, qos) in self.qos.iter().enumerate() {
            let payload = format!("{i}");
            rig.give_message("p", &publication("t", payload.as_bytes(), *qos)).expect("taken");
        }
        rig.order_cut(cut, self.cut);
        rig.settle();
        let cuts = self.resume(&mut rig, cut);
        self.check_publisher(&mut rig);
        if self.role == Role::Publisher && cuts > 0 {
            check_sent_again(&rig);
        }
        self.check_subscriber(&mut rig);
        assert_eq!((rig.stats().in_flight, rig.stats().queued), (0, 0));
        rig.finish();
        cuts
    }

    /// Connects again until the connection stands.
    fn resume(&self, rig: &mut Rig, name: &'static str) -> usize {
        let mut cuts = 0;
        while rig.client(name).connection.is_none() {
            cuts += 1;
            if let Some(again) = self.again.filter(|_| cuts == 1) {
                rig.order_next_cut(name, again);
            }
            rig.call(name, &lasting(self.version, name));
        }
        let mut connects = 0;
        rig.client(name).events.retain(|event| match event {
            Happened::Connected { present, .. } => {
                connects += 1;
                // 3.1 does not tell.
                assert_eq!(*present, self.version != Version::V31);
                false
            }
            Happened::Closed(end) => {
                assert_eq!(*end, None);
                false
            }
            _ => true,
        });
        assert!(connects <= cuts);
        cuts
    }

    /// Each message was confirmed once.
    fn check_publisher(&self, rig: &mut Rig) {
        let mut confirmed = vec![0; self.qos.len()];
        for event in std::mem::take(&mut rig.client("p").events) {
            let Happened::Published(token, ReasonCode::Success) = event else {
                panic!("{event:?}")
            };
            confirmed[token.get() as usize] += 1;
        }
        assert!(confirmed.iter().all(|count| *count == 1), "{confirmed:?}");
        assert!(rig.client("p").session.is_idle());
    }

    /// QoS 2 exactly once, QoS 1 at least once, each in order; what comes again says so.
    fn check_subscriber(&self, rig: &mut Rig) {
        let messages = rig.messages("s");
        for qos in [Q1, Q2] {
            let sent = (0..self.qos.len()).filter(|i| self.qos[*i] == qos);
            let sent: Vec<String> = sent.map(|i| i.to_string()).collect();
            let of_qos: Vec<_> = messages.iter().filter(|message| message.qos == qos).collect();
            let mut first = Vec::new();
            for message in &of_qos {
                if !first.contains(&message.text().to_owned()) {
                    first.push(message.text().to_owned());
                } else if self.role == Role::Subscriber {
                    assert!(message.dup, "{message:?} came again");
                }
            }
            assert_eq!(first, sent);
            let times_max = if qos == Q1 { 1 + 2 * sent.len() } else { sent.len() };
            assert!(of_qos.len() <= times_max.max(sent.len()), "{of_qos:?}");
        }
    }
}

/// Whatever message comes on the connection that resumes was sent before, and says so.
fn check_sent_again(rig: &Rig) {
    for crossing in rig.crossings("p").iter().filter(|it| it.way == Way::ToServer) {
        if let Packet::Publish(publish) = crossing.packet() {
            assert!(publish.dup, "{publish:?}");
        }
    }
}

/// Cuts at every byte, until one is not reached any more. How many there were.
fn at_every_byte(shards: u16, case: &Case<'_>) -> usize {
    (0..)
        .find(|after| {
            let cut = Cut { after: *after, ..case.cut };
            Case { cut, ..*case }.run(shards) == 0
        })
        .expect("the exchange ends")
}

/// The four ways to break one direction.
fn every_break(way: Way) -> impl Iterator<Item = Cut> {
    [(false, false), (false, true), (true, false), (true, true)].into_iter().map(
        move |(rest_arrives, server_learns)| Cut { way, after: 0, rest_arrives, server_learns },
    )
}

fn every_cut_of(qos: &[Qos], shards: u16) {
    for role in ROLES {
        for version in VERSIONS {
            for cut in WAYS.into_iter().flat_map(every_break) {
                let case = Case { role, version, qos, cut, again: None };
                let cuts = at_every_byte(shards, &case);
                assert!(cuts > 4, "{case:?}: an acknowledgement alone has so many bytes");
            }
        }
    }
}

// [MQTT-4.3.2-3] [MQTT-4.3.2-4] [MQTT-4.3.2-5] [MQTT-4.4.0-1] [MQTT-3.3.1-1] [MQTT3-4.3.2-1]
// [MQTT3-4.4.0-1] [MQTT3-3.3.1-1]
#[test]
fn qos_1_arrives_at_least_once() {
    for shards in [1, 2, 8] {
        every_cut_of(&[Q1], shards);
    }
}

// [MQTT-4.3.3-3] [MQTT-4.3.3-5] [MQTT-4.3.3-6] [MQTT-4.3.3-10] [MQTT-4.3.3-11]
// [MQTT-4.3.3-12] [MQTT-4.4.0-1] [MQTT3-4.3.3-1] [MQTT3-4.3.3-2] [MQTT3-4.4.0-1]
#[test]
fn qos_2_arrives_exactly_once() {
    for shards in [1, 2, 8] {
        every_cut_of(&[Q2], shards);
    }
}

// [MQTT-4.6.0-1] [MQTT-4.6.0-6] [MQTT3-4.6.0-1] [MQTT3-4.6.0-6]
#[test]
fn a_burst_keeps_its_order_across_a_cut() {
    every_cut_of(&[Q1, Q2, Q2, Q1, Q2, Q1], 2);
}

// [MQTT-4.3.3-3] [MQTT-4.3.3-5] [MQTT-4.3.3-10] [MQTT-4.4.0-1] [MQTT3-4.4.0-1]
#[test]
fn the_connection_that_resumes_can_break_at_every_byte_too() {
    for (role, version) in ROLES.into_iter().flat_map(|role| VERSIONS.map(|it| (role, it))) {
        for (way, again_way) in WAYS.into_iter().flat_map(|way| WAYS.map(|again| (way, again))) {
            for after in 0.. {
                let cut = Cut { way, after, rest_arrives: false, server_learns: after % 2 == 0 };
                let qos = &[Q2];
                let cuts_at = |again: usize| {
                    let again = Cut {
                        way: again_way,
                        after: again,
                        rest_arrives: again.is_multiple_of(3),
                        server_learns: again.is_multiple_of(2),
                    };
                    Case { role, version, qos, cut, again: Some(again) }.run(1)
                };
                // From "both were reached" to "only the first was".
                let reached = (0..).map(cuts_at).find(|cuts| *cuts < 2).expect("it ends");
                if reached == 0 {
                    break;
                }
            }
        }
    }
}
