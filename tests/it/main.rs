//! Tests of the program that need no rights: the real binary, and the local API with a stand-in daemon.

#![expect(clippy::unwrap_used, reason = "tests")]
#![expect(clippy::disallowed_methods, reason = "a test waits for a condition with a deadline")]

mod api;
mod cli;
mod commands;
mod daemon;
mod paths;
mod program;
