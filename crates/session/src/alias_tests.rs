//! Proofs for topic aliases.

use alloc::format;

use super::*;

fn alias(alias: u16) -> Option<NonZeroU16> {
    NonZeroU16::new(alias)
}

// [MQTT-3.3.2-10] [MQTT-3.3.2-12]
#[test]
fn every_alias_up_to_the_maximum_is_accepted_and_remapped() {
    let mut inbound = InboundAliases::new(3);
    assert_eq!(inbound.resolve(alias(3), "c"), Ok("c"));
    assert_eq!(inbound.resolve(alias(1), "a"), Ok("a"));
    assert_eq!(inbound.resolve(alias(3), ""), Ok("c"));
    assert_eq!(inbound.resolve(alias(3), "d"), Ok("d"));
    assert_eq!(inbound.resolve(alias(3), ""), Ok("d"));
    assert_eq!(inbound.resolve(alias(1), ""), Ok("a"));
    assert_eq!(inbound.resolve(None, "plain"), Ok("plain"));
}

// [MQTT-3.3.2-9] [MQTT-3.3.2-11]
#[test]
fn an_alias_above_the_maximum_or_without_a_mapping_is_the_peers_error() {
    let mut inbound = InboundAliases::new(3);
    assert_eq!(inbound.resolve(alias(4), "x"), Err(AliasError::TooLarge));
    assert_eq!(inbound.resolve(alias(2), ""), Err(AliasError::Unknown));
    inbound.resolve(alias(3), "c").unwrap();
    assert_eq!(inbound.resolve(alias(2), ""), Err(AliasError::Unknown));
    assert_eq!(InboundAliases::new(0).resolve(alias(1), "x"), Err(AliasError::TooLarge));
    assert_eq!(AliasError::TooLarge.reason(), ReasonCode::TopicAliasInvalid);
    assert_eq!(AliasError::Unknown.reason(), ReasonCode::ProtocolError);
}

// [MQTT-3.1.2-26] [MQTT-3.1.2-27] [MQTT-3.2.2-17] [MQTT-3.2.2-18] [MQTT-3.3.2-8]
#[test]
fn outbound_aliases_stay_within_the_peers_maximum() {
    assert_eq!(OutboundAliases::new(0).assign("long/topic"), Assigned::None);
    for max in [1, 2, 31, 32, 33, 65_535] {
        let mut outbound = OutboundAliases::new(max);
        for n in 0..1000 {
            if let Assigned::New(alias) = outbound.assign(&format!("topic/{n}")) {
                assert!((1..=max.min(ALIASES_OUT_MAX)).contains(&alias.get()));
            }
        }
    }
}

#[test]
fn a_known_topic_keeps_its_alias_and_the_receiver_agrees() {
    let mut outbound = OutboundAliases::new(4);
    let mut inbound = InboundAliases::new(4);
    let mut saved = 0;
    for n in 0..10_000 {
        // Two topics are hot; the others come by rarely.
        let topic = match n % 4 {
            rest @ 0..=2 => format!("plant/hot/{}", rest.min(1)),
            _ => format!("plant/cold/{}", n % 100),
        };
        let received = match outbound.assign(&topic) {
            Assigned::None => inbound.resolve(None, &topic),
            Assigned::New(alias) => inbound.resolve(Some(alias), &topic),
            Assigned::Known(alias) => {
                saved += 1;
                inbound.resolve(Some(alias), "")
            }
        };
        assert_eq!(received, Ok(topic.as_str()));
    }
    assert!(saved > 7000, "hot topics keep their alias: {saved}");
}

#[test]
fn a_mapping_that_was_not_sent_is_forgotten() {
    let mut outbound = OutboundAliases::new(1);
    assert_eq!(outbound.assign("first/topic"), Assigned::New(NonZeroU16::MIN));
    outbound.forget(NonZeroU16::MIN);
    assert_eq!(outbound.assign("second/topic"), Assigned::New(NonZeroU16::MIN));
    assert_eq!(outbound.assign("second/topic"), Assigned::Known(NonZeroU16::MIN));
}

#[test]
fn short_topics_go_without() {
    assert_eq!(OutboundAliases::new(9).assign("a/b"), Assigned::None);
}
