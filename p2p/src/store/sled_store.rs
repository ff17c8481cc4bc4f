//! Trees of keys and values on the disk: the only file that names sled.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sled::{Batch, Db, Tree};

use super::layout::TREES;
use super::{StoreError, quiet, seal};
use crate::limits::{STORE_CACHE_BYTES, STORE_FREE_BYTES};

/// What sled keeps in its directory, besides `snap.*`.
const SLED_FILES: [&str; 3] = ["conf", "db", "blobs"];

/// How long to wait for a lock between two tries, and how often: a second in all.
const LOCK_PAUSE: Duration = Duration::from_millis(20);
const LOCK_TRIES: u32 = 50;

/// A key and its value.
pub(super) type Entry = (Vec<u8>, Vec<u8>);

/// A change of one entry.
pub(super) enum Change {
    Put(Vec<u8>, Vec<u8>),
    Delete(Vec<u8>),
}

/// The trees of `layout.rs` in one directory, open to this process alone.
pub(super) struct SledStore {
    directory: PathBuf,
    db: Db,
    trees: Vec<(&'static str, Tree)>,
}

impl SledStore {
    /// Opens the trees, which are made if the directory is missing or empty. After [`check_files`].
    pub(super) fn open(directory: &Path) -> Result<Self, StoreError> {
        fs::create_dir_all(directory).map_err(|error| io_error(directory, error))?;
        check_writable(directory)?;
        check_space(directory)?;
        let config = sled::Config::new()
            .path(directory)
            .mode(sled::Mode::LowSpace)
            .cache_capacity(STORE_CACHE_BYTES)
            // Every write is flushed by us; no thread needs to do so later.
            .flush_every_ms(None);
        let db = patiently(|| guard(directory, || config.open()))?;
        let names = quiet::catch(|| db.tree_names()).unwrap_or_default();
        let ours =
            |name: &[u8]| name == b"__sled__default" || TREES.iter().any(|tree| tree.as_bytes() == name);
        if !names.iter().all(|name| ours(name)) {
            let found = "another program's database".to_owned();
            return Err(StoreError::Foreign { directory: directory.to_owned(), found });
        }
        let mut trees = Vec::with_capacity(TREES.len());
        for name in TREES {
            trees.push((name, guard(directory, || db.open_tree(name))?));
        }
        Ok(Self { directory: directory.to_owned(), db, trees })
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn get(&self, tree: &str, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let tree = self.tree(tree);
        guard(&self.directory, || tree.get(key).map(|value| value.map(|bytes| bytes.to_vec())))
    }

    pub(super) fn all(&self, tree: &str) -> Result<Vec<Entry>, StoreError> {
        let tree = self.tree(tree);
        guard(&self.directory, || {
            tree.iter().map(|item| item.map(|(key, value)| (key.to_vec(), value.to_vec()))).collect()
        })
    }

    /// Makes all the changes or none, on the disk when this returns without error.
    pub(super) fn apply(&self, tree: &str, changes: Vec<Change>) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        for change in changes {
            match change {
                Change::Put(key, value) => batch.insert(key, value),
                Change::Delete(key) => batch.remove(key),
            }
        }
        let tree = self.tree(tree);
        guard(&self.directory, || tree.apply_batch(batch))?;
        guard(&self.directory, || self.db.flush()).map(|_| ())
    }

    fn tree(&self, name: &str) -> &Tree {
        let found = self.trees.iter().find(|(known, _)| *known == name);
        &found.expect("callers name trees of the layout, which are all open").1
    }
}

impl Drop for SledStore {
    fn drop(&mut self) {
        // sled flushes once more when it goes, which may panic on a failing disk. All is written already.
        let _ = quiet::catch(|| self.db.flush().map(|_| ()));
    }
}

/// Looks at the directory before sled does: others' files in it are not touched.
pub(super) fn check_files(directory: &Path) -> Result<(), StoreError> {
    let foreign =
        |found: &str| StoreError::Foreign { directory: directory.to_owned(), found: found.to_owned() };
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return Err(foreign("a file, where a directory should be"));
        }
        Err(error) => return Err(io_error(directory, error)),
    };
    for entry in entries {
        let name = entry.map_err(|error| io_error(directory, error))?.file_name();
        let name = name.to_string_lossy();
        let ours = SLED_FILES.contains(&&*name) || name.starts_with("snap.");
        if !ours && name != seal::FILE && name != seal::NEW_FILE {
            return Err(foreign(&name));
        }
    }
    Ok(())
}

/// Asks for a file to be made, since what sled says when it cannot is less clear.
fn check_writable(directory: &Path) -> Result<(), StoreError> {
    let probe = directory.join(seal::NEW_FILE);
    let made = fs::File::create(&probe).and_then(|_| fs::remove_file(&probe));
    made.map_err(|error| io_error(directory, error))
}

/// Refuses to write when so little space is left that sled might find out in the middle.
pub(super) fn check_space(directory: &Path) -> Result<(), StoreError> {
    let stats = rustix::fs::statvfs(directory).map_err(|error| io_error(directory, error.into()))?;
    if stats.f_bavail.saturating_mul(stats.f_frsize) < STORE_FREE_BYTES {
        return Err(StoreError::Full { directory: directory.to_owned() });
    }
    Ok(())
}

/// Opens again for a while when somebody has the lock: it may be ourselves, for sled lets go of a store that was
/// closed a moment ago from a thread of its own.
fn patiently<T>(mut open: impl FnMut() -> Result<T, StoreError>) -> Result<T, StoreError> {
    for _ in 0..LOCK_TRIES {
        match open() {
            Err(StoreError::Locked { .. }) => std::thread::sleep(LOCK_PAUSE),
            opened => return opened,
        }
    }
    open()
}

/// Calls sled, and makes an error of whatever happens.
fn guard<T>(directory: &Path, call: impl FnOnce() -> sled::Result<T>) -> Result<T, StoreError> {
    let corrupt = |detail| StoreError::Corrupt { directory: directory.to_owned(), detail };
    match quiet::catch(call) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(sled::Error::Io(error))) => Err(io_error(directory, error)),
        Ok(Err(sled::Error::Corruption { .. })) => Err(corrupt("a checksum does not fit".to_owned())),
        Ok(Err(error)) => Err(corrupt(error.to_string().chars().take(200).collect())),
        Err(panic) => Err(corrupt(panic)),
    }
}

pub(super) fn io_error(directory: &Path, error: io::Error) -> StoreError {
    let directory = directory.to_owned();
    let text = error.to_string();
    let kind = error.kind();
    if matches!(kind, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
        StoreError::Full { directory }
    } else if matches!(kind, io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem) {
        StoreError::NotWritable { directory, error }
    } else if text.contains("could not acquire lock") {
        // sled's words when flock says no.
        StoreError::Locked { directory }
    } else if matches!(kind, io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData) {
        StoreError::Corrupt { directory, detail: text }
    } else {
        StoreError::Io { directory, error }
    }
}
