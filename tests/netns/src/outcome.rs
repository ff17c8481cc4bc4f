//! What a command left: its exit code and what it printed.

use std::fmt;

use serde_json::Value;

/// The end of a command.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The command line, for messages.
    pub command: String,
    /// The exit code; none when a signal or the time limit ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Outcome {
    /// Whether the exit code was 0.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        self.code == Some(0)
    }

    /// Itself, when it succeeded.
    ///
    /// # Panics
    ///
    /// When it did not; prints everything it said.
    #[must_use]
    pub fn expect_success(self) -> Self {
        assert!(self.succeeded(), "{self}");
        self
    }

    /// Itself, when it failed with this exit code and said `part` (of any case) on standard error.
    ///
    /// # Panics
    ///
    /// When it did otherwise; prints everything it said.
    #[must_use]
    pub fn expect_failure(self, code: i32, part: &str) -> Self {
        assert!(self.code == Some(code), "expected exit code {code}: {self}");
        let said = self.stderr.to_lowercase();
        assert!(said.contains(&part.to_lowercase()), "expected {part:?} on standard error: {self}");
        self
    }

    /// Standard output as JSON.
    ///
    /// # Panics
    ///
    /// When it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("no JSON ({error}): {self}"))
    }

    /// Standard output without its last newline.
    #[must_use]
    pub fn text(&self) -> &str {
        self.stdout.trim_end()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "`{}` ended with {:?}", self.command, self.code)?;
        writeln!(out, "--- stdout\n{}\n--- stderr\n{}", self.stdout.trim_end(), self.stderr.trim_end())
    }
}
