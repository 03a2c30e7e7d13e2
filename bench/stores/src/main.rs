//! Our store workload on three engines, side by side: the figures behind
//! docs/adr/0015-store-engine.md.
//!
//! Owns the order of the runs and the tables. Each measurement is a process of its own, so that
//! memory and CPU time belong to one engine and one workload. Must not know how an engine works.
#![forbid(unsafe_code)]

mod batch;
mod engines;
mod figures;
mod fjall_engine;
mod growth;
mod redb_engine;
mod segmented_log;
mod tables;
mod workloads;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use engines::Engine;
use workloads::WORKLOADS;

/// What goes wrong ends the program with one line.
type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// What a process measured, by name.
type Measured = BTreeMap<String, f64>;

/// What to run.
struct Plan {
    /// Where the stores are created; each run has its own folder in it and removes it.
    folder: PathBuf,
    /// Seconds of a run that is bound by time.
    secs: u64,
    rounds: u32,
    engines: Vec<Engine>,
    workloads: Vec<&'static str>,
}

/// All that was measured: workload, engine, figures; several times with several rounds.
type Runs = Vec<(&'static str, Engine, Measured)>;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let result = match words.first().map(String::as_str) {
        Some("child") => child(&words[1..]),
        _ => plan(&words).and_then(|plan| run(&plan)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn plan(words: &[String]) -> Result<Plan> {
    let beside = std::env::current_exe()?.with_file_name("stores");
    let mut plan = Plan {
        folder: beside,
        secs: 3,
        rounds: 3,
        engines: Engine::ALL.to_vec(),
        workloads: WORKLOADS.iter().map(|workload| workload.name).chain([growth::NAME]).collect(),
    };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
        match word.as_str() {
            "--dir" => plan.folder = value.into(),
            "--secs" => plan.secs = value.parse()?,
            "--rounds" => plan.rounds = value.parse()?,
            "--engines" => {
                plan.engines = value.split(',').map(Engine::named).collect::<Result<_>>()?;
            }
            "--workloads" => {
                let wanted: Vec<&str> = value.split(',').collect();
                plan.workloads.retain(|name| wanted.contains(name));
            }
            _ => return Err(format!("unexpected argument '{word}'").into()),
        }
    }
    std::fs::create_dir_all(&plan.folder)?;
    Ok(plan)
}

/// Rounds over all workloads, the engines in turn, so that what the machine does meanwhile falls
/// on all.
fn run(plan: &Plan) -> Result {
    let mut runs = Runs::new();
    for round in 1..=plan.rounds {
        for workload in &plan.workloads {
            for engine in &plan.engines {
                let measured = measure(plan, workload, *engine)?;
                let rate = measured.get("rate").copied().unwrap_or(0.0);
                eprintln!("{round}/{} {workload} {} {rate:.0}/s", plan.rounds, engine.name());
                runs.push((workload, *engine, measured));
            }
        }
    }
    println!("{}", tables::all(&runs));
    Ok(())
}

fn measure(plan: &Plan, workload: &str, engine: Engine) -> Result<Measured> {
    let folder = plan.folder.join(format!("{workload}-{}", engine.name()));
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    let call = |part: &str| start(engine, part, &folder, plan.secs);
    let measured = if workload == growth::NAME {
        let mut loaded = call(growth::LOAD)?;
        loaded.append(&mut call(growth::REOPEN)?);
        loaded
    } else {
        call(workload)?
    };
    std::fs::remove_dir_all(&folder)?;
    Ok(measured)
}

/// Runs one part in a process of its own and kills it (SIGKILL) as soon as it has said its
/// figures: no engine gets the chance to close.
fn start(engine: Engine, part: &str, folder: &Path, secs: u64) -> Result<Measured> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(["child", engine.name(), part])
        .arg(folder)
        .arg(secs.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut measured = Measured::new();
    let mut complete = false;
    for line in BufReader::new(child.stdout.take().expect("it is piped")).lines() {
        let line = line?;
        if line == figures::END {
            complete = true;
            break;
        }
        if let Some((name, value)) = line.split_once('=') {
            measured.insert(name.to_owned(), value.parse()?);
        }
    }
    child.kill()?;
    child.wait()?;
    match complete {
        true => Ok(measured),
        false => Err(format!("{} {part} ended early", engine.name()).into()),
    }
}

/// One part, in its own process.
fn child(words: &[String]) -> Result {
    let [engine, part, folder, secs] = words else { return Err("child: four words".into()) };
    let engine = Engine::named(engine)?;
    let folder = Path::new(folder);
    match part.as_str() {
        growth::LOAD => growth::load(engine, folder)?,
        growth::REOPEN => growth::reopen(engine, folder)?,
        name => {
            let workload = WORKLOADS.iter().find(|workload| workload.name == name);
            workloads::run(workload.ok_or("no such workload")?, engine, folder, secs.parse()?)?;
        }
    }
    figures::end();
    // The parent kills this process here.
    loop {
        std::thread::park();
    }
}
