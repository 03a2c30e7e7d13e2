//! `cargo xtask clients`: programs of others, and a suite of our own, against the built broker.
//!
//! Owns the installation of what they need and the start of the broker. The cases are in tests/.

use std::path::PathBuf;
use std::time::Duration;

use crate::Result;
use crate::args::Args;
use crate::project::Project;
use crate::shell::{Running, free_port, shell};
use crate::tools;

/// What the whole suite may take.
const LIMIT: Duration = Duration::from_secs(240);
/// Ports tried first.
const PORT: u16 = 22_001;

/// `cargo xtask clients`.
pub(crate) fn command(project: &Project, args: Args) -> Result {
    args.end()?;
    check(project)
}

/// `cargo xtask conformance`.
pub(crate) fn conformance(project: &Project, args: Args) -> Result {
    args.end()?;
    check_conformance(project)
}

/// The release build of the one executable.
pub(crate) fn build(project: &Project) -> Result<PathBuf> {
    project.cargo().args(["build", "--quiet", "--release", "-p", "martlet"]).run()?;
    Ok(project.target.join("release/martlet"))
}

/// Starts the broker on a free port with new data; dropping it ends it. `memory`: without a store.
pub(crate) fn serve(
    project: &Project,
    shards: Option<u32>,
    memory: bool,
) -> Result<(Running, u16)> {
    let program = build(project)?;
    let port = free_port(PORT)?;
    let log = project.work_folder("logs")?.join(format!("martlet-{port}.log"));
    let mut call = shell(program).args(["serve", "-p", &port.to_string()]);
    if memory {
        call = call.args(["--durability", "memory"]);
    } else {
        call = call.args(["--data"]).args([project.empty_folder(&format!("data-{port}"))?]);
    }
    if let Some(shards) = shards {
        call = call.args(["--shards", &shards.to_string()]);
    }
    let mut broker = call.start(&log)?;
    broker.listens(port)?;
    Ok((broker, port))
}

/// Our black-box cases, which need nothing but Python. Neither the number of shards nor the store
/// must show.
pub(crate) fn check_conformance(project: &Project) -> Result {
    tools::need("python3", &["python3"])?;
    for (shards, memory) in [(1, false), (2, false), (8, false), (2, true)] {
        let (mut broker, port) = serve(project, Some(shards), memory)?;
        let result = shell("python3")
            .args(["tests/conformance/run.py", "--port", &port.to_string()])
            .within(&project.root)
            .run_at_most(LIMIT);
        broker.outlives(result)?;
    }
    Ok(())
}

/// Mosquitto's clients, paho-mqtt, mqtt.js and rumqttc.
pub(crate) fn check(project: &Project) -> Result {
    tools::need("mosquitto_pub", &["mosquitto-clients"])?;
    let python = tools::python(project, "tests/clients/requirements.txt")?;
    tools::node_modules(&project.root.join("tests/clients/mqttjs"))?;
    for shards in [None, Some(1)] {
        let (mut broker, port) = serve(project, shards, false)?;
        let result = shell(&python)
            .args(["tests/clients/run.py", "--port", &port.to_string()])
            .env("CARGO_TARGET_DIR", project.target.join("clients"))
            .within(&project.root)
            .run_at_most(LIMIT);
        broker.outlives(result)?;
    }
    Ok(())
}
