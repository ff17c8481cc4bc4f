//! `warren up --detach`: the same program as a child in a session of its own.
//!
//! The child tells its story as JSON lines on a pipe until it is ready; the parent repeats it to the
//! terminal, then lets go of the pipe. A failure comes down the same pipe and becomes the parent's.
//! The invite code goes to the child by stdin, so it is in no process list and no environment.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};

use super::live::{Live, Voice};
use super::output::{Printer, Style};
use super::{Daemon, code};
use crate::config::{Config, paths};
use crate::control::client::Client;
use crate::control::{Cause, Failure, Notice, Result};

/// One line of the child.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Line {
    Failed { error: Failure },
    Told(Notice),
}

/// The parent: starts the child and waits until it is ready.
pub(super) async fn start(
    config: &Config,
    code: Option<String>,
    client: Client,
    printer: Printer,
) -> Result<()> {
    paths::make_private_dir(&config.state)?;
    let (log_path, log) = open_log(&config.state)?;
    let mut child = spawn(code.is_some(), log)?;
    if let (Some(code), Some(mut stdin)) = (code, child.stdin.take()) {
        // A child that is gone already has said why on the other pipe.
        let _ = stdin.write_all(code.as_bytes()).await;
    }
    let live = Live::new(printer, Voice::Terminal, client);
    let ready = tokio::select! {
        ready = follow(&mut child, &live, &log_path) => ready,
        _ = tokio::signal::ctrl_c() => Err(give_up(&mut child).await),
    };
    if ready? {
        live.offer_first_invite().await;
    }
    printer.remark(format_args!(
        "warren runs in the background; {} stops it; its log is {}",
        printer.err("sudo warren down", Style::Bold),
        log_path.display(),
    ));
    Ok(())
}

/// The child: leaves the terminal's session, and tells its story on stdout until it is ready.
pub(super) async fn run(config: Config, code: Option<String>, daemon: Daemon) -> Result<()> {
    // It fails only for a leader of a group, who is in no need of it.
    let _ = rustix::process::setsid();
    std::env::set_current_dir("/")
        .map_err(|error| Failure::new(Cause::Failed, format!("cannot go to /: {error}")))?;
    let pipe = Printer::new(true).for_a_daemon();
    let told = Arc::new(AtomicBool::new(false));
    let log = Live::new(Printer::new(false).for_a_daemon(), Voice::Log, Client::new(&config.socket));
    let story = {
        let told = Arc::clone(&told);
        Arc::new(move |notice: Notice| {
            if !told.load(Ordering::Relaxed) {
                pipe.json(&notice);
            }
            if matches!(notice, Notice::Ready { .. }) {
                told.store(true, Ordering::Relaxed);
            }
            log.note(&notice);
        })
    };
    let outcome = daemon(config, code, story).await;
    if let Err(failure) = &outcome
        && !told.load(Ordering::Relaxed)
    {
        pipe.json(&serde_json::json!({ "error": failure }));
    }
    outcome
}

/// Repeats the child's story until it is ready; true when it wants a first invite.
async fn follow(child: &mut Child, live: &Live, log: &Path) -> Result<bool> {
    let ended = || {
        Failure::new(Cause::Failed, "the daemon ended before it was ready")
            .hint(format!("its log is {}", log.display()))
    };
    let mut lines = BufReader::new(child.stdout.take().ok_or_else(ended)?).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        match serde_json::from_str(&line) {
            Ok(Line::Failed { error }) => return Err(error),
            Ok(Line::Told(notice)) => {
                let invite = live.note(&notice);
                if matches!(notice, Notice::Ready { .. }) {
                    return Ok(invite);
                }
            }
            Err(_) => return Err(ended()),
        }
    }
    Err(ended())
}

/// Ctrl+C while waiting: nothing shall be half-made.
async fn give_up(child: &mut Child) -> Failure {
    if let Some(pid) = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw) {
        // Gone already is as good.
        let _ = kill_process(pid, Signal::TERM);
    }
    let _ = child.wait().await;
    Failure::new(Cause::Failed, "interrupted; the daemon was stopped again")
}

fn spawn(with_code: bool, log: File) -> Result<Child> {
    let failed = |error| Failure::new(Cause::Failed, format!("cannot start the daemon: {error}"));
    let ours = ["-d", "--detach", "-"].map(OsString::from);
    let kept = std::env::args_os().skip(1).filter(|argument| !ours.contains(argument));
    let mut command = Command::new(std::env::current_exe().map_err(failed)?);
    command.args(kept).arg("--detached").env_remove(code::VARIABLE);
    if with_code {
        command.arg("-");
    }
    let stdin = if with_code { Stdio::piped() } else { Stdio::null() };
    command.stdin(stdin).stdout(Stdio::piped()).stderr(log).kill_on_drop(false).spawn().map_err(failed)
}

/// A fresh log, mode 0600; the one before it is kept.
fn open_log(state: &Path) -> Result<(PathBuf, File)> {
    let path = state.join("warren.log");
    // There is none the first time.
    let _ = fs::rename(&path, state.join("warren.log.old"));
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
    file.map(|file| (path.clone(), file)).map_err(|source| Failure::io(path.display(), &source))
}
