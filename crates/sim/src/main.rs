//! `martlet-sim`: runs seeds, on two threads, and says which fail and how to repeat them. Must not
//! know what a run is.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use martlet_sim::{Outcome, run_seed};

const USAGE: &str = "usage: martlet-sim [--seeds N] [--start S] [--seed S] [--trace]";

/// Threads: the hunt is for the usual two cores.
const THREADS: usize = 2;

/// What to do.
#[derive(Debug, Clone, Copy)]
struct Args {
    start: u64,
    seeds: u64,
    trace: bool,
}

/// What came out.
#[derive(Debug, Default)]
struct Tally {
    passed: u64,
    failed: Vec<u64>,
    steps: u64,
    messages: u64,
    deliveries: u64,
}

#[allow(clippy::print_stdout, clippy::print_stderr)] // a program's face
fn main() -> ExitCode {
    let args = match parse(std::env::args().skip(1)) {
        Ok(args) => args,
        Err(error) => {
            eprintln!("martlet-sim: {error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    // The message of a broken invariant is printed with its seed.
    if !args.trace {
        std::panic::set_hook(Box::new(|_| {}));
    }
    let next = AtomicU64::new(args.start);
    let tally = Mutex::new(Tally::default());
    let threads = if args.seeds == 1 { 1 } else { THREADS };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| work(args, &next, &tally));
        }
    });
    let mut tally = tally.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    tally.failed.sort_unstable();
    let Tally { steps, messages, deliveries, .. } = tally;
    println!("{steps} steps, {messages} messages, {deliveries} deliveries");
    println!("{} passed, {} failed", tally.passed, tally.failed.len());
    for seed in tally.failed.iter().take(20) {
        println!("repeat with: martlet-sim --seed {seed} --trace");
    }
    if tally.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<Args, String> {
    let mut parsed = Args { start: 0, seeds: 256, trace: false };
    while let Some(arg) = args.next() {
        let mut number = || {
            let value = args.next().ok_or(format!("{arg} wants a number"))?;
            value.parse::<u64>().map_err(|_| format!("{value:?} is not a number"))
        };
        match arg.as_str() {
            "--seeds" => parsed.seeds = number()?,
            "--start" => parsed.start = number()?,
            "--seed" => (parsed.start, parsed.seeds) = (number()?, 1),
            "--trace" => parsed.trace = true,
            _ => return Err(format!("unknown argument {arg:?}")),
        }
    }
    Ok(parsed)
}

fn work(args: Args, next: &AtomicU64, tally: &Mutex<Tally>) {
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= args.start + args.seeds {
            return;
        }
        let result = catch_unwind(AssertUnwindSafe(|| run_seed(seed, args.trace)));
        let mut tally = tally.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        tally.count(seed, result);
    }
}

impl Tally {
    #[allow(clippy::print_stdout)]
    fn count(&mut self, seed: u64, result: std::thread::Result<Outcome>) {
        let failure = match result {
            Ok(outcome) => {
                self.steps += outcome.steps;
                self.messages += outcome.messages as u64;
                self.deliveries += outcome.deliveries as u64;
                outcome.failure.map(|failure| failure.to_string())
            }
            Err(panic) => {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text = text.or(panic.downcast_ref::<&str>().copied());
                Some(format!("panic: {}", text.unwrap_or("without a message")))
            }
        };
        match failure {
            None => self.passed += 1,
            Some(failure) => {
                println!("seed {seed} FAILED: {failure}");
                self.failed.push(seed);
            }
        }
    }
}
