//! Proofs for the sending half of QoS 1 and 2.

extern crate std;

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::*;

fn id(id: u16) -> PacketId {
    PacketId::new(id).unwrap()
}

fn ids<M>(outgoing: &Outgoing<M>) -> Vec<u16> {
    outgoing
        .iter()
        .map(|flow| match flow {
            InFlight::Publish { id, .. } | InFlight::PubRel { id } => id.get(),
        })
        .collect()
}

#[test]
fn stays_small_and_allocates_nothing_at_first() {
    assert!(size_of::<Outgoing<Box<u8>>>() <= 56);
    assert_eq!(size_of::<Entry<Box<u8>>>(), 16);
    assert_eq!(Outgoing::<Box<u8>>::new().entries.capacity(), 0);
}

// [MQTT-4.3.2-1] [MQTT-2.2.1-3] [MQTT-2.2.1-4] [MQTT3-2.3.1-2] [MQTT3-4.3.2-1]
#[test]
fn identifiers_run_from_1_to_65535_and_skip_those_in_use() {
    let mut outgoing = Outgoing::new();
    assert_eq!(outgoing.begin(Qos::AtLeastOnce, 0), Some(id(1)));
    assert_eq!(outgoing.begin(Qos::ExactlyOnce, 1), Some(id(2)));
    for n in 3..=u16::MAX {
        assert_eq!(outgoing.begin(Qos::AtLeastOnce, n), Some(id(n)));
        assert_eq!(outgoing.puback(id(n)), Ok(n));
    }
    assert_eq!(ids(&outgoing), [1, 2]);
    assert_eq!(outgoing.begin(Qos::AtLeastOnce, 7), Some(id(3)));
    assert_eq!(outgoing.puback(id(1)), Ok(0));
    assert_eq!(ids(&outgoing), [2, 3]);
}

#[test]
fn all_identifiers_in_flight_give_none_until_one_returns() {
    let mut outgoing = Outgoing::new();
    for n in 1..=u16::MAX {
        assert_eq!(outgoing.begin(Qos::AtLeastOnce, n), Some(id(n)));
    }
    assert_eq!(outgoing.in_flight(), 65_535);
    assert_eq!(outgoing.begin(Qos::AtLeastOnce, 0), None);
    assert_eq!(outgoing.puback(id(40_000)), Ok(40_000));
    assert_eq!(outgoing.begin(Qos::AtLeastOnce, 9), Some(id(40_000)));
    assert_eq!(outgoing.begin(Qos::AtLeastOnce, 0), None);
    assert_eq!(outgoing.puback(id(40_000)), Ok(9));
    assert_eq!(outgoing.puback(id(40_000)), Err(UnknownPacketId));
    assert_eq!(outgoing.drain().count(), 65_534);
    assert!(outgoing.is_empty());
    assert_eq!(outgoing.entries.capacity(), 0);
    assert!(outgoing.in_use.is_none());
}

// [MQTT-4.3.2-3] [MQTT-4.3.3-3] [MQTT-4.3.3-5] [MQTT-4.9.0-2]
#[test]
fn a_flow_keeps_its_quota_until_its_last_acknowledgement() {
    let mut outgoing = Outgoing::new();
    let one = outgoing.begin(Qos::AtLeastOnce, "one").unwrap();
    let two = outgoing.begin(Qos::ExactlyOnce, "two").unwrap();
    assert_eq!(outgoing.in_flight(), 2);
    assert_eq!(outgoing.puback(one), Ok("one"));
    assert_eq!(outgoing.in_flight(), 1);
    assert_eq!(outgoing.pubrec(two, ReasonCode::Success), PubRec::Release(Some("two")));
    assert_eq!(outgoing.in_flight(), 1);
    assert_eq!(outgoing.pubcomp(two), Ok(()));
    assert_eq!(outgoing.in_flight(), 0);
}

#[test]
fn an_acknowledgement_of_the_wrong_kind_is_unknown_and_changes_nothing() {
    let mut outgoing = Outgoing::new();
    let one = outgoing.begin(Qos::AtLeastOnce, 1).unwrap();
    let two = outgoing.begin(Qos::ExactlyOnce, 2).unwrap();
    assert_eq!(outgoing.puback(two), Err(UnknownPacketId));
    assert_eq!(outgoing.pubcomp(two), Err(UnknownPacketId));
    assert_eq!(outgoing.pubcomp(one), Err(UnknownPacketId));
    assert_eq!(outgoing.pubrec(one, ReasonCode::Success), PubRec::Unknown);
    assert_eq!(outgoing.pubrec(id(77), ReasonCode::Success), PubRec::Unknown);
    assert_eq!(outgoing.puback(id(77)), Err(UnknownPacketId));
    assert_eq!(outgoing.puback(id(65_535)), Err(UnknownPacketId));
    assert_eq!(ids(&outgoing), [1, 2]);
}

// [MQTT-4.3.3-6] [MQTT3-4.3.3-1]
#[test]
fn after_pubrec_only_the_pubrel_is_left() {
    let mut outgoing = Outgoing::new();
    let two = outgoing.begin(Qos::ExactlyOnce, 2).unwrap();
    assert_eq!(outgoing.pubrec(two, ReasonCode::NoMatchingSubscribers), PubRec::Release(Some(2)));
    assert_eq!(outgoing.pubrec(two, ReasonCode::Success), PubRec::Release(None));
    // Too late to refuse: the message was accepted.
    assert_eq!(outgoing.pubrec(two, ReasonCode::QuotaExceeded), PubRec::Release(None));
    assert!(outgoing.iter().eq([InFlight::PubRel { id: two }]));
}

// [MQTT-4.4.0-2]
#[test]
fn a_pubrec_with_an_error_ends_the_flow() {
    let mut outgoing = Outgoing::new();
    let two = outgoing.begin(Qos::ExactlyOnce, 2).unwrap();
    assert_eq!(outgoing.pubrec(two, ReasonCode::QuotaExceeded), PubRec::Finished(2));
    assert_eq!(outgoing.pubrec(two, ReasonCode::Success), PubRec::Unknown);
    assert!(outgoing.is_empty());
}

// [MQTT-4.4.0-1] [MQTT-4.6.0-1] [MQTT3-4.4.0-1] [MQTT3-4.6.0-1]
#[test]
fn iteration_is_in_send_order_with_the_original_identifiers() {
    let mut outgoing = Outgoing::new();
    for n in 1..=5 {
        let qos = if n % 2 == 0 { Qos::ExactlyOnce } else { Qos::AtLeastOnce };
        outgoing.begin(qos, n).unwrap();
    }
    outgoing.pubrec(id(4), ReasonCode::Success);
    outgoing.puback(id(3)).unwrap();
    let expected = [
        InFlight::Publish { id: id(1), qos: Qos::AtLeastOnce, message: &1 },
        InFlight::Publish { id: id(2), qos: Qos::ExactlyOnce, message: &2 },
        InFlight::PubRel { id: id(4) },
        InFlight::Publish { id: id(5), qos: Qos::AtLeastOnce, message: &5 },
    ];
    assert!(outgoing.iter().eq(expected));
    let drained: Vec<_> = outgoing.drain().map(|(id, qos, m)| (id.get(), qos, m)).collect();
    let (q1, q2) = (Qos::AtLeastOnce, Qos::ExactlyOnce);
    assert_eq!(drained, [(1, q1, Some(1)), (2, q2, Some(2)), (4, q2, None), (5, q1, Some(5))]);
}

#[test]
fn one_message_that_is_never_acknowledged_costs_one_entry() {
    let mut outgoing = Outgoing::new();
    let stuck = outgoing.begin(Qos::AtLeastOnce, u32::MAX).unwrap();
    let mut window = VecDeque::new();
    for n in 0..1_000_000 {
        let id = outgoing.begin(Qos::AtLeastOnce, n).unwrap();
        assert_ne!(id, stuck);
        window.push_back((id, n));
        if window.len() == 20 {
            let (id, n) = window.pop_front().unwrap();
            assert_eq!(outgoing.puback(id), Ok(n));
        }
        assert!(outgoing.entries.len() < 100, "{}", outgoing.entries.len());
    }
    assert_eq!(outgoing.puback(stuck), Ok(u32::MAX));
    assert_eq!(outgoing.in_flight(), 19);
    for (id, n) in window {
        assert_eq!(outgoing.puback(id), Ok(n));
    }
    assert!(outgoing.in_use.is_none());
}

#[test]
fn many_stuck_messages_stay_known_for_many_rounds() {
    let mut outgoing = Outgoing::new();
    let stuck: Vec<_> = (0..3000).map(|n| outgoing.begin(Qos::AtLeastOnce, n).unwrap()).collect();
    for n in 0..400_000 {
        let id = outgoing.begin(Qos::AtLeastOnce, n).unwrap();
        assert!(id.get() > 3000);
        assert_eq!(outgoing.puback(id), Ok(n));
    }
    assert!(outgoing.entries.len() < 7000);
    for (n, id) in stuck.into_iter().enumerate().rev() {
        assert_eq!(outgoing.puback(id), Ok(n as i32));
    }
    assert!(outgoing.is_empty());
}

#[test]
fn an_identifier_can_be_taken_without_a_flow() {
    let mut outgoing = Outgoing::new();
    assert_eq!(outgoing.begin(Qos::AtLeastOnce, 1), Some(id(1)));
    assert_eq!(outgoing.next_id(), Some(id(2)));
    assert_eq!(outgoing.next_id(), Some(id(3)));
    outgoing.begin_as(id(3), Qos::ExactlyOnce, 3);
    assert_eq!(outgoing.begin(Qos::AtLeastOnce, 4), Some(id(4)));
    assert_eq!(outgoing.get(id(2)), None);
    let expected = InFlight::Publish { id: id(3), qos: Qos::ExactlyOnce, message: &3 };
    assert_eq!(outgoing.get(id(3)), Some(expected));
    assert_eq!(outgoing.puback(id(2)), Err(UnknownPacketId));
    assert_eq!(outgoing.puback(id(4)), Ok(4));
    assert_eq!(outgoing.puback(id(1)), Ok(1));
    assert_eq!(ids(&outgoing), [3]);
    for _ in 0..200_000 {
        assert_ne!(outgoing.next_id(), Some(id(3)));
    }
    assert_eq!(outgoing.pubrec(id(3), ReasonCode::Success), PubRec::Release(Some(3)));
}

#[test]
fn ages_are_clamped_before_they_wrap() {
    let mut outgoing = Outgoing::new();
    let stuck = outgoing.begin(Qos::AtLeastOnce, 1).unwrap();
    let younger = outgoing.begin(Qos::AtLeastOnce, 2).unwrap();
    // As if thousands of millions of identifiers had been handed out since.
    for _ in 0..9 {
        outgoing.seq_last = outgoing.seq_last.wrapping_add(AGE_MAX / 2);
        outgoing.compact();
        outgoing.begin(Qos::AtLeastOnce, 3).unwrap();
    }
    assert_eq!(ids(&outgoing)[..2], [1, 2]);
    assert_eq!(outgoing.puback(younger), Ok(2));
    assert_eq!(outgoing.puback(stuck), Ok(1));
}

#[test]
fn an_emptied_burst_gives_its_memory_back() {
    let mut outgoing = Outgoing::new();
    for n in 1..=1000 {
        outgoing.begin(Qos::AtLeastOnce, n).unwrap();
    }
    for n in 1..=1000 {
        outgoing.puback(id(n)).unwrap();
    }
    assert_eq!(outgoing.entries.capacity(), 0);
    let last = outgoing.begin(Qos::AtLeastOnce, 1).unwrap();
    outgoing.puback(last).unwrap();
    assert!(outgoing.entries.capacity() > 0, "a small capacity is kept");
    outgoing.shrink();
    assert_eq!(outgoing.entries.capacity(), 0);
}

/// A plain model: a list in send order, searched from the front.
#[derive(Default)]
struct Model {
    flows: Vec<(u16, Qos, bool)>,
    last: u16,
}

impl Model {
    fn begin(&mut self, qos: Qos) -> u16 {
        loop {
            self.last = if self.last == u16::MAX { 1 } else { self.last + 1 };
            if self.flows.iter().all(|flow| flow.0 != self.last) {
                self.flows.push((self.last, qos, false));
                return self.last;
            }
        }
    }
}

#[test]
fn behaves_like_a_plain_list_under_random_acknowledgements() {
    for seed in 1..=20_u64 {
        let mut random = seed;
        let mut next = |n: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 33) % n
        };
        let mut outgoing = Outgoing::new();
        let mut model = Model::default();
        // Some seeds work close to the wrap and with few free identifiers.
        outgoing.id_last = 65_000;
        model.last = 65_000;
        let window = [5, 50, 400][seed as usize % 3];
        for step in 0..30_000_u64 {
            if model.flows.len() < window && next(2) == 0 {
                let qos = if next(2) == 0 { Qos::AtLeastOnce } else { Qos::ExactlyOnce };
                let expected = model.begin(qos);
                assert_eq!(outgoing.begin(qos, expected), Some(id(expected)), "seed {seed}");
            } else if !model.flows.is_empty() {
                // Prefers the front, the back or anywhere; the very first may stay for long.
                let skip = if step < 25_000 { 1.min(model.flows.len() - 1) } else { 0 };
                let at = match next(4) {
                    0 => model.flows.len() - 1,
                    1 => next(model.flows.len() as u64) as usize,
                    _ => skip,
                };
                let flow = model.flows[at];
                let packet_id = id(flow.0);
                match flow {
                    (_, Qos::AtLeastOnce, _) => {
                        assert_eq!(outgoing.puback(packet_id), Ok(flow.0));
                        model.flows.remove(at);
                    }
                    (_, _, false) => {
                        let got = outgoing.pubrec(packet_id, ReasonCode::Success);
                        assert_eq!(got, PubRec::Release(Some(flow.0)));
                        model.flows[at].2 = true;
                    }
                    _ => {
                        assert_eq!(outgoing.pubcomp(packet_id), Ok(()));
                        model.flows.remove(at);
                    }
                }
                assert!(outgoing.puback(packet_id).is_err(), "acknowledged twice");
            }
            assert_eq!(outgoing.in_flight(), model.flows.len());
            if step % 1000 == 0 {
                let expected: Vec<u16> = model.flows.iter().map(|flow| flow.0).collect();
                assert_eq!(ids(&outgoing), expected);
                assert!(outgoing.entries.len() <= 2 * model.flows.len() + TOMBSTONES_MIN + 1);
            }
        }
    }
}

fn unsent(outgoing: &mut Outgoing<u8>) -> Vec<u16> {
    let mut found = Vec::new();
    while let Some(flow) = outgoing.first_unsent() {
        found.push(match flow {
            InFlight::Publish { id, .. } | InFlight::PubRel { id } => id.get(),
        });
        outgoing.pass();
    }
    found
}

#[test]
fn what_was_not_sent_on_a_connection_is_known_whatever_finishes_meanwhile() {
    let mut outgoing = Outgoing::new();
    for n in 1..=6 {
        outgoing.begin(Qos::AtLeastOnce, n).unwrap();
    }
    assert_eq!((outgoing.unsent(), outgoing.first_unsent()), (0, None));
    outgoing.rewind();
    assert_eq!(outgoing.unsent(), 6);
    outgoing.pass();
    outgoing.puback(id(1)).unwrap(); // sent
    outgoing.puback(id(3)).unwrap(); // finished before it was sent again
    assert_eq!(outgoing.unsent(), 4);
    assert_eq!(unsent(&mut outgoing), [2, 4, 5, 6]);
    assert_eq!(outgoing.unsent(), 0);
    // New ones join behind, also across an identifier that was skipped.
    outgoing.next_id();
    for (n, qos) in [(8, Qos::ExactlyOnce), (9, Qos::AtLeastOnce)] {
        assert_eq!(outgoing.next_id(), Some(id(n.into())));
        outgoing.begin_unsent_as(id(n.into()), qos, n);
    }
    outgoing.puback(id(5)).unwrap();
    assert_eq!(outgoing.unsent(), 2);
    *outgoing.first_unsent_mut().unwrap() = 80;
    assert_eq!(outgoing.pubrec(id(8), ReasonCode::Success), PubRec::Release(Some(80)));
    assert_eq!(unsent(&mut outgoing), [8, 9]);
    outgoing.rewind();
    outgoing.settle();
    assert_eq!(outgoing.unsent(), 0);
}

// [MQTT-4.4.0-1] [MQTT3-4.4.0-1]
#[test]
fn flows_of_an_earlier_life_keep_their_identifiers_and_their_order() {
    let mut outgoing = Outgoing::new();
    outgoing.restore(id(65_530), Qos::AtLeastOnce, Some(1));
    outgoing.restore(id(2), Qos::ExactlyOnce, None);
    outgoing.restore(id(7), Qos::ExactlyOnce, Some(3));
    assert_eq!(ids(&outgoing), [65_530, 2, 7]);
    assert_eq!(outgoing.begin(Qos::AtLeastOnce, 4), Some(id(8)));
    assert_eq!(outgoing.pubcomp(id(2)), Ok(()));
    assert_eq!(outgoing.puback(id(65_530)), Ok(1));
    assert_eq!(outgoing.pubrec(id(7), ReasonCode::Success), PubRec::Release(Some(3)));
    assert_eq!(ids(&outgoing), [7, 8]);
    assert_eq!(outgoing.in_flight(), 2);
}
