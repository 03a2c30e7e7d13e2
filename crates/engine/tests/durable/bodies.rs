//! What several sessions get is stored once; what has to be there as a whole is stored as a whole.

use std::collections::BTreeSet;

use martlet_engine::store::{BodyId, StoreBatch, StoreOp};
use martlet_engine::{Message, Now, ShardId};
use martlet_proto::PacketType;

use crate::rig::{Rig, entries_of, joins_of, msg, on_every_size, on_sizes, options, v5};

fn absent(rig: &mut Rig, name: &str, filter: &str) {
    rig.connect(&v5(name).lasting());
    rig.subscribe(name, filter, 2);
    rig.goodbye(name);
}

fn body(message: &Message) -> Option<BodyId> {
    message.fields(Now::default()).body
}

/// The bodies of all messages that are written.
fn bodies(batches: &[(ShardId, StoreBatch)]) -> Vec<Option<BodyId>> {
    let entries = entries_of(batches);
    let bodies = entries.iter().map(|(_, op)| match op {
        StoreOp::PutEntry { message, .. } => body(message),
        _ => unreachable!("only these"),
    });
    bodies.collect()
}

fn has(batch: &StoreBatch, wanted: impl Fn(&StoreOp) -> bool) -> bool {
    batch.ops.iter().any(wanted)
}

#[test]
fn a_message_for_one_session_has_no_body_of_its_own() {
    on_every_size(|rig| {
        absent(rig, "s", "t");
        rig.connect(&v5("p"));
        rig.hold();
        for qos in [1, 2] {
            rig.send_message("p", &msg("t", "m").qos(qos));
            let batches = rig.batches();
            assert_eq!(bodies(&batches), [None]);
        }
        rig.ignore_the_rest();
    });
}

#[test]
fn a_message_for_many_sessions_has_one_body_on_all_shards() {
    on_every_size(|rig| {
        let names: Vec<String> = (0..10).map(|n| rig.name_at(&format!("s{n}-"), n)).collect();
        for name in &names {
            absent(rig, name, "t");
        }
        rig.connect(&v5("p"));
        rig.hold();
        let mut seen = BTreeSet::new();
        for qos in [1, 2] {
            rig.send_message("p", &msg("t", "m").qos(qos));
            let batches = rig.batches();
            let bodies = bodies(&batches);
            assert_eq!(bodies.len(), 10);
            let distinct: BTreeSet<_> = bodies.into_iter().collect();
            assert_eq!(distinct.len(), 1, "one body");
            let body = distinct.into_iter().next().flatten().expect("a body");
            assert!(seen.insert(body), "a body is one message");
        }
        rig.ignore_the_rest();
    });
}

#[test]
fn a_message_for_several_sessions_of_another_shard_alone_has_one_body_there() {
    on_sizes(
        &[2, 8],
        |_| {},
        |rig| {
            let (a, b, p) = (rig.name_at("a", 1), rig.name_at("b", 1), rig.name_at("p", 0));
            absent(rig, &a, "t");
            absent(rig, &b, "t");
            rig.connect(&v5(&p));
            rig.hold();
            for payload in ["m".to_owned(), "x".repeat(10_000)] {
                rig.send_message(&p, &msg("t", &payload).qos(1));
                let batches = rig.batches();
                let bodies = bodies(&batches);
                assert_eq!(bodies.len(), 2);
                assert!(bodies[0].is_some() && bodies[0] == bodies[1], "{bodies:?}");
            }
            rig.ignore_the_rest();
        },
    );
}

#[test]
fn body_numbers_of_different_shards_differ() {
    on_sizes(
        &[8],
        |_| {},
        |rig| {
            for n in 0..2 {
                let name = rig.name_at(&format!("s{n}-"), n);
                absent(rig, &name, "t");
            }
            let publishers: Vec<String> = (0..8).map(|n| rig.name_at("p", n)).collect();
            let mut seen = BTreeSet::new();
            for p in &publishers {
                rig.connect(&v5(p));
                rig.hold();
                rig.send_message(p, &msg("t", "m").qos(1));
                let batches = rig.batches();
                assert!(seen.insert(bodies(&batches)[0].expect("a body")));
                rig.go_on();
            }
            rig.ignore_the_rest();
        },
    );
}

/// The parts of the one exchange among batches: it is complete.
fn check_join(batches: &[(ShardId, StoreBatch)], parts: usize) -> BTreeSet<ShardId> {
    let joins = joins_of(batches);
    assert_eq!(joins.len(), parts, "{joins:?}");
    let ids: BTreeSet<u64> = joins.iter().map(|(_, join, _)| join.id).collect();
    assert_eq!(ids.len(), 1, "all parts carry one number");
    let children: u32 = joins.iter().map(|(_, join, _)| join.children).sum();
    assert_eq!(children as usize + 1, parts, "all parts are announced");
    joins.iter().map(|(shard, ..)| *shard).collect()
}

#[test]
fn a_qos_2_exchange_over_several_shards_is_one_join() {
    on_sizes(
        &[8],
        |_| {},
        |rig| {
            let p = rig.name_at("p", 0);
            for n in 0..4 {
                let name = rig.name_at(&format!("s{n}-"), n);
                absent(rig, &name, "t");
            }
            rig.connect(&v5(&p).lasting());
            rig.hold();
            rig.send_message(&p, &msg("t", "m").qos(2).id(7));
            let batches = rig.batches();
            let shards = check_join(&batches, 4);
            assert_eq!(shards, (0..4).map(ShardId).collect());
            assert_eq!(batches.len(), 4, "and nothing beside it");
            for (shard, join, batch) in joins_of(&batches) {
                let is_root = shard == ShardId(0);
                assert_eq!(join.children, if is_root { 3 } else { 0 });
                assert_eq!(has(batch, |op| matches!(op, StoreOp::PutIncoming { .. })), is_root);
                assert!(has(batch, |op| matches!(op, StoreOp::PutEntry { .. })));
            }
            rig.nothing(&p);
            rig.commit();
            assert_eq!(rig.expect(&p).pub_rec().packet_id.get(), 7);
        },
    );
}

#[test]
fn a_retained_topic_elsewhere_is_part_of_the_join() {
    on_sizes(
        &[8],
        |_| {},
        |rig| {
            let (p, s, t) = (rig.name_at("p", 0), rig.name_at("s", 1), rig.name_at("t", 2));
            absent(rig, &s, &t);
            rig.connect(&v5(&p).lasting());
            rig.hold();
            rig.send_message(&p, &msg(&t, "m").qos(2).retain());
            let batches = rig.batches();
            assert_eq!(check_join(&batches, 3).len(), 3);
            for (shard, _, batch) in joins_of(&batches) {
                let retains = has(batch, |op| matches!(op, StoreOp::PutRetained { .. }));
                assert_eq!(retains, shard == ShardId(2));
            }
            rig.nothing(&p);
            rig.commit();
            rig.expect(&p).pub_rec();
        },
    );
}

#[test]
fn a_retained_topic_on_a_shard_with_a_subscriber_is_a_part_beside_it() {
    on_sizes(
        &[2, 8],
        |_| {},
        |rig| {
            let (p, s, t) = (rig.name_at("p", 0), rig.name_at("s", 1), rig.name_at("t", 1));
            absent(rig, &s, &t);
            rig.connect(&v5(&p).lasting());
            rig.hold();
            rig.send_message(&p, &msg(&t, "m").qos(2).retain());
            let batches = rig.batches();
            check_join(&batches, 3);
            rig.commit();
            rig.expect(&p).pub_rec();
        },
    );
}

#[test]
fn one_shard_needs_no_join() {
    on_sizes(
        &[1, 2, 8],
        |_| {},
        |rig| {
            let (p, s) = (rig.name_at("p", 0), rig.name_at("s", 0));
            absent(rig, &s, "t");
            rig.connect(&v5(&p).lasting());
            rig.hold();
            rig.send_message(&p, &msg("t", "m").qos(2));
            let batches = rig.batches();
            assert_eq!(joins_of(&batches).len(), 0);
            assert_eq!(batches.len(), 1, "in one go");
            assert_eq!(batches[0].1.ops.len(), 2);
            rig.commit();
            rig.expect(&p).pub_rec();
        },
    );
}

#[test]
fn a_clean_session_and_qos_1_need_no_join() {
    on_sizes(
        &[2, 8],
        |_| {},
        |rig| {
            let (p, s) = (rig.name_at("p", 0), rig.name_at("s", 1));
            absent(rig, &s, "t");
            for hello in [v5(&p), v5(&p).lasting()] {
                rig.connect(&hello);
                rig.hold();
                rig.send_message(&p, &msg("t", "m").qos(1));
                if hello.name() == p {
                    rig.commit();
                    rig.expect(&p).pub_ack();
                }
                let batches = rig.batches();
                assert_eq!(joins_of(&batches).len(), 0);
                rig.go_on();
            }
            rig.connect(&v5("q"));
            rig.hold();
            rig.send_message("q", &msg("t", "m").qos(2));
            let batches = rig.batches();
            assert_eq!(joins_of(&batches).len(), 0);
            rig.commit();
            rig.expect("q").pub_rec();
        },
    );
}

#[test]
fn a_part_with_nothing_in_it_completes_the_join_all_the_same() {
    on_sizes(
        &[2, 8],
        |_| {},
        |rig| {
            let (p, s) = (rig.name_at("p", 0), rig.name_at("s", 1));
            // Interested durably, but with QoS 0 granted: nothing is written there.
            rig.connect(&v5(&s).lasting());
            rig.subscribe(&s, "t", 0);
            rig.connect(&v5(&p).lasting());
            rig.hold();
            rig.send_message(&p, &msg("t", "m").qos(2));
            assert_eq!(rig.take_payloads(&s), ["m"]);
            let batches = rig.batches();
            check_join(&batches, 2);
            rig.nothing(&p);
            rig.commit();
            rig.expect(&p).pub_rec();
        },
    );
}

/// A QoS 2 exchange whose message goes through a share group: homes of the publisher, the group and
/// its one member.
fn through_a_group(rig: &mut Rig, homes: [usize; 3], parts: usize) {
    let [p, group, member] = homes;
    let (p, member) = (rig.name_at("p", p), rig.name_at("m", member));
    // A group's home is that of its whole filter.
    let names = (0..).map(|n: u32| format!("$share/g{n}/t"));
    let wanted = group % rig.shards();
    let filter = names.into_iter().find(|name| rig.home(name) == wanted).expect("one of them");
    rig.connect(&v5(&member).lasting());
    assert_eq!(rig.subscribe_with(&member, &[(&filter, options(2))], None), [2]);
    rig.goodbye(&member);
    rig.connect(&v5(&p).lasting());
    rig.hold();
    rig.send_message(&p, &msg("t", "m").qos(2).id(3));
    rig.nothing(&p);
    let batches = rig.batches();
    if parts > 1 {
        check_join(&batches, parts);
    } else {
        // All of it on one shard: one batch.
        assert_eq!(batches.len(), 1, "{batches:?}");
    }
    rig.commit();
    rig.expect(&p).pub_rec();
    rig.go_on();
    rig.pub_rel(&p, 3);
    rig.take_first(&p, PacketType::PubComp);
    rig.connect(&v5(&member).lasting());
    assert_eq!(rig.take_payloads(&member), ["m"]);
}

#[test]
fn a_share_group_that_forwards_to_a_third_shard_counts_its_child() {
    on_sizes(&[8], |_| {}, |rig| through_a_group(rig, [0, 1, 2], 3));
}

#[test]
fn a_share_group_with_its_member_at_its_home_is_one_child() {
    on_sizes(&[2, 8], |_| {}, |rig| through_a_group(rig, [0, 1, 1], 2));
}

#[test]
fn a_share_group_whose_member_is_at_the_publishers_home_comes_back_there() {
    on_sizes(&[2, 8], |_| {}, |rig| through_a_group(rig, [0, 1, 0], 3));
}

#[test]
fn a_share_group_at_the_publishers_home_with_its_member_elsewhere_is_joined() {
    on_sizes(&[2, 8], |_| {}, |rig| through_a_group(rig, [0, 0, 1], 2));
}

#[test]
fn a_share_group_at_the_publishers_home_with_its_member_there_is_one_batch() {
    on_sizes(&[1, 2, 8], |_| {}, |rig| through_a_group(rig, [0, 0, 0], 1));
}

#[test]
fn nothing_of_an_incomplete_exchange_survives() {
    on_sizes(
        &[2, 8],
        |_| {},
        |rig| {
            let (p, s) = (rig.name_at("p", 0), rig.name_at("s", 1));
            absent(rig, &s, "t");
            rig.connect(&v5(&p).lasting());
            rig.hold();
            rig.send_message(&p, &msg("t", "m").qos(2).id(5));
            rig.commit_shard(0);
            rig.commit_shard(1);
            rig.kill(2, 0);
            assert_eq!(rig.stats().queued, 0);
            // Nobody had said that it was safe: the client sends again, and it arrives once.
            rig.connect(&v5(&p).lasting());
            rig.send_message(&p, &msg("t", "m").qos(2).id(5).dup());
            rig.expect(&p).pub_rec();
            rig.kill(8, 0);
            rig.connect(&v5(&p).lasting());
            rig.send_message(&p, &msg("t", "m").qos(2).id(5).dup());
            rig.expect(&p).pub_rec();
            assert_eq!(rig.stats().queued, 1);
            rig.ignore_the_rest();
        },
    );
}
