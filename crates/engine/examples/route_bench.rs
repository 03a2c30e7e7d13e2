//! Measures the subscription index and the retained store from 1 thousand to 1 million entries.
//!
//! `cargo run --release -p martlet-engine --example route_bench [entries...]`
//!
//! Each size runs in a process of its own, so that the growth of the resident set is that of this
//! size. Times are medians over batches. "hot" asks for the same 64 topics again and again and
//! shows the work; "cold" asks for random ones among all and shows what the caches add; "miss" asks
//! for random topics that only the shape of some filters comes close to.
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![allow(clippy::print_stdout, reason = "a benchmark prints its table")]

use std::hint::black_box;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use martlet_engine::index::{Subscriber, SubscriptionIndex};
use martlet_engine::retained::{Cursor, RetainedStore, ScanEnd};

const SIZES: [usize; 4] = [1_000, 10_000, 100_000, 1_000_000];
const BATCHES: usize = 2_001;
const BATCH: usize = 64;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [table, size] = &arguments[..]
        && let Ok(size) = size.parse()
    {
        match table.as_str() {
            "--index" => return index(size),
            "--retained" => return retained(size),
            _ => {}
        }
    }
    let mut sizes: Vec<usize> = arguments.iter().filter_map(|size| size.parse().ok()).collect();
    if sizes.is_empty() {
        sizes = SIZES.to_vec();
    }
    println!("subscriptions: a third exact, a third with +, a third with #; one subscriber each");
    let columns =
        ["filters", "matches", "hot ns", "cold ns", "miss ns", "add ns", "worst us", "remove ns"];
    println!("{}", columns.map(|column| format!("{column:>9}")).concat() + "   heap B    RSS B");
    run_each("--index", &sizes);
    println!("\nretained messages: get, device/+/temperature (25 matches), line/# (100 matches)");
    let columns =
        ["topics", "hot ns", "cold ns", "+ us", "# us", "add ns", "worst us", "remove ns"];
    println!("{}", columns.map(|column| format!("{column:>9}")).concat() + "   heap B    RSS B");
    run_each("--retained", &sizes);
}

fn run_each(table: &str, sizes: &[usize]) {
    let this = std::env::current_exe().expect("the benchmark knows its own file");
    for size in sizes {
        let status = Command::new(&this).args([table, &size.to_string()]).status();
        assert!(status.is_ok_and(|status| status.success()), "{table} {size} failed");
    }
}

/// Where device `d` stands: 25 devices a line, 40 lines a site.
fn place(device: usize) -> (usize, usize) {
    (device / 1000, device / 25)
}

fn filter(at: usize) -> String {
    let device = at / 3;
    let (site, line) = place(device);
    match at % 3 {
        0 => format!("site/{site}/line/{line}/device/{device}/temperature"),
        1 if device.is_multiple_of(2) => format!("site/{site}/line/{line}/device/{device}/+"),
        1 => format!("site/+/line/{line}/device/{device}/temperature"),
        _ => format!("site/{site}/line/{line}/device/{device}/#"),
    }
}

fn index(size: usize) {
    let filters = shuffled((0..size).map(filter).collect());
    let rss_before = resident_bytes();
    let mut index = SubscriptionIndex::new(1);
    let (add_ns, worst_us) = each(size, |at| {
        let subscriber = Subscriber { key: at as u32, options: 0, subscription_id: 0 };
        index.insert(&filters[at], subscriber);
    });
    let rss = resident_bytes().saturating_sub(rss_before);
    let heap = index.heap_bytes();

    let devices = size / 3;
    let mut random = Random(7);
    let mut topics = |metric: &str, count: usize| -> Vec<String> {
        let topic = |device| {
            let (site, line) = place(device);
            format!("site/{site}/line/{line}/device/{device}/{metric}")
        };
        (0..count).map(|_| topic(random.below(devices))).collect()
    };
    let hot = topics("temperature", BATCH);
    let cold = topics("temperature", BATCH * BATCHES);
    let missing: Vec<String> = topics("temperature", BATCH * BATCHES)
        .iter()
        .map(|topic| topic.replace("line", "cell"))
        .collect();
    let mut out = Vec::new();
    let mut matches = 0;
    let mut route = |topic: &String| {
        out.clear();
        index.route(topic, &mut out);
        matches += black_box(&out).len();
    };
    let hot_ns = median(|_| hot.iter().for_each(&mut route)) / BATCH as f64;
    let cold_ns =
        median(|at| cold[at * BATCH..][..BATCH].iter().for_each(&mut route)) / BATCH as f64;
    let miss_ns =
        median(|at| missing[at * BATCH..][..BATCH].iter().for_each(&mut route)) / BATCH as f64;
    let matches = matches as f64 / (2 * BATCH * BATCHES) as f64;

    let (remove_ns, _) = each(size, |at| _ = index.remove(&filters[at], at as u32));
    assert_eq!(index.heap_bytes(), 0);
    let (heap, rss) = (heap as f64 / size as f64, rss as f64 / size as f64);
    println!(
        "{size:>9}{matches:>9.2}{hot_ns:>9.0}{cold_ns:>9.0}{miss_ns:>9.0}{add_ns:>9.0}\
         {worst_us:>9.0}{remove_ns:>9.0}{heap:>9.1}{rss:>9.1}"
    );
}

fn topic(at: usize) -> String {
    let device = at / 4;
    let (site, line) = place(device);
    let metric = ["temperature", "humidity", "state", "battery"][at % 4];
    format!("site/{site}/line/{line}/device/{device}/{metric}")
}

fn retained(size: usize) {
    let topics = shuffled((0..size).map(topic).collect());
    let message = Arc::new(());
    let rss_before = resident_bytes();
    let mut store = RetainedStore::new(1);
    let (add_ns, worst_us) = each(size, |at| drop(store.insert(&topics[at], Arc::clone(&message))));
    let rss = resident_bytes().saturating_sub(rss_before);
    let heap = store.heap_bytes();

    let mut random = Random(7);
    let cold: Vec<&String> = (0..BATCH * BATCHES).map(|_| &topics[random.below(size)]).collect();
    let get = |topic: &String| assert!(black_box(store.get(topic)).is_some());
    let hot_ns = median(|_| topics[..BATCH].iter().for_each(get)) / BATCH as f64;
    let cold_ns =
        median(|at| cold[at * BATCH..][..BATCH].iter().copied().for_each(get)) / BATCH as f64;

    let mut line = || {
        let (site, line) = place(random.below(size / 100) * 25);
        format!("site/{site}/line/{line}")
    };
    let plus: Vec<String> = (0..BATCHES).map(|_| line() + "/device/+/temperature").collect();
    let multi: Vec<String> = (0..BATCHES).map(|_| line() + "/#").collect();
    let scan = |filter: &str, expected: usize| {
        let mut found = 0;
        let mut visit = |topic: &str, value: &Arc<()>| {
            black_box((topic, value));
            found += 1;
        };
        let end = store.scan(filter, &mut Cursor::default(), 1_000, &mut visit);
        assert_eq!((end, found), (ScanEnd::Done, expected), "{filter}");
    };
    let plus_us = median(|at| scan(&plus[at], 25)) / 1e3;
    let multi_us = median(|at| scan(&multi[at], 100)) / 1e3;

    let (remove_ns, _) = each(size, |at| drop(store.remove(&topics[at])));
    assert_eq!(store.heap_bytes(), 0);
    let (heap, rss) = (heap as f64 / size as f64, rss as f64 / size as f64);
    println!(
        "{size:>9}{hot_ns:>9.0}{cold_ns:>9.0}{plus_us:>9.2}{multi_us:>9.2}{add_ns:>9.0}\
         {worst_us:>9.0}{remove_ns:>9.0}{heap:>9.1}{rss:>9.1}"
    );
}

/// The median time of a batch in nanoseconds; batches are numbered.
fn median(mut batch: impl FnMut(usize)) -> f64 {
    let mut times: Vec<u64> = (0..BATCHES)
        .map(|at| {
            let started = Instant::now();
            batch(at);
            started.elapsed().as_nanos() as u64
        })
        .collect();
    times.sort_unstable();
    times[BATCHES / 2] as f64
}

/// The average time of a step in nanoseconds, and the longest one in microseconds: what a table
/// that grows costs at once.
fn each(steps: usize, mut step: impl FnMut(usize)) -> (f64, f64) {
    let started = Instant::now();
    let mut last = started;
    let mut longest = Duration::ZERO;
    for at in 0..steps {
        step(at);
        let now = Instant::now();
        longest = longest.max(now - last);
        last = now;
    }
    ((last - started).as_nanos() as f64 / steps as f64, longest.as_nanos() as f64 / 1e3)
}

fn shuffled(mut texts: Vec<String>) -> Vec<String> {
    let mut random = Random(3);
    for at in (1..texts.len()).rev() {
        texts.swap(at, random.below(at + 1));
    }
    texts
}

/// A small generator (splitmix64): the same texts in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ word >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ word >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((word ^ word >> 31) % limit as u64) as usize
    }
}

/// The resident set of this process; 0 where the system does not say.
fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
    kib.unwrap_or(0) * 1024
}
