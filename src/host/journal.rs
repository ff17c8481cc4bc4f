//! What was done to this machine, one JSON line each, synced before it is done.
//!
//! ```text
//! {"boot":"0b2c…"}                                     the boot these lines are of
//! {"done":7,"index":12,"change":{"kind":"route",…}}    about to be made
//! {"undone":[7]}                                       taken back
//! ```
//!
//! A line that a power cut tore is the last one and is ignored: its change was not made yet. Links,
//! addresses and routes do not survive a boot, so the lines of an earlier boot are ignored too.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::change::Change;

/// Lines after which a journal with few changes in force is written anew; about 25 KiB.
const COMPACT_AT: usize = 256;

/// The journal of one state folder.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    boot: String,
    state: State,
}

/// A change that was made, or was about to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its number in the journal.
    pub(super) sequence: u64,
    /// Number the kernel gave the link.
    pub(super) index: u32,
    /// What was done.
    pub(super) change: Change,
}

/// The journal cannot be used, so the machine must not be changed.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Reading or writing failed.
    #[error("cannot write the journal of changes {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A line in the middle is not a journal's.
    #[error(
        "{} is damaged in line {line}; remove it if no `warren` interface, address or route is left",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    Boot { boot: String },
    Done { done: u64, index: u32, change: Change },
    Undone { undone: Vec<u64> },
}

/// What the lines of a journal come to.
#[derive(Debug, Default, PartialEq, Eq)]
struct State {
    entries: BTreeMap<u64, Entry>,
    next: u64,
    lines: usize,
}

impl Journal {
    /// Opens the journal, making it (mode 0600) when it is missing.
    pub(super) fn open(path: &Path) -> Result<Self, JournalError> {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Self::open_in_boot(path, boot.trim().to_owned())
    }

    fn open_in_boot(path: &Path, boot: String) -> Result<Self, JournalError> {
        let io = |source| JournalError::Io { path: path.to_path_buf(), source };
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(io(error)),
        };
        let state =
            replay(&text, &boot).map_err(|line| JournalError::Damaged { path: path.to_path_buf(), line })?;
        let mut journal = Self { path: path.to_path_buf(), file: open(path).map_err(io)?, boot, state };
        journal.rewrite()?;
        Ok(journal)
    }

    /// What is in force, in the order it was made.
    pub(super) fn entries(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.state.entries.values()
    }

    /// Writes down changes that are about to be made; returns when they are on disk.
    pub(super) fn record(&mut self, changes: Vec<(Change, u32)>) -> Result<Vec<Entry>, JournalError> {
        let entries: Vec<Entry> = (self.state.next..)
            .zip(changes)
            .map(|(sequence, (change, index))| Entry { sequence, index, change })
            .collect();
        self.append(entries.iter().map(Entry::line).collect())?;
        for entry in &entries {
            self.state.next = entry.sequence + 1;
            self.state.entries.insert(entry.sequence, entry.clone());
        }
        Ok(entries)
    }

    /// Notes that changes are taken back.
    pub(super) fn forget(&mut self, sequences: &[u64]) -> Result<(), JournalError> {
        if sequences.is_empty() {
            return Ok(());
        }
        for sequence in sequences {
            self.state.entries.remove(sequence);
        }
        if self.state.entries.is_empty() || self.state.lines >= COMPACT_AT.max(2 * self.state.entries.len()) {
            return self.rewrite();
        }
        self.append(vec![Line::Undone { undone: sequences.to_vec() }])
    }

    fn append(&mut self, lines: Vec<Line>) -> Result<(), JournalError> {
        if lines.is_empty() {
            return Ok(());
        }
        let before = self.file.metadata().map(|meta| meta.len()).map_err(|source| self.io(source))?;
        let written = self.file.write_all(&encode(&lines)).and_then(|()| self.file.sync_data());
        if let Err(source) = written {
            // A full disk may have taken half a line; without it the journal still reads.
            let _ = self.file.set_len(before);
            return Err(self.io(source));
        }
        self.state.lines += lines.len();
        Ok(())
    }

    /// Replaces the file by one that holds only what is in force.
    fn rewrite(&mut self) -> Result<(), JournalError> {
        let mut lines = vec![Line::Boot { boot: self.boot.clone() }];
        lines.extend(self.entries().map(Entry::line));
        let draft = self.path.with_extension("new");
        let replace = || -> io::Result<File> {
            let mut file = open(&draft)?;
            file.set_len(0)?;
            file.write_all(&encode(&lines))?;
            file.sync_data()?;
            fs::rename(&draft, &self.path)?;
            if let Some(folder) = self.path.parent() {
                File::open(folder)?.sync_all()?;
            }
            Ok(file)
        };
        self.file = replace().map_err(|source| self.io(source))?;
        self.state.lines = lines.len();
        Ok(())
    }

    fn io(&self, source: io::Error) -> JournalError {
        JournalError::Io { path: self.path.clone(), source }
    }
}

impl Entry {
    fn line(&self) -> Line {
        Line::Done { done: self.sequence, index: self.index, change: self.change.clone() }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

fn encode(lines: &[Line]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in lines {
        // Plain data of strings and numbers: there is nothing in it that JSON cannot say.
        bytes.extend(serde_json::to_vec(line).unwrap_or_default());
        bytes.push(b'\n');
    }
    bytes
}

/// Reads a journal; an error is the number of the damaged line.
fn replay(text: &[u8], boot: &str) -> Result<State, usize> {
    let mut state = State::default();
    let mut ours = false;
    let (whole, _torn) = match text.iter().rposition(|byte| *byte == b'\n') {
        Some(end) => text.split_at(end),
        None => (&[][..], text),
    };
    for (number, line) in whole.split(|byte| *byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty())
    {
        match serde_json::from_slice(line).map_err(|_| number + 1)? {
            Line::Boot { boot: of } => ours = of == boot,
            Line::Done { done, index, change } => {
                state.next = state.next.max(done.saturating_add(1));
                if ours {
                    state.entries.insert(done, Entry { sequence: done, index, change });
                }
            }
            Line::Undone { undone } => {
                for sequence in undone {
                    state.entries.remove(&sequence);
                }
            }
        }
        state.lines += 1;
    }
    Ok(state)
}

#[cfg(test)]
mod tests;
