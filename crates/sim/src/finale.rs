//! The end of a run: everybody comes back, everything is delivered, and what the oracles require is
//! looked for. Must not know the rules themselves.

use martlet_proto::{Qos, SubscriptionOptions};

use crate::client::all_topics;
use crate::host::Letter;
use crate::plan::Plan;
use crate::port;
use crate::run::Run;
use crate::wire::Place;

/// Rounds after which a run that does not come to rest counts as stalled.
const ROUNDS_MAX: usize = 3000;

/// How long an acknowledgement may take, at rest.
const SOON_MS: u64 = 1_000;

/// Brings the run to rest and checks what has to hold then.
pub(crate) fn finish(run: &mut Run) {
    // Whoever was slow is not any more.
    run.world.pipe_bytes = 1 << 20;
    run.world.store_stuck = false;
    if let Some(store) = &mut run.world.store {
        store.set_health(martlet_engine::store::StoreHealth::Healthy);
        run.book.step = run.world.step;
        run.book.health_changed(store.health());
        run.world.hear_store();
    }
    for evil in &mut run.evil {
        evil.leave(&mut run.world);
    }
    for client in &mut run.clients {
        client.finishing = true;
    }
    let everybody: Vec<usize> = (0..=run.plan.clients).collect();
    come_to_rest(run, &everybody);
    if run.plan.store.as_ref().is_some_and(|store| store.crash_permille > 0) {
        die_once_more(run, &everybody);
    }
    if run.random.chance(30) {
        pass_long_time(run, &everybody);
    }
    if run.circles {
        return;
    }
    run.world.step += 1;
    run.absorb();
    let dropped = run.world.dropped();
    run.book.check_required(dropped);
    run.book.check_shared(dropped);
    probe(run);
    if run.circles {
        return;
    }
    if run.plan.shutdown {
        shut_down(run);
    }
}

/// A crash of a broker that is at rest takes nothing; one under way may.
fn die_once_more(run: &mut Run, everybody: &[usize]) {
    if run.random.chance(50) && run.book.failure().is_none() {
        run.crash();
        come_to_rest(run, everybody);
    }
    if run.random.chance(50) && run.book.failure().is_none() {
        run.crash();
        for _ in 0..run.random.between(1, 10) {
            connect_all(run, everybody);
            round(run);
        }
        run.crash();
        come_to_rest(run, everybody);
    }
}

fn connect_all(run: &mut Run, numbers: &[usize]) {
    for number in numbers.iter().copied() {
        run.with_client(number, |client, stage| {
            if client.wire().is_none() {
                client.connect(stage, false);
            }
            client.acknowledge(stage, usize::MAX);
            client.leave_old_links(stage);
        });
    }
}

/// Everybody is connected and has nothing unfinished.
fn come_to_rest(run: &mut Run, numbers: &[usize]) {
    let mut waits = if run.plan.store.is_some() { 200 } else { 0 };
    let rounds_max = if refuses(run) { ROUNDS_MAX / 10 } else { ROUNDS_MAX };
    for _ in 0..rounds_max {
        connect_all(run, numbers);
        let moved = round(run);
        if run.book.failure().is_some() {
            return;
        }
        let at_rest = numbers.iter().all(|number| run.clients[*number].is_at_rest());
        if !moved && at_rest && run.world.is_settled() {
            return;
        }
        if !moved && !at_rest {
            // What waits for an acknowledgement may be written a little later.
            let soon_ms =
                run.world.next_deadline_ms().map(|at| at.saturating_sub(run.world.now.mono_ms));
            match soon_ms.filter(|by_ms| *by_ms <= SOON_MS && waits > 0) {
                Some(by_ms) => {
                    run.keep_alive(by_ms);
                    run.advance(by_ms);
                }
                None => break,
            }
            waits -= 1;
        }
    }
    stalled(run, numbers);
}

/// Whether publishers suffer from full queues. One of MQTT 3 that fills its own queue is
/// disconnected and does the same again, for ever.
fn refuses(run: &Run) -> bool {
    let limits = &run.plan.limits;
    limits.queue_full == martlet_engine::QueueFull::Refuse && Plan::bounds_queues(limits)
}

fn stalled(run: &mut Run, numbers: &[usize]) {
    run.circles = refuses(run);
    if run.circles {
        return;
    }
    let who: Vec<String> = numbers
        .iter()
        .map(|number| &run.clients[*number])
        .filter(|client| !client.is_at_rest())
        .map(|client| client.unfinished())
        .collect();
    run.book.fail("progress", format!("stalled: {}", who.join("\n  ")));
}

/// Lets everything move until nothing does.
pub(crate) fn drain(run: &mut Run) {
    for _ in 0..ROUNDS_MAX {
        let moved = round(run);
        if run.book.failure().is_some() || !moved {
            break;
        }
    }
}

/// Every shard with something to do gets turns, every client reads. Whether anything happened.
fn round(run: &mut Run) -> bool {
    let before = run.world.step;
    while !run.world.questions.is_empty() {
        port::answer_one(&mut run.world, &mut run.random);
    }
    for _ in 0..8 {
        if run.world.store_is_runnable() {
            run.world.run_store(&mut run.random);
            run.absorb();
        }
    }
    for wire in run.world.live.clone() {
        run.world.unblock(wire);
    }
    for shard in 0..run.world.hosts.len() {
        for _ in 0..4 {
            if run.world.is_runnable(shard) {
                run.world.run(shard, &mut run.random);
                run.world.finish_chores(shard, &mut run.random);
                run.absorb();
            }
        }
    }
    for number in 0..run.clients.len() {
        for wire in run.clients[number].readable(&run.world) {
            run.with_client(number, |client, stage| client.read(stage, wire, usize::MAX));
            run.absorb();
        }
    }
    run.world.step != before
}

/// Time passes, while everybody keeps the connection alive: delayed wills become due.
fn pass_long_time(run: &mut Run, everybody: &[usize]) {
    for _ in 0..110 {
        run.keep_alive(1000);
        come_to_rest(run, everybody);
        if run.book.failure().is_some() {
            return;
        }
        run.advance(1000);
    }
    come_to_rest(run, everybody);
}

/// A fresh subscriber looks at what is retained.
fn probe(run: &mut Run) {
    let number = run.clients.len() - 1;
    run.with_client(number, |probe, stage| probe.connect(stage, true));
    come_to_rest(run, &[number]);
    let options = SubscriptionOptions::new(Qos::ExactlyOnce);
    let filters = [("#", options), ("$x/#", options)];
    run.with_client(number, |probe, stage| probe.subscribe(stage, &filters, 0));
    come_to_rest(run, &[number]);
    if let Some(wire) = run.clients[number].wire().filter(|_| run.book.failure().is_none()) {
        run.book.check_probe(wire, &all_topics());
    }
}

/// The broker stops: everybody is told and closed.
fn shut_down(run: &mut Run) {
    run.book.shutting_down = true;
    for host in &mut run.world.hosts {
        host.mailbox.push_back(Letter::Shutdown);
    }
    drain(run);
    // [MQTT-4.13.2-1]
    let alive = run.world.wires.iter().filter(|wire| wire.place != Place::Gone).count();
    if alive > 0 && run.book.failure().is_none() {
        let text = format!("{alive} connections outlive the shutdown");
        run.book.fail("ending", text);
    }
}
