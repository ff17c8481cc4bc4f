//! The only file that prints. Data goes to stdout, all else to stderr; a reader who leaves is no error.

use std::fmt;
use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;

use crate::control::{Failure, Result};

/// Prints for people or, with `--json`, for programs.
#[derive(Debug, Clone, Copy)]
pub struct Printer {
    json: bool,
    out_colour: bool,
    err_colour: bool,
    on_closed: Closed,
}

/// What to do when nobody reads stdout any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Closed {
    /// The work was for the reader: done.
    Exit,
    /// The work goes on: a daemon.
    Silence,
}

/// How a piece of text stands out. Never the only carrier of a meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Bold,
    Dim,
    Good,
    Bad,
    Notice,
    /// Black on white, whatever the terminal's colours: for pictures that are read by a camera.
    Paper,
}

impl Style {
    fn code(self) -> &'static str {
        match self {
            Self::Bold => "1",
            Self::Dim => "2",
            Self::Good => "32",
            Self::Bad => "1;31",
            Self::Notice => "33",
            Self::Paper => "30;107",
        }
    }
}

impl Printer {
    /// Looks at the terminal, `NO_COLOR` and `TERM` once.
    pub fn new(json: bool) -> Self {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let wanted = !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        Self {
            json,
            out_colour: wanted && !json && io::stdout().is_terminal(),
            err_colour: wanted && io::stderr().is_terminal(),
            on_closed: Closed::Exit,
        }
    }

    /// The same, for work that goes on when nobody reads.
    #[must_use]
    pub(super) fn for_a_daemon(self) -> Self {
        Self { on_closed: Closed::Silence, ..self }
    }

    /// Whether programs read, not people.
    pub(super) fn is_json(self) -> bool {
        self.json
    }

    /// Whether stderr takes colours.
    pub(super) fn colours_stderr(self) -> bool {
        self.err_colour
    }

    /// A line of data for people; nothing with `--json`.
    pub(super) fn line(self, text: impl fmt::Display) {
        if !self.json {
            self.write(&format!("{text}\n"));
        }
    }

    /// A value for programs, on one line; nothing without `--json`.
    pub(super) fn json(self, value: &impl Serialize) {
        if self.json
            && let Ok(text) = serde_json::to_string(value)
        {
            self.write(&format!("{text}\n"));
        }
    }

    /// A remark that is no data: on stderr, and only for people.
    pub(super) fn remark(self, text: impl fmt::Display) {
        if !self.json {
            let _ = writeln!(io::stderr(), "{text}");
        }
    }

    /// Something to know and mend: on stderr.
    pub(super) fn warning(self, text: impl fmt::Display) {
        self.remark(format_args!("{}: {text}", self.err("warning", Style::Notice)));
    }

    /// Why it did not work, and what to do: on stderr, as text or as `{"error": …}`.
    pub(super) fn failure(self, failure: &Failure) {
        let mut stderr = io::stderr();
        if self.json {
            let _ = writeln!(stderr, "{}", serde_json::json!({ "error": failure }));
            return;
        }
        let _ = writeln!(stderr, "{}: {failure}", self.err("error", Style::Bad));
        if let Some(hint) = &failure.hint {
            let _ = writeln!(stderr, "{}: {hint}", self.err("hint", Style::Notice));
        }
    }

    /// What the argument parser has to say: help and version on stdout, errors on stderr.
    pub(super) fn arguments(self, message: &clap::error::Error) {
        let text = message.render();
        let render = |colour: bool| if colour { text.ansi().to_string() } else { text.to_string() };
        if message.use_stderr() {
            let _ = write!(io::stderr(), "{}", render(self.err_colour));
        } else {
            self.write(&render(self.out_colour));
        }
    }

    /// Text for stdout that stands out where the terminal can.
    pub(super) fn out(self, text: &str, style: Style) -> String {
        paint(text, style, self.out_colour)
    }

    /// Text for stderr that stands out where the terminal can.
    pub(super) fn err(self, text: &str, style: Style) -> String {
        paint(text, style, self.err_colour)
    }

    fn write(self, text: &str) {
        let mut stdout = io::stdout().lock();
        match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe && self.on_closed == Closed::Exit => {
                std::process::exit(0);
            }
            Err(error) if self.on_closed == Closed::Exit => {
                let _ = writeln!(io::stderr(), "error: cannot write the output: {error}");
                std::process::exit(1);
            }
            Err(_) => {}
        }
    }
}

fn paint(text: &str, style: Style, colour: bool) -> String {
    if colour { format!("\x1b[{}m{text}\x1b[0m", style.code()) } else { text.to_owned() }
}

/// Text in columns, as wide as their widest cell.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: Vec<Vec<Cell>>,
}

/// One cell of a table.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    text: String,
    style: Option<Style>,
    right: bool,
}

impl Cell {
    pub(super) fn new(text: impl fmt::Display) -> Self {
        Self { text: text.to_string(), style: None, right: false }
    }

    pub(super) fn style(mut self, style: Style) -> Self {
        self.style = Some(style);
        self
    }

    pub(super) fn right(mut self) -> Self {
        self.right = true;
        self
    }

    fn width(&self) -> usize {
        self.text.chars().count()
    }
}

impl Table {
    pub(super) fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// The lines of the table. Columns that would make it wider than `width` are left out, the last first.
    pub(super) fn lines(&self, printer: Printer, width: usize) -> Vec<String> {
        let widths = self.widths();
        let shown = self.columns(width);
        self.rows.iter().map(|row| line(row, &widths[..shown], printer)).collect()
    }

    /// How many columns fit.
    pub(super) fn columns(&self, width: usize) -> usize {
        let widths = self.widths();
        let mut shown = widths.len();
        while shown > 1 && widths[..shown].iter().sum::<usize>() + GAP * (shown - 1) > width {
            shown -= 1;
        }
        shown
    }

    fn widths(&self) -> Vec<usize> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widest = |column| self.rows.iter().filter_map(|row| row.get(column)).map(Cell::width).max();
        (0..columns).map(|column| widest(column).unwrap_or(0)).collect()
    }
}

/// Spaces between two columns.
const GAP: usize = 2;

fn line(row: &[Cell], widths: &[usize], printer: Printer) -> String {
    let mut line = String::new();
    let mut owed = 0;
    for (cell, width) in row.iter().zip(widths) {
        let pad = width - cell.width();
        let (before, after) = if cell.right { (pad, 0) } else { (0, pad) };
        line.push_str(&" ".repeat(owed + before));
        match cell.style {
            Some(style) => line.push_str(&printer.out(&cell.text, style)),
            None => line.push_str(&cell.text),
        }
        owed = after + GAP;
    }
    line.trim_end().to_owned()
}

/// The end of a command, for `main`.
pub(super) fn finish(printer: Printer, outcome: &Result<()>) -> std::process::ExitCode {
    match outcome {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(failure) => {
            printer.failure(failure);
            super::exit_code::exit_code(failure.cause).into()
        }
    }
}
