//! The store on sled: the only file that names it.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sled::{Batch, Db, Tree};

use super::layout::{
    ADDRESSES, GRANTS, KEY_MAGIC, KEY_MESH, KEY_SCHEMA, MAGIC, META, RECORDS, SCHEMA, SETTINGS,
};
use super::quiet;
use super::{Addresses, StoreError};
use crate::identity::DeviceId;
use crate::limits::{SETTING_BYTES, STORE_CACHE_BYTES, STORE_FREE_BYTES};
use crate::record::{Grants, MeshId, Record, RecordId, Verified, codec};

/// A key and its value.
type Entry = (Vec<u8>, Vec<u8>);

/// What sled keeps in its directory.
const SLED_FILES: [&str; 3] = ["conf", "db", "blobs"];

/// A device's records, addresses and settings of one mesh, on its disk. Cheap to clone; closed with the last
/// clone.
#[derive(Clone)]
pub struct Store(Arc<Open>);

struct Open {
    directory: PathBuf,
    db: Db,
    meta: Tree,
    records: Tree,
    addresses: Tree,
    grants: Tree,
    settings: Tree,
}

impl Store {
    /// Opens the store in `directory`, which is made if it is missing.
    pub fn open(directory: impl AsRef<Path>) -> Result<Self, StoreError> {
        let directory = directory.as_ref().to_owned();
        let io = |error| io_error(&directory, error);
        let fresh = look(&directory)?;
        fs::create_dir_all(&directory).map_err(io)?;
        check_writable(&directory)?;
        check_space(&directory)?;
        let config = sled::Config::new()
            .path(&directory)
            .mode(sled::Mode::LowSpace)
            .cache_capacity(STORE_CACHE_BYTES)
            // Every write is flushed by us; no thread needs to do so later.
            .flush_every_ms(None);
        let db = guard(&directory, || config.open())?;
        let tree = |name: &str| guard(&directory, || db.open_tree(name));
        let open = Open {
            meta: tree(META)?,
            records: tree(RECORDS)?,
            addresses: tree(ADDRESSES)?,
            grants: tree(GRANTS)?,
            settings: tree(SETTINGS)?,
            db: db.clone(),
            directory: directory.clone(),
        };
        open.check_layout(fresh)?;
        Ok(Self(Arc::new(open)))
    }

    /// Moves a damaged or unwanted store away, to a name beside it that is returned. Called only when a person
    /// asks for it.
    pub fn set_aside(directory: impl AsRef<Path>) -> Result<PathBuf, StoreError> {
        let directory = directory.as_ref();
        for number in 1_u32.. {
            let mut name = directory.file_name().unwrap_or_default().to_owned();
            name.push(format!(".aside-{number}"));
            let target = directory.with_file_name(name);
            if !target.exists() {
                fs::rename(directory, &target).map_err(|error| io_error(directory, error))?;
                return Ok(target);
            }
        }
        Err(io_error(directory, io::Error::from(io::ErrorKind::AlreadyExists)))
    }

    /// Where it is.
    pub fn directory(&self) -> &Path {
        &self.0.directory
    }

    /// The mesh it holds, if any.
    pub fn mesh(&self) -> Result<Option<MeshId>, StoreError> {
        let Some(bytes) = self.0.get(&self.0.meta, KEY_MESH)? else { return Ok(None) };
        let bytes =
            bytes.as_slice().try_into().map_err(|_| self.0.corrupt("the mesh id has a wrong length"))?;
        Ok(Some(MeshId::from_bytes(bytes)))
    }

    /// Says which mesh it holds; once only.
    pub fn set_mesh(&self, mesh: MeshId) -> Result<(), StoreError> {
        match self.mesh()? {
            Some(found) if found == mesh => Ok(()),
            Some(found) => {
                Err(StoreError::OtherMesh { directory: self.0.directory.clone(), found, wanted: mesh })
            }
            None => self.0.put(&self.0.meta, KEY_MESH, mesh.as_bytes()),
        }
    }

    /// Forgets the mesh and all that belongs to it: this device has left. Settings stay.
    pub fn clear(&self) -> Result<(), StoreError> {
        let open = &self.0;
        for tree in [&open.records, &open.addresses, &open.grants] {
            guard(&open.directory, || tree.clear())?;
        }
        guard(&open.directory, || open.meta.remove(KEY_MESH))?;
        open.flush()
    }

    /// The bytes of all records, in no particular order.
    pub fn load_records(&self) -> Result<Vec<Vec<u8>>, StoreError> {
        Ok(self.0.all(&self.0.records)?.into_iter().map(|(_, bytes)| bytes).collect())
    }

    /// All records, each checked again: a disk may forget a bit.
    pub fn load_verified(&self) -> Result<Vec<Verified<Record>>, StoreError> {
        let mut records = Vec::new();
        for (key, bytes) in self.0.all(&self.0.records)? {
            let Ok(id) = <[u8; 32]>::try_from(key.as_slice()).map(RecordId::from_bytes) else {
                return Err(self.0.corrupt("a record has a key of a wrong length"));
            };
            let bad = |detail| StoreError::CorruptRecord {
                directory: self.0.directory.clone(),
                record: id,
                detail,
            };
            let record = Verified::<Record>::from_bytes(&bytes).map_err(|error| bad(error.to_string()))?;
            if record.id() != id {
                return Err(bad("its bytes have another hash".to_owned()));
            }
            records.push(record);
        }
        Ok(records)
    }

    /// Writes records. On the disk when this returns without error, else not there at all.
    pub fn add_records(&self, records: &[Verified<Record>]) -> Result<(), StoreError> {
        self.apply(records, &[])
    }

    /// Writes records and deletes others that they replace, all or nothing.
    pub fn apply(&self, added: &[Verified<Record>], dropped: &[RecordId]) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        for record in added {
            batch.insert(record.id().as_bytes(), record.bytes());
        }
        for id in dropped {
            batch.remove(id.as_bytes());
        }
        self.0.apply(&self.0.records, batch)
    }

    /// Where peers were reached.
    pub fn addresses(&self) -> Result<Vec<(DeviceId, Addresses)>, StoreError> {
        self.0.all_decoded(&self.0.addresses)
    }

    /// Remembers where a peer was reached.
    pub fn put_addresses(&self, peer: &DeviceId, addresses: &Addresses) -> Result<(), StoreError> {
        self.0.put_encoded(&self.0.addresses, peer, addresses)
    }

    /// What this device allows others.
    pub fn all_grants(&self) -> Result<Vec<(DeviceId, Grants)>, StoreError> {
        self.0.all_decoded(&self.0.grants)
    }

    /// What this device allows a peer, if that was ever said.
    pub fn grants(&self, peer: &DeviceId) -> Result<Option<Grants>, StoreError> {
        let Some(bytes) = self.0.get(&self.0.grants, peer.as_bytes())? else { return Ok(None) };
        let decoded = codec::decode(&bytes, SETTING_BYTES);
        decoded.map(Some).map_err(|error| self.0.corrupt(&format!("grants for {}: {error}", peer.short())))
    }

    /// Says what this device allows a peer.
    pub fn put_grants(&self, peer: &DeviceId, grants: &Grants) -> Result<(), StoreError> {
        self.0.put_encoded(&self.0.grants, peer, grants)
    }

    /// A setting.
    pub fn setting(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.get(&self.0.settings, name.as_bytes())
    }

    /// Writes a setting.
    pub fn put_setting(&self, name: &str, value: &[u8]) -> Result<(), StoreError> {
        if value.len() > SETTING_BYTES {
            return Err(StoreError::TooLong(name.to_owned()));
        }
        self.0.put(&self.0.settings, name.as_bytes(), value)
    }
}

impl Open {
    fn check_layout(&self, fresh: bool) -> Result<(), StoreError> {
        let magic = self.get(&self.meta, KEY_MAGIC)?;
        let Some(magic) = magic else {
            // Empty files of a first start that was cut short are as good as new.
            if fresh || (self.meta.is_empty() && self.records.is_empty() && self.settings.is_empty()) {
                let mut batch = Batch::default();
                batch.insert(KEY_MAGIC, MAGIC);
                batch.insert(KEY_SCHEMA, &SCHEMA.to_be_bytes());
                return self.apply(&self.meta, batch);
            }
            return Err(self.corrupt("its mark is missing"));
        };
        if magic != MAGIC {
            return Err(StoreError::Foreign {
                directory: self.directory.clone(),
                found: "another program's database".to_owned(),
            });
        }
        let schema = self.get(&self.meta, KEY_SCHEMA)?.unwrap_or_default();
        match schema.as_slice().try_into().map(u32::from_be_bytes) {
            Ok(SCHEMA) => Ok(()),
            Ok(found) if found > SCHEMA => {
                Err(StoreError::NewerSchema { directory: self.directory.clone(), found, known: SCHEMA })
            }
            Ok(_) | Err(_) => Err(self.corrupt("the number of its layout is unknown")),
        }
    }

    fn corrupt(&self, detail: &str) -> StoreError {
        StoreError::Corrupt { directory: self.directory.clone(), detail: detail.to_owned() }
    }

    fn get(&self, tree: &Tree, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        guard(&self.directory, || tree.get(key).map(|value| value.map(|bytes| bytes.to_vec())))
    }

    fn all(&self, tree: &Tree) -> Result<Vec<Entry>, StoreError> {
        guard(&self.directory, || {
            tree.iter().map(|item| item.map(|(key, value)| (key.to_vec(), value.to_vec()))).collect()
        })
    }

    fn all_decoded<T: Serialize + DeserializeOwned>(
        &self,
        tree: &Tree,
    ) -> Result<Vec<(DeviceId, T)>, StoreError> {
        let mut decoded = Vec::new();
        for (key, value) in self.all(tree)? {
            let device = <[u8; 32]>::try_from(key).ok().and_then(|key| DeviceId::from_bytes(key).ok());
            let Some(device) = device else {
                return Err(self.corrupt("a key that should be a device is none"));
            };
            let value = codec::decode(&value, SETTING_BYTES);
            let value =
                value.map_err(|error| self.corrupt(&format!("an entry of {}: {error}", device.short())))?;
            decoded.push((device, value));
        }
        Ok(decoded)
    }

    fn put(&self, tree: &Tree, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        batch.insert(key, value);
        self.apply(tree, batch)
    }

    fn put_encoded<T: Serialize>(&self, tree: &Tree, peer: &DeviceId, value: &T) -> Result<(), StoreError> {
        let bytes =
            codec::encode(value, SETTING_BYTES).map_err(|error| StoreError::TooLong(error.to_string()))?;
        self.put(tree, peer.as_bytes(), &bytes)
    }

    fn apply(&self, tree: &Tree, batch: Batch) -> Result<(), StoreError> {
        check_space(&self.directory)?;
        guard(&self.directory, || tree.apply_batch(batch))?;
        self.flush()
    }

    fn flush(&self) -> Result<(), StoreError> {
        guard(&self.directory, || self.db.flush()).map(|_| ())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // sled flushes once more when it goes, which may panic on a failing disk. All is written already.
        let _ = quiet::catch(|| self.db.flush().map(|_| ()));
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Store").field(&self.0.directory).finish()
    }
}

/// Looks at the directory before sled does. Whether it is missing or empty; an error if others' files are in it.
fn look(directory: &Path) -> Result<bool, StoreError> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return Err(StoreError::Foreign {
                directory: directory.to_owned(),
                found: "a file, where a directory should be".to_owned(),
            });
        }
        Err(error) => return Err(io_error(directory, error)),
    };
    let mut fresh = true;
    for entry in entries {
        let name = entry.map_err(|error| io_error(directory, error))?.file_name();
        let name = name.to_string_lossy();
        if !SLED_FILES.contains(&&*name) && !name.starts_with("snap.") {
            return Err(StoreError::Foreign { directory: directory.to_owned(), found: name.into_owned() });
        }
        fresh = false;
    }
    Ok(fresh)
}

/// Asks for a file to be made, since what sled says when it cannot is less clear.
fn check_writable(directory: &Path) -> Result<(), StoreError> {
    let probe = directory.join("snap.probe");
    let made = fs::File::create(&probe).and_then(|_| fs::remove_file(&probe));
    made.map_err(|error| io_error(directory, error))
}

/// Refuses to write when so little space is left that sled might find out in the middle.
fn check_space(directory: &Path) -> Result<(), StoreError> {
    let stats = rustix::fs::statvfs(directory).map_err(|error| io_error(directory, error.into()))?;
    if stats.f_bavail.saturating_mul(stats.f_frsize) < STORE_FREE_BYTES {
        return Err(StoreError::Full { directory: directory.to_owned() });
    }
    Ok(())
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
