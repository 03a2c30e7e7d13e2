//! Proofs for the receiving half of QoS 2.

use alloc::collections::BTreeSet;

use super::*;

fn id(id: u16) -> PacketId {
    PacketId::new(id).unwrap()
}

fn is_list(incoming: &Incoming) -> bool {
    matches!(incoming.ids, Ids::List(_))
}

// [MQTT-4.3.3-10] [MQTT-4.3.3-12] [MQTT3-4.3.3-2]
#[test]
fn a_publish_is_a_duplicate_until_it_is_released() {
    let mut incoming = Incoming::new();
    assert_eq!(incoming.publish(id(7)), Seen::Fresh);
    assert_eq!(incoming.publish(id(7)), Seen::Duplicate);
    assert!(incoming.pubrel(id(7)));
    assert!(!incoming.pubrel(id(7)));
    assert_eq!(incoming.publish(id(7)), Seen::Fresh);
}

// [MQTT-4.3.3-9]
#[test]
fn a_refused_publish_is_forgotten() {
    let mut incoming = Incoming::new();
    assert_eq!(incoming.publish(id(7)), Seen::Fresh);
    incoming.refuse(id(7));
    assert_eq!(incoming.publish(id(7)), Seen::Fresh);
}

#[test]
fn grows_into_a_bitmap_and_back() {
    let mut incoming = Incoming::new();
    for n in (1..=u16::MAX).rev() {
        assert_eq!(incoming.publish(id(n)), Seen::Fresh);
    }
    assert_eq!(incoming.len(), 65_535);
    assert!(!is_list(&incoming));
    assert!(incoming.iter().map(PacketId::get).eq(1..=u16::MAX));
    for n in 1..=u16::MAX {
        assert!(incoming.pubrel(id(n)));
    }
    assert!(incoming.is_empty());
    assert!(is_list(&incoming));
}

#[test]
fn shrinks_and_clears() {
    let mut incoming = Incoming::new();
    for n in 1..=200 {
        incoming.publish(id(n));
    }
    for n in 1..=120 {
        incoming.pubrel(id(n));
    }
    assert!(!is_list(&incoming));
    incoming.shrink();
    assert!(is_list(&incoming));
    assert!(incoming.iter().map(PacketId::get).eq(121..=200));
    incoming.clear();
    assert!(incoming.is_empty());
    assert_eq!(incoming.iter().count(), 0);
}

#[test]
fn behaves_like_a_plain_set() {
    let mut random = 1_u64;
    let mut next = |n: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (random >> 33) % n
    };
    let mut incoming = Incoming::new();
    let mut model = BTreeSet::new();
    for step in 0..200_000_u64 {
        let grows = (step / 20_000) % 2 == 0;
        let n = 1 + next(300) as u16 * 200;
        if next(10) < if grows { 7 } else { 3 } {
            let fresh = incoming.publish(id(n)) == Seen::Fresh;
            assert_eq!(fresh, model.insert(n));
        } else {
            assert_eq!(incoming.pubrel(id(n)), model.remove(&n));
        }
        assert_eq!(incoming.len(), model.len());
        assert_eq!(incoming.contains(id(n)), model.contains(&n));
        if step % 5000 == 0 {
            assert!(incoming.iter().map(PacketId::get).eq(model.iter().copied()));
        }
    }
}
