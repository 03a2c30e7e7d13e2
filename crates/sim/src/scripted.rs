//! One script of acts, run on brokers of different sizes: what each client gets must not depend on
//! the number of shards. Every act is carried through to rest before the next. Must not know any
//! rule.

use std::collections::BTreeMap;

use crate::client::AckPolicy;
use crate::finale;
use crate::plan::Plan;
use crate::random::Random;
use crate::run::Run;
use crate::wire::ClientEnd;

/// What one client got: for each act, the deliveries in an order that does not depend on the run.
pub type Received = BTreeMap<String, Vec<String>>;

/// Acts of one script.
const ACTS: usize = 120;

/// Runs the script of a seed on a broker of so many shards.
///
/// # Errors
/// The broken rule, if the oracles find one.
pub fn run_script(seed: u64, shards: u16) -> Result<Received, String> {
    let mut plan = Plan::new(seed);
    plan.shards = shards;
    plan.clients = 5;
    (plan.evil, plan.unruly) = (0, 0);
    // Which member of a group gets a message is the broker's choice.
    plan.shared = false;
    plan.auth_port = false;
    plan.sys_interval_ms = 0;
    plan.slow_shard = None;
    plan.store = None;
    plan.pipe_bytes = 1 << 20;
    plan.limits = martlet_engine::Limits::default();
    let mut run = Run::new(plan, false);
    for client in &mut run.clients {
        // A full window would let the order between topics decide what comes first.
        client.profile.acks = AckPolicy::Prompt;
        client.profile.receive_max = None;
        // One thing at a time.
        client.profile.early_percent = 0;
    }
    for record in &mut run.book.clients {
        record.receive_max = usize::from(u16::MAX);
    }
    run.prologue();
    // What the clients do is decided apart from what happens in between.
    let mut script = Random::new(seed ^ 0x7363_7269);
    let mut received = Received::new();
    let mut seen = BTreeMap::new();
    for _ in 0..ACTS {
        act(&mut run, &mut script);
        finale::drain(&mut run);
        if script.chance(20) {
            run.advance(script.between(1, 1500) as u64);
            finale::drain(&mut run);
        }
        collect(&run, &mut seen, &mut received);
        if let Some(failure) = run.book.failure() {
            return Err(failure.to_string());
        }
    }
    Ok(received)
}

/// One act of one client, chosen by the script alone.
fn act(run: &mut Run, script: &mut Random) {
    let number = script.between(1, run.plan.clients);
    let what = script.below(100);
    let mut own = Random::new(script.bits());
    // The client draws from the script, not from the run.
    std::mem::swap(&mut run.random, &mut own);
    run.with_client(number, |client, stage| {
        stage.world.step += 1;
        stage.book.step = stage.world.step;
        match (client.is_open(), what) {
            (false, _) => {
                let clean = stage.random.chance(client.profile.clean_percent);
                client.connect(stage, clean);
            }
            (true, 0..=49) => client.publish(stage),
            (true, 50..=79) => client.subscribe_some(stage),
            (true, 80..=87) => client.acknowledge(stage, usize::MAX),
            (true, 88..=92) => client.disconnect(stage, false),
            (true, 93..=96) => client.break_off(stage, ClientEnd::Reset),
            (true, _) => client.connect(stage, false),
        }
    });
    std::mem::swap(&mut run.random, &mut own);
}

/// Adds what came since the last act, sorted: between topics there is no order to compare.
fn collect(run: &Run, seen: &mut BTreeMap<usize, usize>, received: &mut Received) {
    let mut news: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (number, session) in run.book.sessions.iter().enumerate() {
        let seen = seen.entry(number).or_default();
        let id = &run.book.clients[session.client].id;
        for delivery in &session.deliveries[*seen..] {
            let flags = (delivery.qos.bits(), delivery.dup, delivery.retain);
            let line = format!("{} {flags:?} {:?}", delivery.message, delivery.ids);
            news.entry(id.clone()).or_default().push(line);
        }
        *seen = session.deliveries.len();
    }
    for (id, mut lines) in news {
        lines.sort();
        let all = received.entry(id).or_default();
        all.push(lines.join("; "));
    }
}
