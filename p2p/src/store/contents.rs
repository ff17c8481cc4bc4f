//! The store as others see it: what is asked of it and written to it.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::layout::{ADDRESSES, GRANTS, KEY_MESH, META, RECORDS, SCHEMA, SEALED, SETTINGS};
use super::seal::{self, Seal, Sum, Unsealed};
use super::sled_store::{Change, SledStore, check_files, check_space, io_error};
use super::{Addresses, StoreError};
use crate::identity::DeviceId;
use crate::limits::SETTING_BYTES;
use crate::record::{Grants, MeshId, Record, RecordId, Verified, codec};

/// A device's records, addresses and settings of one mesh, on its disk. Cheap to clone; closed with the last
/// clone.
#[derive(Clone)]
pub struct Store(Arc<Contents>);

struct Contents {
    trees: SledStore,
    /// What may be on the disk: one sum, or several after a write that failed half-way. Held during a write.
    sums: Mutex<Vec<Sum>>,
}

/// After so many failed writes in a row no more are tried; the daemon has to open the store again.
const FAILURES: usize = 8;

impl Store {
    /// Opens the store in `directory`, which is made if it is missing.
    pub fn open(directory: impl AsRef<Path>) -> Result<Self, StoreError> {
        let directory = directory.as_ref();
        let corrupt =
            |detail: &str| StoreError::Corrupt { directory: directory.to_owned(), detail: detail.to_owned() };
        check_files(directory)?;
        let seal = match Seal::read(directory) {
            Ok(seal) if seal.schema > SCHEMA => {
                let (directory, found) = (directory.to_owned(), seal.schema);
                return Err(StoreError::NewerSchema { directory, found, known: SCHEMA });
            }
            Ok(seal) if seal.schema < SCHEMA => return Err(corrupt("the number of its layout is unknown")),
            Ok(seal) => Some(seal),
            // A first start, or one that was cut short before anything was written.
            Err(Unsealed::Missing) => None,
            Err(Unsealed::Damaged) => return Err(corrupt("its seal is damaged")),
            Err(Unsealed::Io(error)) => return Err(io_error(directory, error)),
        };
        let trees = SledStore::open(directory)?;
        let (sum, entries) = sum(&trees)?;
        match seal {
            Some(seal) if seal.sums.contains(&sum) => {}
            Some(_) => return Err(corrupt("entries are missing or changed")),
            None if entries == 0 => {}
            None => return Err(corrupt("its seal is missing")),
        }
        let seal = Seal { schema: SCHEMA, sums: vec![sum] };
        seal.write(directory).map_err(|error| io_error(directory, error))?;
        Ok(Self(Arc::new(Contents { trees, sums: Mutex::new(vec![sum]) })))
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
        self.0.trees.directory()
    }

    /// The mesh it holds, if any.
    pub fn mesh(&self) -> Result<Option<MeshId>, StoreError> {
        let Some(bytes) = self.0.trees.get(META, KEY_MESH)? else { return Ok(None) };
        let bytes =
            bytes.as_slice().try_into().map_err(|_| self.corrupt("the mesh id has a wrong length"))?;
        Ok(Some(MeshId::from_bytes(bytes)))
    }

    /// Says which mesh it holds; another only after [`Store::clear`].
    pub fn set_mesh(&self, mesh: MeshId) -> Result<(), StoreError> {
        match self.mesh()? {
            Some(found) if found == mesh => Ok(()),
            Some(found) => {
                Err(StoreError::OtherMesh { directory: self.directory().to_owned(), found, wanted: mesh })
            }
            None => {
                // A clearing that was cut short is finished first.
                self.clear()?;
                self.write(META, vec![Change::Put(KEY_MESH.to_vec(), mesh.as_bytes().to_vec())])
            }
        }
    }

    /// Forgets the mesh and all that belongs to it: this device has left. Settings stay.
    pub fn clear(&self) -> Result<(), StoreError> {
        self.write(META, vec![Change::Delete(KEY_MESH.to_vec())])?;
        for tree in [RECORDS, GRANTS, ADDRESSES] {
            let entries = self.0.trees.all(tree)?;
            self.write(tree, entries.into_iter().map(|(key, _)| Change::Delete(key)).collect())?;
        }
        Ok(())
    }

    /// The bytes of all records, in no particular order.
    pub fn load_records(&self) -> Result<Vec<Vec<u8>>, StoreError> {
        Ok(self.0.trees.all(RECORDS)?.into_iter().map(|(_, bytes)| bytes).collect())
    }

    /// All records, each checked again: a disk may forget a bit.
    pub fn load_verified(&self) -> Result<Vec<Verified<Record>>, StoreError> {
        let mut records = Vec::new();
        for (key, bytes) in self.0.trees.all(RECORDS)? {
            let Ok(id) = <[u8; 32]>::try_from(key).map(RecordId::from_bytes) else {
                return Err(self.corrupt("a record has a key of a wrong length"));
            };
            let bad = |detail| {
                let directory = self.directory().to_owned();
                StoreError::CorruptRecord { directory, record: id, detail }
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
        let put =
            |record: &Verified<Record>| Change::Put(record.id().as_bytes().to_vec(), record.bytes().to_vec());
        let delete = |id: &RecordId| Change::Delete(id.as_bytes().to_vec());
        self.write(RECORDS, added.iter().map(put).chain(dropped.iter().map(delete)).collect())
    }

    /// Where peers were reached. What cannot be read is left out: addresses are found again.
    pub fn addresses(&self) -> Result<Vec<(DeviceId, Addresses)>, StoreError> {
        let entries = self.0.trees.all(ADDRESSES)?;
        Ok(entries.into_iter().filter_map(|(key, value)| decode_entry(key, &value)).collect())
    }

    /// Remembers where a peer was reached.
    pub fn put_addresses(&self, peer: &DeviceId, addresses: &Addresses) -> Result<(), StoreError> {
        self.put_encoded(ADDRESSES, peer, addresses)
    }

    /// What this device allows others.
    pub fn all_grants(&self) -> Result<Vec<(DeviceId, Grants)>, StoreError> {
        let entries = self.0.trees.all(GRANTS)?;
        let decoded = entries.into_iter().map(|(key, value)| decode_entry(key, &value));
        decoded.collect::<Option<_>>().ok_or_else(|| self.corrupt("a grant cannot be read"))
    }

    /// What this device allows a peer, if that was ever said.
    pub fn grants(&self, peer: &DeviceId) -> Result<Option<Grants>, StoreError> {
        let Some(bytes) = self.0.trees.get(GRANTS, peer.as_bytes())? else { return Ok(None) };
        let decoded = codec::decode(&bytes, SETTING_BYTES);
        decoded.map(Some).map_err(|error| self.corrupt(&format!("the grants for {}: {error}", peer.short())))
    }

    /// Says what this device allows a peer.
    pub fn put_grants(&self, peer: &DeviceId, grants: &Grants) -> Result<(), StoreError> {
        self.put_encoded(GRANTS, peer, grants)
    }

    /// A setting.
    pub fn setting(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.trees.get(SETTINGS, name.as_bytes())
    }

    /// Writes a setting.
    pub fn put_setting(&self, name: &str, value: &[u8]) -> Result<(), StoreError> {
        if value.len() > SETTING_BYTES {
            return Err(StoreError::TooLong(name.to_owned()));
        }
        self.write(SETTINGS, vec![Change::Put(name.as_bytes().to_vec(), value.to_vec())])
    }

    fn put_encoded<T: Serialize>(&self, tree: &str, peer: &DeviceId, value: &T) -> Result<(), StoreError> {
        let bytes =
            codec::encode(value, SETTING_BYTES).map_err(|error| StoreError::TooLong(error.to_string()))?;
        self.write(tree, vec![Change::Put(peer.as_bytes().to_vec(), bytes)])
    }

    /// A record that no honest caller would write.
    #[cfg(test)]
    pub(super) fn put_raw_record(&self, key: &[u8], value: &[u8]) {
        self.write(RECORDS, vec![Change::Put(key.to_vec(), value.to_vec())])
            .expect("the disk of the test works");
    }

    fn corrupt(&self, detail: &str) -> StoreError {
        StoreError::Corrupt { directory: self.directory().to_owned(), detail: detail.to_owned() }
    }

    /// Every write goes through here: the seal first, then sled.
    fn write(&self, tree: &str, changes: Vec<Change>) -> Result<(), StoreError> {
        let Contents { trees, sums } = &*self.0;
        let mut sums: MutexGuard<'_, Vec<Sum>> = sums.lock().unwrap_or_else(PoisonError::into_inner);
        check_space(trees.directory())?;
        if !SEALED.contains(&tree) {
            return trees.apply(tree, changes);
        }
        if sums.len() > FAILURES {
            let error = io::Error::other("earlier writes failed; start Warren again");
            return Err(StoreError::Io { directory: trees.directory().to_owned(), error });
        }
        // After a failure nobody knows what sled holds until it is asked.
        let before = match sums.as_slice() {
            [sum] => *sum,
            _ => sum(trees)?.0,
        };
        let mut after = before;
        for change in &changes {
            let (Change::Put(key, _) | Change::Delete(key)) = change;
            if let Some(value) = trees.get(tree, key)? {
                seal::toggle(&mut after, tree, key, &value);
            }
            if let Change::Put(key, value) = change {
                seal::toggle(&mut after, tree, key, value);
            }
        }
        for sum in [before, after] {
            if !sums.contains(&sum) {
                sums.push(sum);
            }
        }
        let sealed = Seal { schema: SCHEMA, sums: sums.clone() }.write(trees.directory());
        sealed.map_err(|error| io_error(trees.directory(), error))?;
        trees.apply(tree, changes)?;
        *sums = vec![after];
        // From now on the loss of this write is damage. If this fails, the next write makes up for it.
        let _ = Seal { schema: SCHEMA, sums: sums.clone() }.write(trees.directory());
        Ok(())
    }
}

/// The sum of all sealed entries, and their number.
fn sum(trees: &SledStore) -> Result<(Sum, usize), StoreError> {
    let (mut sum, mut entries) = ([0; 32], 0);
    for tree in SEALED {
        for (key, value) in trees.all(tree)? {
            seal::toggle(&mut sum, tree, &key, &value);
            entries += 1;
        }
    }
    Ok((sum, entries))
}

fn decode_entry<T: Serialize + DeserializeOwned>(key: Vec<u8>, value: &[u8]) -> Option<(DeviceId, T)> {
    let device = DeviceId::from_bytes(key.try_into().ok()?).ok()?;
    Some((device, codec::decode(value, SETTING_BYTES).ok()?))
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Store").field(&self.directory()).finish()
    }
}
