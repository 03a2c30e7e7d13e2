//! Programs of others that the tests need: looked for, and installed when missing.
//!
//! Owns the way to install. A program that is missing after that is an error, never a skipped test.

use std::path::{Path, PathBuf};

use crate::Result;
use crate::project::Project;
use crate::shell::shell;

/// Makes sure that `program` is there; `packages` are Debian's packages that bring it.
pub(crate) fn need(program: &str, packages: &[&str]) -> Result {
    if find(program).is_some() {
        return Ok(());
    }
    let list = packages.join(" ");
    let missing = format!("{program} is missing; install {list} (Debian's names) and try again");
    if find("apt-get").is_none() {
        return Err(missing);
    }
    apt(&["update", "--quiet"]).map_err(|error| format!("{missing}: {error}"))?;
    let mut words = vec!["install", "--quiet", "--yes", "--no-install-recommends"];
    words.extend(packages);
    apt(&words).map_err(|error| format!("{missing}: {error}"))?;
    find(program).map(|_| ()).ok_or(missing)
}

/// The path of a program, from `PATH` and the folders where daemons live.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders =
        std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// The python of a virtual environment that holds what `requirements` (a path from the root) asks
/// for.
pub(crate) fn python(project: &Project, requirements: &str) -> Result<PathBuf> {
    need("python3", &["python3", "python3-venv"])?;
    let folder = project.target.join("python");
    let python = folder.join("bin/python");
    let wanted = project.read(requirements)?;
    let stamp = folder.join("requirements.installed");
    if python.is_file() && std::fs::read_to_string(&stamp).is_ok_and(|text| text == wanted) {
        return Ok(python);
    }
    if !shell("python3").args(["-c", "import ensurepip, venv"]).succeeds() {
        apt(&["update", "--quiet"])?;
        apt(&["install", "--quiet", "--yes", "--no-install-recommends", "python3-venv"])?;
    }
    shell("python3").args(["-m", "venv", "--clear"]).args([&folder]).run()?;
    let file = project.root.join(requirements);
    shell(&python)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"])
        .args([&file])
        .run()?;
    std::fs::write(&stamp, wanted).map_err(|error| format!("{stamp:?}: {error}"))?;
    Ok(python)
}

/// Installs what the package-lock.json in `folder` pins, unless it is there already.
pub(crate) fn node_modules(folder: &Path) -> Result {
    need("node", &["nodejs", "npm"])?;
    need("npm", &["npm"])?;
    let read = |name: &str| std::fs::read_to_string(folder.join(name));
    let wanted = read("package-lock.json").map_err(|error| format!("{folder:?}: {error}"))?;
    let stamp = "node_modules/lock.installed";
    if read(stamp).is_ok_and(|text| text == wanted) {
        return Ok(());
    }
    shell("npm").args(["ci", "--no-audit", "--no-fund", "--silent"]).within(folder).run()?;
    std::fs::write(folder.join(stamp), wanted).map_err(|error| format!("{folder:?}: {error}"))
}

/// Calls apt-get, by way of sudo when there is one and it is needed.
fn apt(words: &[&str]) -> Result {
    let is_root = shell("id").args(["-u"]).quiet().output()?.trim() == "0";
    let call = if is_root { shell("apt-get") } else { shell("sudo").args(["-n", "apt-get"]) };
    // RUNLEVEL: a package that brings a daemon must not start it.
    call.args(words).env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1").run()
}
