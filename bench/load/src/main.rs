//! Loads a broker with QoS 1 messages for persistent sessions and says what that cost it.
//!
//! Owns the scenarios: `online` (every subscriber is connected), `offline` (the sessions are there,
//! their clients are not; afterwards they come back for their messages), and the same two for a
//! lone publisher (`lone-online`, `lone-offline`), in turn with plain appends to the same file
//! system. One thread, so that it takes little from the broker on the same machine. Prints
//! `name=value` lines.
#![forbid(unsafe_code)]

mod disk;
mod fleet;
mod link;
mod packets;

use std::io::{Error, Result};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use fleet::{Fleet, Shape};
use martlet_bench_meter as meter;

const WARM_UP: Duration = Duration::from_secs(1);
/// How long nothing may come before what is missing counts as lost.
const PATIENCE: Duration = Duration::from_secs(10);
/// A lone publisher and the plain appends take turns of this length.
const TURN: Duration = Duration::from_millis(200);

struct Plan {
    scenario: String,
    port: u16,
    /// The broker's process.
    pid: String,
    secs: u64,
    pairs: usize,
    in_flight: usize,
    payload_len: usize,
    /// A folder on the file system of the broker's data.
    folder: PathBuf,
}

fn main() -> ExitCode {
    match plan().and_then(|plan| run(&plan)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn plan() -> Result<Plan> {
    let mut plan = Plan {
        scenario: "online".to_owned(),
        port: 1883,
        pid: "self".to_owned(),
        secs: 3,
        pairs: 500,
        in_flight: 16,
        payload_len: 64,
        folder: ".".into(),
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().ok_or_else(|| Error::other(format!("{word} needs a value")))?;
        let number = || value.parse().map_err(|_| Error::other(format!("{word} {value}")));
        match word.as_str() {
            "--scenario" => plan.scenario = value,
            "--port" => plan.port = number()? as u16,
            "--pid" => plan.pid = value,
            "--secs" => plan.secs = number()?,
            "--pairs" => plan.pairs = number()? as usize,
            "--in-flight" => plan.in_flight = number()? as usize,
            "--payload" => plan.payload_len = (number()? as usize).max(packets::NUMBER_BYTES),
            "--folder" => plan.folder = value.into(),
            _ => return Err(Error::other(format!("unexpected argument '{word}'"))),
        }
    }
    Ok(plan)
}

fn run(plan: &Plan) -> Result<()> {
    let (online, lone) = match plan.scenario.as_str() {
        "online" => (true, false),
        "offline" => (false, false),
        "lone-online" => (true, true),
        "lone-offline" => (false, true),
        name => return Err(Error::other(format!("no scenario '{name}'"))),
    };
    let mut fleet = Fleet::new(Shape {
        port: plan.port,
        pairs: if lone { 1 } else { plan.pairs },
        in_flight: if lone { 1 } else { plan.in_flight },
        payload_len: plan.payload_len,
        name: "load",
    })?;
    if !online {
        fleet.detach_all()?;
    }
    fleet.publish_for(WARM_UP)?;
    if lone {
        run_lone(plan, &mut fleet)?
    } else {
        run_many(plan, &mut fleet)?
    }
    finish(&mut fleet, online)
}

/// All publishers at once for the whole time.
fn run_many(plan: &Plan, fleet: &mut Fleet) -> Result<()> {
    fleet.wait_acked(PATIENCE)?;
    meter::settle(&plan.folder)?;
    let written = meter::device_bytes(&plan.folder);
    let (before, at) = (fleet.counts, Instant::now());
    let (cpu, own_cpu) = (meter::cpu(&plan.pid)?, meter::cpu("self")?);
    fleet.measuring = true;
    fleet.publish_for(Duration::from_secs(plan.secs))?;
    // The last acknowledgements belong to it: a slow broker's come seconds later.
    fleet.wait_acked(PATIENCE)?;
    fleet.measuring = false;
    let (secs, counts) = (at.elapsed().as_secs_f64(), fleet.counts);
    let (cpu, own_cpu) = (meter::cpu(&plan.pid)? - cpu, meter::cpu("self")? - own_cpu);
    let acked = (counts.acked - before.acked) as f64;
    say("acked_rate", acked / secs);
    say("delivered_rate", (counts.delivered - before.delivered) as f64 / secs);
    say("cpu_us", cpu.as_secs_f64() * 1e6 / acked.max(1.0));
    say("broker_cores", cpu.as_secs_f64() / secs);
    say("load_cores", own_cpu.as_secs_f64() / secs);
    say("rss_mb", meter::rss_bytes(&plan.pid)? as f64 / 1e6);
    meter::settle(&plan.folder)?;
    if let Some((before_bytes, bytes)) = written.zip(meter::device_bytes(&plan.folder)) {
        let payload = (counts.acked - before.acked) * plan.payload_len as u64;
        say("device_per_payload", (bytes - before_bytes) as f64 / payload.max(1) as f64);
    }
    say_latencies(fleet);
    Ok(())
}

/// One publisher with one message in flight, in turn with plain appends.
fn run_lone(plan: &Plan, fleet: &mut Fleet) -> Result<()> {
    let mut probe = disk::Probe::new(&plan.folder)?;
    let end = Instant::now() + Duration::from_secs(plan.secs);
    let mut cpu = Duration::ZERO;
    let before = fleet.counts;
    while Instant::now() < end {
        fleet.wait_acked(PATIENCE)?;
        probe.run(TURN / 2)?;
        let start = meter::cpu(&plan.pid)?;
        fleet.measuring = true;
        fleet.publish_for(TURN)?;
        fleet.measuring = false;
        cpu += meter::cpu(&plan.pid)? - start;
    }
    let acked = (fleet.counts.acked - before.acked).max(1);
    say("acked_rate", fleet.latencies.count() as f64 / plan.secs as f64 * 2.0);
    say("cpu_us", cpu.as_secs_f64() * 1e6 / acked as f64);
    say("append_p50_us", probe.grow.part_us(0.5));
    say("fill_p50_us", probe.fill.part_us(0.5));
    say_latencies(fleet);
    Ok(())
}

fn say_latencies(fleet: &mut Fleet) {
    for (name, part) in [("ack_p50_us", 0.5), ("ack_p99_us", 0.99), ("ack_max_us", 1.0)] {
        say(name, fleet.latencies.part_us(part));
    }
}

/// Everything that was acknowledged must arrive; clients that were away come back for it.
fn finish(fleet: &mut Fleet, online: bool) -> Result<()> {
    let acked = fleet.wait_acked(PATIENCE)?;
    let at = Instant::now();
    let before = fleet.counts.delivered;
    if !online {
        fleet.attach_all()?;
    }
    let delivered = fleet.wait_delivered(PATIENCE)?;
    if !online && delivered {
        let replayed = (fleet.counts.delivered - before) as f64;
        say("replay_rate", replayed / at.elapsed().as_secs_f64());
    }
    let counts = fleet.counts;
    say("unacked", if acked { 0.0 } else { (counts.sent - counts.acked) as f64 });
    say("missing", counts.acked.saturating_sub(counts.delivered) as f64);
    say("repeated", counts.repeated as f64);
    say("skipped", counts.skipped as f64);
    Ok(())
}

fn say(name: &str, value: f64) {
    println!("{name}={value:.3}");
}
