//! `warren up`: checks everything that can be checked, then runs the daemon here or in the background.

use std::fs;
use std::path::{Path, PathBuf};

use super::args::{Everywhere, Up};
use super::live::{Live, Voice};
use super::output::{Printer, Style};
use super::{Daemon, background, code, join, status};
use crate::config::resolve::{Overrides, resolve};
use crate::config::{Config, file};
use crate::control::client::Client;
use crate::control::{JoinRequest, Result};
use crate::host::check;
use crate::logging::Source;

pub(super) async fn run(up: Up, everywhere: &Everywhere, printer: Printer, daemon: Daemon) -> Result<()> {
    let code = code::read(&up.code)?;
    let config = settle(&up, everywhere)?;
    let client = Client::new(&config.socket);
    if !up.detached && client.is_alive().await {
        return already_on(code, up.name, &client, printer).await;
    }
    check::may_make_a_tunnel(&again(code.is_some()))?;
    if up.detach {
        return background::start(&config, code, client, printer).await;
    }
    if up.detached {
        return background::run(config, code, daemon).await;
    }
    let voice = if is_terminal() { Voice::Terminal } else { Voice::Log };
    let live = Live::new(printer.for_a_daemon(), voice, client);
    let outcome = daemon(config, code, live.listener()).await;
    if outcome.is_ok() {
        live.say("warren is off; this machine is as it was before");
    }
    outcome
}

/// A terminal shows the story, with warnings in between; a log gets all of it.
pub(super) fn log_source(printer: Printer) -> Source {
    if is_terminal() && !printer.is_json() { Source::Client } else { Source::Daemon }
}

fn is_terminal() -> bool {
    std::io::IsTerminal::is_terminal(&std::io::stderr())
}

/// Puts flags, environment, file and defaults together; paths become absolute, for a daemon moves to `/`.
fn settle(up: &Up, everywhere: &Everywhere) -> Result<Config> {
    let file = file::read(up.config.as_deref())?;
    let flags = Overrides {
        state: up.state.clone(),
        socket: everywhere.socket.clone(),
        port: up.port,
        tun: up.tun.clone(),
        no_mdns: up.no_mdns,
        no_port_mapping: up.no_port_mapping,
        name: up.name.clone(),
        mesh: up.mesh.clone(),
    };
    let hostname = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let config = resolve(flags, file, hostname.trim())?;
    Ok(Config { state: absolute(&config.state), socket: absolute(&config.socket), ..config })
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

/// A daemon runs: a code is for it, and without one there is nothing to do.
async fn already_on(
    code: Option<String>,
    name: Option<String>,
    client: &Client,
    printer: Printer,
) -> Result<()> {
    let status = client.status().await?;
    if let Some(code) = code {
        let steps = client.join(&JoinRequest { code, name }).await?;
        return join::follow(steps, printer).await;
    }
    let mesh = match &status.mesh {
        Some(mesh) => format!("in the mesh {}", printer.err(&mesh.name, Style::Bold)),
        None => "in no mesh".to_owned(),
    };
    printer.json(&status);
    printer.remark(format_args!("warren is already on, {mesh}"));
    for line in status::lines(&status, printer) {
        printer.line(line);
    }
    Ok(())
}

/// The command to type again with more rights. The code is a secret and stands there as `CODE`.
fn again(with_code: bool) -> String {
    let mut words: Vec<String> = std::env::args().map(|word| quote(&word)).collect();
    if with_code && !words.iter().any(|word| word == "-") {
        words.push("CODE".to_owned());
    }
    words.join(" ")
}

/// A word as a shell takes it back.
fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_quoted_when_a_shell_would_change_it() {
        assert_eq!(quote("--state=./x"), "--state=./x");
        assert_eq!(quote("my nas"), "'my nas'");
        assert_eq!(quote("it's"), r"'it'\''s'");
        assert_eq!(quote(""), "''");
    }
}
