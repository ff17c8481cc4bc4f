//! What tells a whole store from a damaged one.
//!
//! sled takes a damaged end of its log for a write that a power cut left unfinished, and drops it without a
//! word; with it can go every record. So a small file beside it, the seal, says what the store must hold: the
//! sum (XOR) of the hashes of all entries. It is replaced before each write, when it names two sums, before and
//! after, so that one of them fits whatever moment the power goes; and after it, when it names one, so that the
//! loss of that write is noticed. Addresses are not counted; they may be lost.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use super::layout::{MAGIC, SCHEMA};
use crate::limits::SETTING_BYTES;
use crate::record::codec;

/// The file's name.
pub(super) const FILE: &str = "seal";
/// The name of the file that becomes it.
pub(super) const NEW_FILE: &str = "seal.new";

/// The XOR of the hashes of all entries.
pub(super) type Sum = [u8; 32];

/// What stands in the file: [`MAGIC`], the schema number (4 bytes, big endian), the sums by the record codec, and
/// a BLAKE3 hash of all that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seal {
    pub(super) schema: u32,
    /// What the store may hold; empty if the schema is another.
    pub(super) sums: Vec<Sum>,
}

/// Why there is no seal to go by.
pub(super) enum Unsealed {
    Missing,
    Damaged,
    Io(io::Error),
}

impl Seal {
    pub(super) fn read(directory: &Path) -> Result<Self, Unsealed> {
        let bytes = match fs::read(directory.join(FILE)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Unsealed::Missing),
            Err(error) => return Err(Unsealed::Io(error)),
        };
        let (body, hash) = bytes.split_last_chunk::<32>().ok_or(Unsealed::Damaged)?;
        if blake3::hash(body).as_bytes() != hash {
            return Err(Unsealed::Damaged);
        }
        let rest = body.strip_prefix(MAGIC).ok_or(Unsealed::Damaged)?;
        let (schema, sums) = rest.split_first_chunk().ok_or(Unsealed::Damaged)?;
        let schema = u32::from_be_bytes(*schema);
        if schema != SCHEMA {
            return Ok(Self { schema, sums: Vec::new() });
        }
        let sums = codec::decode(sums, SETTING_BYTES).map_err(|_| Unsealed::Damaged)?;
        Ok(Self { schema, sums })
    }

    pub(super) fn write(&self, directory: &Path) -> io::Result<()> {
        let mut bytes = [MAGIC, &self.schema.to_be_bytes()].concat();
        bytes.extend(codec::encode(&self.sums, SETTING_BYTES).map_err(io::Error::other)?);
        bytes.extend(blake3::hash(&bytes).as_bytes());
        let new = directory.join(NEW_FILE);
        let mut file = File::create(&new)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&new, directory.join(FILE))?;
        File::open(directory)?.sync_all()
    }
}

/// Adds an entry to a sum, or takes it out again.
pub(super) fn toggle(sum: &mut Sum, tree: &str, key: &[u8], value: &[u8]) {
    let mut hasher = blake3::Hasher::new_derive_key("warren store entry v1");
    for part in [tree.as_bytes(), key] {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
    }
    let hash = hasher.update(value).finalize();
    for (sum, byte) in sum.iter_mut().zip(hash.as_bytes()) {
        *sum ^= byte;
    }
}
