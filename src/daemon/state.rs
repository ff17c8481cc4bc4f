//! Where a daemon keeps its meshes on disk, and how one is founded, joined, replaced and left whole.
//!
//! ```text
//! <state>/lock                 held while a daemon runs here            (host::lock)
//! <state>/journal              what was done to the machine             (host::journal)
//! <state>/meshes/<mesh>/       identity.key  store/                     one folder a mesh
//! <state>/drafts/<mesh>/       identity.key  (store/)                   a mesh being founded or joined
//! <state>/drafts/gone-<mesh>/  a mesh on its way out
//! ```
//!
//! A mesh appears by renaming a finished draft and disappears by renaming it away, so at every moment
//! `meshes/` holds whole meshes only. The draft of a join is named after the mesh and keeps its key
//! when the machine dies in the middle: the next try with the same code asks with the same key, and a
//! single-use code is not spent twice. A key never serves two meshes, so two meshes cannot be linked.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rand::RngCore as _;
use warren_p2p::identity::key_file::KeyFileError;
use warren_p2p::identity::{self, Identity};
use warren_p2p::membership::Log;
use warren_p2p::record::MeshId;
use warren_p2p::store::Store;

use super::{failures, view};
use crate::control::{Cause, Failure, Result};

/// Why the state folder cannot serve.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StateError {
    /// A folder or file could not be made, read, renamed or removed.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The device's key could not be read or written.
    #[error(transparent)]
    Key(#[from] KeyFileError),
}

impl From<StateError> for Failure {
    fn from(error: StateError) -> Self {
        match &error {
            StateError::Io { path, source, .. } => Self::io(path.display(), source),
            StateError::Key(key) => {
                let cause = match key {
                    KeyFileError::Full(_) => Cause::DiskFull,
                    KeyFileError::NotWritable { .. } => Cause::StateNotWritable,
                    KeyFileError::Missing(_) | KeyFileError::Malformed { .. } => Cause::StoreCorrupt,
                    KeyFileError::Exists(_) | KeyFileError::WrongMode { .. } | KeyFileError::Io { .. } => {
                        Cause::Failed
                    }
                };
                Self::new(cause, error.to_string())
            }
        }
    }
}

/// The state folder of one daemon.
#[derive(Debug, Clone)]
pub(crate) struct StateDir {
    root: PathBuf,
}

/// One mesh on disk, or the draft of one.
#[derive(Debug, Clone)]
pub(crate) struct MeshDir {
    path: PathBuf,
}

/// A mesh on disk in short.
#[derive(Debug)]
pub(crate) struct Summary {
    pub(crate) mesh: MeshId,
    pub(crate) name: String,
    pub(crate) members: usize,
    /// Whether this device is none of them, for good.
    pub(crate) is_out: bool,
}

impl StateDir {
    /// Opens the folder, making what is missing (mode 0700) and clearing what an interrupted run left.
    pub(crate) fn open(root: &Path) -> std::result::Result<Self, StateError> {
        let state = Self { root: root.to_path_buf() };
        for folder in [root.to_path_buf(), state.meshes_path(), state.drafts_path()] {
            make_private(&folder)?;
        }
        for (name, path) in entries(&state.drafts_path())? {
            if name == FOUNDING || name.starts_with(GONE) {
                remove(&path)?;
            }
        }
        Ok(state)
    }

    /// The meshes this device is in, in the order of their ids.
    pub(crate) fn meshes(&self) -> std::result::Result<Vec<MeshDir>, StateError> {
        Ok(entries(&self.meshes_path())?.into_iter().map(|(_, path)| MeshDir { path }).collect())
    }

    /// A draft with a new key, for founding a mesh whose id follows from that key.
    pub(crate) fn founding(&self) -> std::result::Result<(MeshDir, Identity), StateError> {
        let path = self.drafts_path().join(FOUNDING);
        if path.exists() {
            remove(&path)?;
        }
        MeshDir::with_new_key(path)
    }

    /// The draft for joining `mesh`; it keeps the key of an earlier try that was cut off.
    pub(crate) fn joining(&self, mesh: &MeshId) -> std::result::Result<(MeshDir, Identity), StateError> {
        let dir = MeshDir { path: self.drafts_path().join(mesh.to_string()) };
        if dir.key_path().exists() {
            let identity = dir.identity()?;
            return Ok((dir, identity));
        }
        MeshDir::with_new_key(dir.path)
    }

    /// Makes a finished draft a mesh of this device, in one rename.
    pub(crate) fn commit(&self, draft: &MeshDir, mesh: &MeshId) -> std::result::Result<MeshDir, StateError> {
        let path = self.meshes_path().join(mesh.to_string());
        rename(&draft.path, &path)?;
        sync_folder(&self.meshes_path())?;
        Ok(MeshDir { path })
    }

    /// Makes a mesh a draft again, so that it can be joined anew with the key it has.
    pub(crate) fn reopen(&self, mesh: &MeshDir) -> std::result::Result<(), StateError> {
        rename(&mesh.path, &self.drafts_path().join(mesh.name()))
    }

    /// Removes a mesh or a draft: out of sight in one rename, then from disk.
    pub(crate) fn discard(&self, mesh: &MeshDir) -> std::result::Result<(), StateError> {
        let gone = self.drafts_path().join(format!("{GONE}{}", mesh.name()));
        if gone.exists() {
            remove(&gone)?;
        }
        rename(&mesh.path, &gone)?;
        remove(&gone)
    }

    fn meshes_path(&self) -> PathBuf {
        self.root.join("meshes")
    }

    fn drafts_path(&self) -> PathBuf {
        self.root.join("drafts")
    }
}

impl MeshDir {
    /// The device's identity in this mesh.
    pub(crate) fn identity(&self) -> std::result::Result<Identity, StateError> {
        Ok(identity::key_file::load(&self.key_path())?)
    }

    /// Writes the records of a new mesh. Returns the store, for what else belongs in it.
    pub(crate) fn save(&self, log: &Log) -> Result<Store> {
        let store = self.open_store()?;
        store.set_mesh(log.mesh()).map_err(failures::store)?;
        let records: Vec<_> = log.records().cloned().collect();
        store.add_records(&records).map_err(failures::store)?;
        Ok(store)
    }

    /// Opens the store and reads the records in it.
    pub(crate) fn load(&self) -> Result<(Store, Log)> {
        let store = self.open_store()?;
        let mesh = store.mesh().map_err(failures::store)?.ok_or_else(|| {
            Failure::new(
                Cause::StoreCorrupt,
                format!("the store in {} is empty", store.directory().display()),
            )
            .hint("put back a copy of it, or move the folder away and join again with a new code")
        })?;
        let log = Log::from_records(mesh, store.load_verified().map_err(failures::store)?);
        Ok((store, log))
    }

    /// What there is to know before the mesh is put into service.
    pub(crate) fn summary(&self) -> Result<Summary> {
        let device = self.identity()?.device_id();
        let (_, log) = self.load()?;
        let roster = log.roster();
        Ok(Summary {
            mesh: log.mesh(),
            name: view::mesh_name(roster),
            members: roster.members().len(),
            is_out: !roster.is_member(&device) && !roster.suspended().contains_key(&device),
        })
    }

    /// Whether the records are there; people move a damaged store away, and leave the key.
    pub(crate) fn has_store(&self) -> bool {
        self.store_path().exists()
    }

    /// Whether this is the folder of `mesh`.
    pub(crate) fn is_of(&self, mesh: &MeshId) -> bool {
        self.name() == mesh.to_string()
    }

    fn name(&self) -> String {
        self.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    fn store_path(&self) -> PathBuf {
        self.path.join("store")
    }

    /// Opens the store of records and addresses.
    fn open_store(&self) -> Result<Store> {
        Store::open(self.store_path()).map_err(failures::store)
    }

    fn key_path(&self) -> PathBuf {
        self.path.join("identity.key")
    }

    fn with_new_key(path: PathBuf) -> std::result::Result<(Self, Identity), StateError> {
        make_private(&path)?;
        let dir = Self { path };
        let mut seed = [0; 32];
        #[expect(clippy::disallowed_methods, reason = "the daemon is the shell that draws keys")]
        rand::rng().fill_bytes(&mut seed);
        let identity = identity::key_file::create(&dir.key_path(), seed)?;
        Ok((dir, identity))
    }
}

const FOUNDING: &str = "founding";
const GONE: &str = "gone-";

fn make_private(path: &Path) -> std::result::Result<(), StateError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|source| StateError::Io {
        what: "make the folder",
        path: path.to_path_buf(),
        source,
    })
}

fn rename(from: &Path, to: &Path) -> std::result::Result<(), StateError> {
    fs::rename(from, to).map_err(|source| StateError::Io { what: "rename", path: from.to_path_buf(), source })
}

fn remove(path: &Path) -> std::result::Result<(), StateError> {
    fs::remove_dir_all(path).map_err(|source| StateError::Io {
        what: "remove",
        path: path.to_path_buf(),
        source,
    })
}

fn sync_folder(path: &Path) -> std::result::Result<(), StateError> {
    fs::File::open(path).and_then(|folder| folder.sync_all()).map_err(|source| StateError::Io {
        what: "sync",
        path: path.to_path_buf(),
        source,
    })
}

fn entries(path: &Path) -> std::result::Result<Vec<(String, PathBuf)>, StateError> {
    let read = |path: &Path| -> io::Result<Vec<(String, PathBuf)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            found.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
        }
        found.sort();
        Ok(found)
    };
    read(path).map_err(|source| StateError::Io { what: "list", path: path.to_path_buf(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mesh(byte: u8) -> MeshId {
        MeshId::from_bytes([byte; 32])
    }

    #[test]
    fn a_draft_becomes_a_mesh_whole_and_a_mesh_goes_whole() {
        let root = tempfile::tempdir().unwrap();
        let state = StateDir::open(root.path()).unwrap();
        let (draft, identity) = state.founding().unwrap();
        assert!(state.meshes().unwrap().is_empty());
        let dir = state.commit(&draft, &mesh(1)).unwrap();
        assert!(dir.is_of(&mesh(1)));
        assert_eq!(dir.identity().unwrap().device_id(), identity.device_id());
        assert_eq!(state.meshes().unwrap().len(), 1);
        state.discard(&dir).unwrap();
        assert!(state.meshes().unwrap().is_empty());
    }

    #[test]
    fn a_join_that_was_cut_off_is_tried_again_with_the_same_key() {
        let root = tempfile::tempdir().unwrap();
        let key = |mesh: &MeshId| {
            let state = StateDir::open(root.path()).unwrap();
            state.joining(mesh).unwrap().1.device_id()
        };
        let first = key(&mesh(1));
        assert_eq!(key(&mesh(1)), first);
        assert_ne!(key(&mesh(2)), first, "two meshes cannot be linked by a key");
    }

    #[test]
    fn what_an_interrupted_run_left_is_cleared_at_the_next_start() {
        let root = tempfile::tempdir().unwrap();
        let state = StateDir::open(root.path()).unwrap();
        state.founding().unwrap();
        fs::create_dir(state.drafts_path().join("gone-x")).unwrap();
        StateDir::open(root.path()).unwrap();
        assert!(entries(&state.drafts_path()).unwrap().is_empty());
    }
}
