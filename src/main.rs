//! The program: everything is in the library, so that tests and examples can use it too.

use std::process::ExitCode;

fn main() -> ExitCode {
    warren::cli::main(|config, code, ui| Box::pin(warren::daemon::run(config, code, ui)))
}
