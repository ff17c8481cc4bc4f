//! One `warren up` on one machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use rustix::process::{Pid, Signal};

use crate::{Machine, Outcome, until, within};

/// A running daemon. Dropping it kills it as `kill -9` does.
#[derive(Debug)]
pub struct Daemon {
    machine: Machine,
    child: Child,
    log: PathBuf,
}

impl Daemon {
    pub(crate) fn start(machine: Machine, warren: &Path, arguments: &[&str]) -> Self {
        let log = machine.directory().join("daemon.log");
        // A shell redirects, then becomes the daemon: its process id stays the child's.
        let mut command = Command::new("sh");
        command.args(["-c", r#"log=$1; shift; exec "$@" >>"$log" 2>&1 </dev/null"#, "sh"]);
        command.arg(&log).arg(warren).arg("up").args(arguments);
        command.arg("--state").arg(machine.state()).arg("--socket").arg(machine.socket());
        let level = std::env::var("WARREN_LAB_LOG").unwrap_or_else(|_| "info,warren=debug".to_owned());
        command.env("RUST_LOG", level);
        let child = machine.spawn(&command);
        Self { machine, child, log }
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its machine.
    #[must_use]
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// Everything it has said, and those before it on this machine.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until it answers `warren status`.
    ///
    /// # Panics
    ///
    /// When it ends instead, or takes longer than `limit`.
    #[must_use]
    pub fn ready(mut self, limit: Duration) -> Self {
        until(limit, "the daemon answers `warren status`", || {
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("the daemon of {} ended with {status}:\n{}", self.machine.name(), self.log());
            }
            self.machine
                .socket()
                .exists()
                .then(|| self.machine.warren(&["status", "--json"]))?
                .succeeded()
                .then_some(())
        });
        self
    }

    /// Waits for its end by itself, as when it refuses to start.
    ///
    /// # Panics
    ///
    /// When it is still there after `limit`.
    #[must_use]
    pub fn ends(mut self, limit: Duration) -> Outcome {
        let status = self.wait(limit);
        let log = self.log();
        let command = format!("{}$ warren up", self.machine.name());
        Outcome { command, code: status.code(), stdout: String::new(), stderr: log }
    }

    /// Asks it to stop by SIGTERM and waits until it has cleaned up.
    ///
    /// # Panics
    ///
    /// When it does not end within `limit`, or not with success.
    pub fn stop(mut self, limit: Duration) {
        self.signal(Signal::TERM);
        let status = self.wait(limit);
        assert!(
            status.success(),
            "the daemon of {} ended with {status}:\n{}",
            self.machine.name(),
            self.log()
        );
    }

    /// Ends it as a power cut would.
    pub fn kill(mut self) {
        self.signal(Signal::KILL);
        let _ = self.wait(Duration::from_secs(5));
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // It may have ended by itself.
            let _ = rustix::process::kill_process(pid, signal);
        }
    }

    /// Stops its time, as closing the lid does.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// How many files it has open, sockets included.
    #[must_use]
    pub fn open_files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).map_or(0, Iterator::count)
    }

    /// Lets it open this many files and no more.
    pub fn limit_files(&self, most: usize) {
        let (pid, limit) = (self.child.id().to_string(), format!("--nofile={most}"));
        let _ = self.machine.run("prlimit", &["--pid", &pid, &limit]).expect_success();
    }

    /// The processor time it has used.
    #[must_use]
    pub fn processor_time(&self) -> Option<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).ok()?;
        // The name, in parentheses, may have spaces in it.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks: u64 = [11, 12].iter().filter_map(|at| fields.get(*at)?.parse::<u64>().ok()).sum();
        Some(Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second()))
    }

    /// Its resident memory in KiB, as the kernel counts it.
    #[must_use]
    pub fn resident_kib(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.split_whitespace().next()?.parse().ok()
    }

    fn wait(&mut self, limit: Duration) -> ExitStatus {
        let ended = within(limit, || self.child.try_wait().ok().flatten());
        match ended {
            Some(status) => status,
            None => {
                panic!("the daemon of {} still runs after {limit:?}:\n{}", self.machine.name(), self.log())
            }
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
