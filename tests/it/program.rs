//! Runs the real binary with nothing of this machine's settings, and collects what it says.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// The binary with a home of its own: state, socket and configuration are in a folder that goes away.
pub(crate) struct Program {
    pub(crate) dir: TempDir,
}

/// What a run came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Program {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("socket")
    }

    /// A configuration file with this text.
    pub(crate) fn config(&self, text: &str) -> PathBuf {
        use std::io::Write as _;
        let path = self.dir.path().join("warren.toml");
        std::fs::File::create(&path).unwrap().write_all(text.as_bytes()).unwrap();
        path
    }

    pub(crate) fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_warren"));
        self.settle(&mut command);
        command.args(arguments);
        command
    }

    /// The same without any right that root has; the user stays the same.
    pub(crate) fn powerless<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let is_root = rustix::process::geteuid().is_root();
        if !is_root {
            return self.command(arguments);
        }
        let mut command = Command::new("setpriv");
        self.settle(&mut command);
        let none = ["--bounding-set=-all", "--inh-caps=-all", env!("CARGO_BIN_EXE_warren")];
        command.args(none).args(arguments);
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Outcome {
        self.finish(self.command(arguments))
    }

    pub(crate) fn run_with_stdin(&self, arguments: &[&str], text: &str) -> Outcome {
        use std::io::Write as _;
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        self.outcome(&child.wait_with_output().unwrap())
    }

    pub(crate) fn finish(&self, mut command: Command) -> Outcome {
        self.outcome(&command.stdin(Stdio::null()).output().unwrap())
    }

    fn settle(&self, command: &mut Command) {
        let path = std::env::var_os("PATH").unwrap_or_default();
        command
            .env_clear()
            .env("PATH", path)
            .env("WARREN_SOCKET", self.socket())
            .env("WARREN_STATE", self.dir.path().join("state"));
    }

    /// Text with this run's folder masked as `DIR`.
    fn outcome(&self, output: &Output) -> Outcome {
        let dir = self.dir.path().to_string_lossy().into_owned();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap().replace(&dir, "DIR");
        Outcome {
            code: output.status.code().unwrap_or(-1),
            out: text(&output.stdout),
            err: text(&output.stderr),
        }
    }
}

impl Outcome {
    pub(crate) fn failed(code: i32, err: &str) -> Self {
        Self { code, out: String::new(), err: err.to_owned() }
    }
}
