//! The program: everything is in the library, so that tests and examples can use it too.

use std::process::ExitCode;

use warren::control::{Cause, Failure};

fn main() -> ExitCode {
    warren::cli::main(|_config, _code, _ui| {
        Box::pin(async { Err(Failure::new(Cause::Failed, "this build has no daemon yet")) })
    })
}
