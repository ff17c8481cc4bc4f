//! The command line: what was typed, what it does, what it prints, how it ends.
//!
//! [`args`] holds what can be typed and nothing else. Each command is a file with a `run` that asks the
//! daemon through [`Client`] and prints through [`Printer`]; only `up` runs a daemon, and it is handed
//! in by `main`. Failures come back as values; [`exit_code`] gives each its number.
//!
//! Data goes to stdout and everything else to stderr, so `code=$(warren invite)` is all a script needs.
//! Nothing asks questions: every command does the same with and without a terminal.

mod allow;
pub mod args;
mod background;
mod code;
mod doctor;
mod down;
pub mod exit_code;
mod invite;
mod join;
mod leave;
mod live;
mod netcheck;
pub mod output;
mod peers;
mod ping;
mod qr;
mod status;
mod up;
pub mod values;

use std::process::ExitCode;
use std::sync::Arc;

use clap::{CommandFactory as _, FromArgMatches as _};
use futures::future::BoxFuture;

use crate::config::{Config, file, paths};
use crate::control::client::Client;
use crate::control::{Cause, Failure, Notice, Result};
use crate::logging;
use args::{Arguments, Command, Everywhere};
use output::Printer;

/// How the daemon tells its terminal what happens.
pub type Ui = Arc<dyn Fn(Notice) + Send + Sync>;

/// Runs a daemon until it is told to stop; `main` passes the real one, so that no command names it.
pub type Daemon = fn(Config, Option<String>, Ui) -> BoxFuture<'static, Result<()>>;

/// The whole program: reads the arguments, does what they say, and returns the exit code.
pub fn main(daemon: Daemon) -> ExitCode {
    let arguments = match read_arguments() {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    let printer = Printer::new(arguments.everywhere.json);
    output::finish(printer, &run(arguments, printer, daemon))
}

fn read_arguments() -> std::result::Result<Arguments, ExitCode> {
    let typed: Vec<_> = std::env::args_os().collect();
    // Before parsing, for the error of a wrong argument is text too.
    let printer = Printer::new(typed.iter().any(|argument| argument == "--json"));
    let complain = |error: clap::Error| {
        printer.arguments(&error);
        if error.use_stderr() {
            ExitCode::from(exit_code::exit_code(Cause::Misuse))
        } else {
            ExitCode::SUCCESS
        }
    };
    let matches = Arguments::command().try_get_matches_from(&typed).map_err(complain)?;
    if let Err(failure) = code::leave_the_process_list(&typed, &matches) {
        return Err(output::finish(printer, &Err(failure)));
    }
    Arguments::from_arg_matches(&matches).map_err(complain)
}

fn run(arguments: Arguments, printer: Printer, daemon: Daemon) -> Result<()> {
    let Arguments { everywhere, command } = arguments;
    let command = command.unwrap_or(Command::Status);
    let is_daemon = matches!(&command, Command::Up(up) if !up.detach);
    let source = if is_daemon { up::log_source(printer) } else { logging::Source::Client };
    let form = match printer.is_json() {
        true => logging::Form::Json,
        false => logging::Form::Human { colour: printer.colours_stderr() },
    };
    logging::start(everywhere.log.as_deref(), source, form)
        .map_err(|message| Failure::new(Cause::Misuse, message))?;
    let mut runtime = match is_daemon {
        true => tokio::runtime::Builder::new_multi_thread(),
        false => tokio::runtime::Builder::new_current_thread(),
    };
    let runtime = runtime
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Cause::Failed, format!("cannot start: {error}")))?;
    let outcome = runtime.block_on(dispatch(everywhere, command, printer, daemon));
    // Whatever still blocks a thread (reading stdin, say) must not hold up the end.
    runtime.shutdown_background();
    outcome
}

async fn dispatch(everywhere: Everywhere, command: Command, printer: Printer, daemon: Daemon) -> Result<()> {
    let client = || Client::new(socket(&everywhere));
    match command {
        Command::Up(up) => up::run(*up, &everywhere, printer, daemon).await,
        Command::Down => down::run(&client(), printer).await,
        Command::Leave => leave::run(&client(), printer).await,
        Command::Join(join) => join::run(join, &client(), printer).await,
        Command::Invite(invite) => invite::run(invite, &client(), printer).await,
        Command::Peers(peers) => peers::run(&peers, &client(), printer).await,
        Command::Status => status::run(&client(), printer).await,
        Command::Netcheck => netcheck::run(&client(), printer).await,
        Command::Doctor(doctor) => doctor::run(&doctor, &client(), printer).await,
        Command::Ping(ping) => ping::run(&ping, &client(), printer).await,
        Command::Allow(change) => allow::run(change, true, &client(), printer).await,
        Command::Deny(change) => allow::run(change, false, &client(), printer).await,
    }
}

/// Where the daemon answers: as told, else as the usual configuration file says, else the usual place.
fn socket(everywhere: &Everywhere) -> std::path::PathBuf {
    let from_file = || file::read(None).ok().and_then(|file| file.socket);
    everywhere.socket.clone().or_else(from_file).unwrap_or_else(|| paths::SOCKET.into())
}
