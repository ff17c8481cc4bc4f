//! Anything with a network namespace in which commands run: a machine or a router.

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::{Outcome, within};

/// Longer than any command of a test may take.
const COMMAND_LIMIT: Duration = Duration::from_secs(60);

#[derive(Clone, Debug)]
pub(crate) enum Node {
    Device(patchbay::Device),
    Router(patchbay::Router),
    Middle(patchbay::Ix),
}

impl Node {
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Device(device) => device.name(),
            Self::Router(router) => router.name(),
            Self::Middle(_) => "the middle",
        }
    }

    /// Starts `command`, with pipes for its streams. It dies with the world.
    pub(crate) fn spawn(&self, command: &Command) -> Child {
        // The thread that spawns it lives as long as the world does: when that goes, so does the child.
        let mut tied = Command::new("setpriv");
        tied.args(["--pdeathsig", "KILL", "--"]).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => tied.env(name, value),
                None => tied.env_remove(name),
            };
        }
        // Ctrl+C is for whoever built the world, who ends it in order.
        tied.process_group(0);
        tied.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let spawned = match self {
            Self::Device(device) => device.spawn_command_sync(tied),
            Self::Router(router) => router.spawn_command_sync(tied),
            Self::Middle(ix) => ix.spawn_command_sync(tied),
        };
        spawned.unwrap_or_else(|error| panic!("{}: {error:#}", self.name()))
    }

    pub(crate) fn run(&self, program: &str, arguments: &[&str], input: &str) -> Outcome {
        let line = format!("{}$ {program} {}", self.name(), arguments.join(" "));
        let mut command = Command::new(program);
        command.args(arguments);
        let mut child = self.spawn(&command);
        if let Some(mut stdin) = child.stdin.take() {
            // A command that does not read its input may be gone by now.
            let _ = stdin.write_all(input.as_bytes());
        }
        let stdout = drain(child.stdout.take());
        let stderr = drain(child.stderr.take());
        let status = within(COMMAND_LIMIT, || child.try_wait().ok().flatten());
        if status.is_none() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let text = |reader: JoinHandle<String>| reader.join().unwrap_or_default();
        let code = status.and_then(|status| status.code());
        Outcome { command: line, code, stdout: text(stdout), stderr: text(stderr) }
    }

    pub(crate) fn shell(&self, line: &str) -> String {
        self.run("sh", &["-ec", line], "").expect_success().stdout
    }

    pub(crate) fn nft(&self, rules: &str) {
        let _ = self.run("nft", &["-f", "-"], rules).expect_success();
    }
}

/// Reads a stream to its end beside the waiting.
fn drain(stream: Option<impl Read + Send + 'static>) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut stream) = stream {
            let _ = stream.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
