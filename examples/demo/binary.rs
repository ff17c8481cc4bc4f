//! Finding, or building, the `warren` that belongs to this demo.

use std::path::PathBuf;
use std::process::Command;

/// The path of the binary, built from the same tree with the same profile.
pub(crate) fn warren() -> Result<PathBuf, String> {
    let demo = std::env::current_exe().map_err(|error| format!("cannot find myself: {error}"))?;
    let profile =
        demo.parent().and_then(|examples| examples.parent()).ok_or("cannot find the target directory")?;
    let warren = profile.join("warren");
    // Cargo tells programs it runs where it is; with it the binary is never missing and never stale.
    if let Some(cargo) = std::env::var_os("CARGO") {
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "--bin", "warren", "--manifest-path"]);
        build.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
        if let Some(target) = profile.parent() {
            build.arg("--target-dir").arg(target);
        }
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        let status = build.status().map_err(|error| format!("cannot run cargo: {error}"))?;
        if !status.success() {
            return Err("warren does not build".to_owned());
        }
    }
    if warren.exists() {
        Ok(warren)
    } else {
        Err(format!("there is no {}; build it with `cargo build --release`", warren.display()))
    }
}
