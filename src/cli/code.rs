//! Where an invite code comes from, and how it stays out of the process list.

use std::ffi::{OsStr, OsString};
use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use clap::ArgMatches;
use clap::parser::ValueSource;

use super::args::Code;
use crate::control::{Cause, Failure, Result};

/// How every code starts.
const START: &str = "warren1";
/// Much more than a code with line breaks; a device file or a picture must not fill the memory.
const TEXT_MAX: u64 = 16 * 1024;
/// The variable a code may come in.
pub(super) const VARIABLE: &str = "WARREN_CODE";

/// Starts the program anew with the code in its environment, which only its user can read, when it was
/// given as an argument, which everybody can. Returns when there is nothing to hide.
pub(super) fn leave_the_process_list(typed: &[OsString], matches: &ArgMatches) -> Result<()> {
    let Some(("up" | "join", command)) = matches.subcommand() else { return Ok(()) };
    if command.value_source("code") != Some(ValueSource::CommandLine) {
        return Ok(());
    }
    let words: Vec<&String> = command.get_many("code").into_iter().flatten().collect();
    let code: String = words.iter().map(|word| word.as_str()).collect();
    if !starts_like_a_code(&code) {
        return Ok(());
    }
    let is_word = |argument: &OsStr| words.iter().any(|word| argument == word.as_str());
    let kept = typed.iter().skip(1).filter(|argument| !is_word(argument));
    let program = std::env::current_exe().map_err(|error| Failure::new(Cause::Failed, error.to_string()))?;
    let mut again = Command::new(program);
    if let Some(name) = typed.first() {
        again.arg0(name);
    }
    let error = again.args(kept).env(VARIABLE, code).exec();
    Err(Failure::new(Cause::Failed, format!("cannot move the code out of the process list: {error}"))
        .hint("give it on stdin: `warren up - < file`"))
}

/// The code that was given, without white space; none when none was.
pub(super) fn read(code: &Code) -> Result<Option<String>> {
    let text = match code.code.as_slice() {
        [] => return Ok(None),
        [stdin] if stdin == "-" => from_stdin()?,
        words => words.concat(),
    };
    let code: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    if code.is_empty() {
        return Err(Failure::new(Cause::InviteNotACode, "the invite code is empty")
            .hint("`warren invite` on a device of the mesh prints one"));
    }
    if !starts_like_a_code(&code) {
        return Err(Failure::new(Cause::InviteNotACode, "that is not an invite code").hint(format!(
            "a code starts with `{START}`; `warren invite` on a device of the mesh prints one"
        )));
    }
    Ok(Some(code))
}

/// The code that must have been given.
pub(super) fn need(code: &Code) -> Result<String> {
    read(code)?.ok_or_else(|| {
        Failure::new(Cause::Misuse, "no invite code was given")
            .hint(format!("`warren join CODE`, or `warren join -` to read it from stdin, or set {VARIABLE}"))
    })
}

fn starts_like_a_code(code: &str) -> bool {
    code.get(..START.len()).is_some_and(|start| start.eq_ignore_ascii_case(START))
}

fn from_stdin() -> Result<String> {
    let mut text = String::new();
    match std::io::stdin().lock().take(TEXT_MAX).read_to_string(&mut text) {
        Ok(_) => Ok(text),
        Err(error) => Err(Failure::new(
            Cause::InviteNotACode,
            format!("cannot read an invite code from stdin: {error}"),
        )),
    }
}
