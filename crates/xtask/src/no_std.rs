//! `cargo xtask no-std`: martlet-proto needs neither std nor alloc.
//!
//! Owns the proof. A program with a panic handler of its own and without an allocator is linked
//! with martlet-proto and run: were std in it, there would be two panic handlers; were alloc in it,
//! the allocator would be missing. Either does not compile.

use crate::Result;
use crate::args::Args;
use crate::project::Project;
use crate::shell::shell;

/// The program, a package of its own so that nobody else's features reach it.
const MANIFEST: &str = "crates/xtask/no-std/Cargo.toml";

/// `cargo xtask no-std`.
pub(crate) fn command(project: &Project, args: Args) -> Result {
    args.end()?;
    check(project)
}

/// Builds and runs the program; also checks the crate alone with warnings denied.
pub(crate) fn check(project: &Project) -> Result {
    project
        .cargo()
        .args(["clippy", "--quiet", "-p", "martlet-proto", "--no-default-features"])
        .args(["--", "-D", "warnings"])
        .run()?;
    let folder = project.work_folder("no-std")?;
    project
        .cargo()
        .args(["build", "--quiet", "--locked", "--release", "--manifest-path", MANIFEST])
        .env("CARGO_TARGET_DIR", &folder)
        .run()?;
    shell(folder.join("release/no-std")).run()?;
    println!("no-std: martlet-proto decodes and encodes in a program without std and alloc");
    Ok(())
}
