//! The identity on the disk: one small file that only its owner can read.
//!
//! Written to a temporary file beside it, synced, put under its name, and the directory synced: so it is whole or absent,
//! whenever the power goes. An existing file is never overwritten.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{BASE32, Identity};

/// The first line; a later format says another number.
const HEADER: &str = "warren identity 1";
/// Read and write for the owner, nothing for others.
const MODE: u32 = 0o600;
/// A key file has 75 bytes; no more of a file is read.
const LIMIT: u64 = 256;

/// Why an identity was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// There is none yet.
    #[error("there is no key file {}", .0.display())]
    Missing(PathBuf),
    /// There is one already.
    #[error("the key file {} exists already and is not overwritten", .0.display())]
    Exists(PathBuf),
    /// It is no key file, or a damaged one.
    #[error(
        "the key file {} is damaged or no key file ({reason}). Put back a copy of it; without it this device \
         is lost to its mesh and must be invited as a new one", .path.display()
    )]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: &'static str,
    },
    /// Others may read it.
    #[error(
        "the key file {} can be read or written by others (mode {mode:03o}). If nobody did, run: chmod 600 {}",
        .path.display(), .path.display()
    )]
    WrongMode {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The disk is full.
    #[error("the disk is full: the key file {} could not be written. Free some space and try again", .0.display())]
    Full(PathBuf),
    /// No leave to read or write there.
    #[error(
        "{} cannot be read or written ({error}). Run Warren as the user who owns it, or name another directory \
         with --state", .path.display()
    )]
    NotWritable {
        /// The file or its directory.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The disk or the system fails.
    #[error("the key file {} cannot be read or written: {error}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

/// Reads the identity in the file `path`.
pub fn load(path: &Path) -> Result<Identity, KeyFileError> {
    let malformed = |reason| KeyFileError::Malformed { path: path.to_owned(), reason };
    let file = File::open(path).map_err(|error| of_io(path, error))?;
    let metadata = file.metadata().map_err(|error| of_io(path, error))?;
    if !metadata.is_file() {
        return Err(malformed("it is not a file"));
    }
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyFileError::WrongMode { path: path.to_owned(), mode });
    }
    let mut text = Zeroizing::new(Vec::with_capacity(LIMIT as usize));
    file.take(LIMIT).read_to_end(&mut text).map_err(|error| of_io(path, error))?;
    let text = std::str::from_utf8(&text).map_err(|_| malformed("it is not text"))?;
    let mut lines = text.lines();
    if lines.next() != Some(HEADER) {
        return Err(malformed("its first line is another"));
    }
    let key = lines.next().ok_or_else(|| malformed("it has no second line"))?;
    if lines.next().is_some() {
        return Err(malformed("it has more than two lines"));
    }
    let bytes = BASE32
        .decode(key.as_bytes())
        .map(Zeroizing::new)
        .map_err(|_| malformed("its key is not readable"))?;
    let (secret, sum) = bytes.split_last_chunk::<4>().ok_or_else(|| malformed("its key is too short"))?;
    if checksum(secret).ct_ne(sum).into() {
        return Err(malformed("its key does not fit its checksum"));
    }
    let secret = <&[u8; 32]>::try_from(secret).map_err(|_| malformed("its key has a wrong length"))?;
    Ok(Identity::from_bytes(secret))
}

/// Writes a new identity, made of 32 secret random bytes, to the file `path`, whose directory exists.
pub fn create(path: &Path, seed: [u8; 32]) -> Result<Identity, KeyFileError> {
    let identity = Identity::generate(seed);
    let secret = identity.to_bytes();
    let mut bytes = Zeroizing::new(secret.to_vec());
    bytes.extend(checksum(&*secret));
    let text = Zeroizing::new(format!("{HEADER}\n{}\n", *Zeroizing::new(BASE32.encode(&bytes))));
    let temporary = path.with_extension("new");
    let written = write(path, &temporary, text.as_bytes());
    if written.is_err() {
        // Nothing half-made stays behind. If not even this works, the next attempt removes it.
        let _ = fs::remove_file(&temporary);
    }
    written.map(|()| identity)
}

/// The identity in the file, or a new one of `seed` if there is none.
pub fn load_or_create(path: &Path, seed: [u8; 32]) -> Result<Identity, KeyFileError> {
    match load(path) {
        Err(KeyFileError::Missing(_)) => create(path, seed),
        loaded => loaded,
    }
}

fn write(path: &Path, temporary: &Path, text: &[u8]) -> Result<(), KeyFileError> {
    let io = |error: io::Error| {
        if error.kind() == io::ErrorKind::NotFound {
            return KeyFileError::Io { path: path.to_owned(), error };
        }
        of_io(path, error)
    };
    if path.try_exists().map_err(io)? {
        return Err(KeyFileError::Exists(path.to_owned()));
    }
    // Left by an attempt that was cut short; a key that was never used.
    match fs::remove_file(temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io(error)),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(temporary).map_err(io)?;
    file.write_all(text).map_err(io)?;
    file.sync_all().map_err(io)?;
    // A link fails if another process made the file meanwhile, where a rename would replace it. Some file systems
    // have no links.
    match fs::hard_link(temporary, path) {
        Ok(()) => fs::remove_file(temporary).map_err(io)?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(io(error)),
        Err(_) => fs::rename(temporary, path).map_err(io)?,
    }
    let directory =
        path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(io)
}

fn checksum(secret: &[u8]) -> [u8; 4] {
    let [a, b, c, d, ..] = blake3::derive_key("warren key file checksum v1", secret);
    [a, b, c, d]
}

pub(super) fn of_io(path: &Path, error: io::Error) -> KeyFileError {
    let path = path.to_owned();
    let kind = error.kind();
    if kind == io::ErrorKind::NotFound {
        KeyFileError::Missing(path)
    } else if kind == io::ErrorKind::AlreadyExists {
        KeyFileError::Exists(path)
    } else if matches!(kind, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
        KeyFileError::Full(path)
    } else if matches!(kind, io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem) {
        KeyFileError::NotWritable { path, error }
    } else {
        KeyFileError::Io { path, error }
    }
}
