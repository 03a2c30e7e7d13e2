//! `martlet serve`: from arguments to a running broker, the first-run screen, and the end by a
//! signal. Must not know how the broker works.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use martlet_broker::{
    Bind, Broker, Durability, Interrupted, LogLevel, ServeConfig, Signals, StoreConfig,
};

use crate::args::{BindAddress, MQTT_PORT, ServeArguments};
use crate::data_dir::default_data_dir;
use crate::exit;

/// Runs the broker until a signal ends it.
pub(crate) fn run(arguments: &ServeArguments) -> ExitCode {
    let binds = binds(arguments);
    if let Some(open) = open_to_others(&binds)
        && !arguments.allow_anonymous
    {
        complain(&refusal(open));
        return exit::code(exit::BAD_CONFIGURATION);
    }
    // Before the first client can connect: a signal is never lost.
    let interruptions = match Interruptions::watch() {
        Ok(interruptions) => interruptions,
        Err(error) => {
            complain(&format!("cannot catch signals: {error}"));
            return exit::code(exit::OTHER);
        }
    };
    // Without it the broker works, with fewer connections.
    let descriptors = martlet_broker::raise_descriptor_limit();
    let mut config = ServeConfig::new(binds);
    config.log_level = match (arguments.quiet, arguments.verbose) {
        (true, _) => LogLevel::Quiet,
        (_, true) => LogLevel::Verbose,
        _ => LogLevel::Normal,
    };
    if let Some(shards) = arguments.shards {
        config.shards = shards;
    }
    set_queue_bounds(&mut config, arguments);
    match store(arguments) {
        Ok(store) => config.store = store,
        Err(error) => {
            complain(&error);
            return exit::code(exit::BAD_CONFIGURATION);
        }
    }
    let broker = match Broker::start(&config) {
        Ok(broker) => broker,
        Err(error) => {
            complain(&error.to_string());
            return exit::code(exit::BAD_CONFIGURATION);
        }
    };
    interruptions.broker_runs();
    for address in broker.missing() {
        let ip = address.ip();
        complain(&format!("warning: this machine has no address {ip}: not listening there"));
    }
    if !arguments.quiet {
        let mut screen = greeting(broker.addresses(), config.store.as_ref());
        if arguments.verbose {
            let shards = config.shards;
            let limit = descriptors.map_or_else(|error| error.to_string(), |n| n.to_string());
            let _ = writeln!(screen, "  {shards} shards, at most {limit} open files");
        }
        // For people and for scripts that look for the port. Nobody may be reading: that is no
        // reason not to serve.
        let mut stdout = std::io::stdout().lock();
        let _ = stdout.write_all(screen.as_bytes()).and_then(|()| stdout.flush());
    }
    interruptions.wait();
    if !broker.stop() {
        complain("the disk did not take everything in time: what was not acknowledged may be lost");
    }
    ExitCode::SUCCESS
}

/// Where durable state is kept, and how.
fn store(arguments: &ServeArguments) -> Result<Option<StoreConfig>, String> {
    let Some(durability) = arguments.durability.0 else { return Ok(None) };
    let dir = arguments.data.clone().or_else(default_data_dir);
    let dir = dir.ok_or(
        "there is no home directory to keep data in: give a directory with --data, or \
         --durability memory",
    )?;
    Ok(Some(StoreConfig::new(dir, durability)))
}

/// The bounds of queues that were given; those in all are shared out over the shards.
fn set_queue_bounds(config: &mut ServeConfig, arguments: &ServeArguments) {
    let shards = usize::from(config.shards.max(1));
    let limits = &mut config.limits;
    if let Some(messages) = arguments.queue_messages_max {
        limits.queue_messages_max = messages;
        limits.stored_queue_messages_max = messages;
    }
    if let Some(bytes) = arguments.queue_bytes_max {
        limits.queue_bytes_max = bytes;
        limits.stored_queue_bytes_max = bytes;
    }
    if let Some(bytes) = arguments.queues_bytes_max {
        limits.queues_bytes_max = bytes / shards;
        limits.stored_queues_bytes_max = bytes / shards;
    }
    limits.queue_full = arguments.queue_full;
}

/// TERM or INT stops in an orderly way; INT once more (or again after TERM) ends at once. So does
/// the first of them during the start, which may take its time: nobody was promised anything yet.
struct Interruptions {
    runs: Arc<AtomicBool>,
    first: Receiver<()>,
}

impl Interruptions {
    fn watch() -> io::Result<Self> {
        let mut signals = Signals::catch()?;
        let runs = Arc::new(AtomicBool::new(false));
        let (tell, first) = mpsc::channel();
        let watched = Arc::clone(&runs);
        let thread = thread::Builder::new().name("martlet-signals".to_owned());
        thread.spawn(move || {
            signals.wait();
            if !watched.load(Ordering::Acquire) {
                std::process::exit(0);
            }
            let _ = tell.send(());
            while signals.wait() != Interrupted::Interrupt {}
            std::process::exit(i32::from(exit::INTERRUPTED));
        })?;
        Ok(Self { runs, first })
    }

    /// From now on there is something to be stopped.
    fn broker_runs(&self) {
        self.runs.store(true, Ordering::Release);
    }

    /// Until the first signal.
    fn wait(&self) {
        let _ = self.first.recv();
    }
}

/// Where to listen. IPv6's loopback is left out where the machine has none, unless it was asked for
/// by address.
fn binds(arguments: &ServeArguments) -> Vec<Bind> {
    let chosen = match &arguments.bind[..] {
        [] => &[BindAddress::Localhost],
        chosen => chosen,
    };
    let mut binds: Vec<Bind> = Vec::new();
    for bind in chosen {
        for address in bind.addresses(arguments.port) {
            let optional = *bind == BindAddress::Localhost && address.is_ipv6();
            if !binds.iter().any(|bind| bind.address == address) {
                binds.push(Bind { address, optional });
            }
        }
    }
    binds
}

/// The first address that programs on other machines can reach.
fn open_to_others(binds: &[Bind]) -> Option<SocketAddr> {
    binds.iter().map(|bind| bind.address).find(|address| !address.ip().is_loopback())
}

/// Why it does not listen there, and what can be done.
fn refusal(address: SocketAddr) -> String {
    let ip = address.ip();
    format!(
        "not listening on {address}: everybody who can reach this machine could connect without a \
         password\n  \
         for programs on this machine only:   martlet serve\n  \
         to let everybody in all the same:    martlet serve --bind {ip} --allow-anonymous"
    )
}

/// The first-run screen: where it listens, who can connect, what to try.
fn greeting(addresses: &[SocketAddr], store: Option<&StoreConfig>) -> String {
    let listeners: Vec<_> = addresses.iter().map(SocketAddr::to_string).collect();
    let local = addresses.iter().all(|address| address.ip().is_loopback());
    let mut screen = String::new();
    let mut line = |text: &str| {
        screen.push_str(text);
        screen.push('\n');
    };
    let data = match store {
        None => "in memory only".to_owned(),
        Some(StoreConfig { dir, durability: Durability::Sync, .. }) => dir.display().to_string(),
        Some(StoreConfig { dir, durability: Durability::Interval(length), .. }) => {
            format!("{} (synced every {length:?})", dir.display())
        }
    };
    let version = env!("CARGO_PKG_VERSION");
    line(&format!("martlet {version}  data {data}  config none (built-in defaults)"));
    let who = if local { "this machine only" } else { "from everywhere" };
    line(&format!("  mqtt   {}    anonymous allowed ({who})", listeners.join(", ")));
    line(if local {
        "Only programs on this machine can connect."
    } else {
        "Everybody who can reach this machine can connect, read and publish."
    });
    let port = match addresses[0].port() {
        MQTT_PORT => String::new(),
        port => format!(" -p {port}"),
    };
    let host = match addresses[0].ip() {
        ip if ip.is_loopback() || ip.is_unspecified() => String::new(),
        ip => format!(" -h {ip}"),
    };
    line(&format!(
        "Try:  martlet sub{host}{port} -t '#' -v      martlet pub{host}{port} -t hello -m world"
    ));
    screen
}

/// One complaint on standard error.
fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "martlet: {text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn the_first_screen() {
        let version = env!("CARGO_PKG_VERSION");
        let expected = format!(
            "martlet {version}  data in memory only  config none (built-in defaults)\n  \
             mqtt   127.0.0.1:1883, [::1]:1883    anonymous allowed (this machine only)\n\
             Only programs on this machine can connect.\n\
             Try:  martlet sub -t '#' -v      martlet pub -t hello -m world\n"
        );
        assert_eq!(greeting(&addresses(&["127.0.0.1:1883", "[::1]:1883"]), None), expected);
    }

    #[test]
    fn the_first_screen_tells_other_ports_and_open_doors() {
        let sync = StoreConfig::new("/data/mqtt", Durability::Sync);
        let screen = greeting(&addresses(&["0.0.0.0:2000"]), Some(&sync));
        assert!(screen.contains("  data /data/mqtt  config"));
        assert!(screen.contains("0.0.0.0:2000    anonymous allowed (from everywhere)"));
        assert!(screen.contains("martlet sub -p 2000 -t"));
        assert!(!screen.contains("Only programs"));
        assert!(greeting(&addresses(&["10.0.0.1:1883"]), None).contains("pub -h 10.0.0.1 -t"));
    }

    #[test]
    fn loopback_is_the_only_address_that_needs_no_choice() {
        let bind = |text: &str| [Bind::required(text.parse().unwrap())];
        for local in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1"] {
            assert_eq!(open_to_others(&bind(local)), None, "{local}");
        }
        for open in ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "[fe80::1]:1"] {
            assert!(open_to_others(&bind(open)).is_some(), "{open}");
        }
        let text = refusal("0.0.0.0:1883".parse().unwrap());
        assert!(text.contains("--bind 0.0.0.0 --allow-anonymous"));
    }
}
