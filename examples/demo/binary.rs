//! The demo is `warren` too, under that name: so nothing is built twice, and what it shows is never stale.

use std::path::PathBuf;
use std::process::ExitCode;
use std::{env, fs, io};

const NAME: &str = "warren";

/// What `warren` does, if this process was started by that name.
pub(crate) fn as_warren() -> Option<ExitCode> {
    let name = env::current_exe().ok()?;
    (name.file_name()? == NAME)
        .then(|| warren::cli::main(|config, code, ui| Box::pin(warren::daemon::run(config, code, ui))))
}

/// This program by the name `warren`, beside itself.
pub(crate) fn warren() -> io::Result<PathBuf> {
    let demo = env::current_exe()?;
    let warren = demo.with_file_name(NAME);
    match fs::remove_file(&warren) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    fs::hard_link(&demo, &warren)?;
    Ok(warren)
}
