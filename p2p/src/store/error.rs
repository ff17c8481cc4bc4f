//! Why the store cannot be used, and the way out.

use std::io;
use std::path::PathBuf;

use crate::record::{MeshId, RecordId};

/// Why a store does not open, or a write was not made.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else's files are in the directory.
    #[error(
        "{} holds files that are not Warren's ({found}); nothing was changed. \
         Name another directory with --state, or empty this one", .directory.display()
    )]
    Foreign {
        /// The directory.
        directory: PathBuf,
        /// What was found there.
        found: String,
    },
    /// The files are damaged.
    #[error(
        "the store in {} is damaged ({detail}). Nothing was changed. Put back a copy of the directory; or move \
         the directory away, ask any admin for a code and run `warren up CODE`: the records come back from the \
         other members, and with its key file still there this is the same device as before",
        .directory.display()
    )]
    Corrupt {
        /// The directory.
        directory: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// A stored record does not verify.
    #[error(
        "the store in {} is damaged: record {record} does not verify ({detail}). Nothing was changed. Put back a \
         copy of the directory; or move the directory away, ask any admin for a code and run `warren up CODE`",
        .directory.display()
    )]
    CorruptRecord {
        /// The directory.
        directory: PathBuf,
        /// Which record.
        record: RecordId,
        /// What is wrong.
        detail: String,
    },
    /// A newer Warren wrote it.
    #[error(
        "the store in {} was written by a newer version of Warren (layout {found}, this version knows {known}). \
         Bring Warren up to date", .directory.display()
    )]
    NewerSchema {
        /// The directory.
        directory: PathBuf,
        /// The number found.
        found: u32,
        /// The number known.
        known: u32,
    },
    /// Another daemon has it open.
    #[error(
        "another Warren daemon uses {}. Stop it with `warren down`, or name another directory with --state",
        .directory.display()
    )]
    Locked {
        /// The directory.
        directory: PathBuf,
    },
    /// The disk is full.
    #[error("the disk that holds {} is full; the change was not made. Free some space and try again", .directory.display())]
    Full {
        /// The directory.
        directory: PathBuf,
    },
    /// No leave to write there.
    #[error(
        "{} cannot be written ({error}). Run Warren as the user who owns it, or name another directory with --state",
        .directory.display()
    )]
    NotWritable {
        /// The directory.
        directory: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The store is of another mesh.
    #[error("the store in {} belongs to mesh {found}, not to {wanted}", .directory.display())]
    OtherMesh {
        /// The directory.
        directory: PathBuf,
        /// The mesh it holds.
        found: MeshId,
        /// The mesh asked for.
        wanted: MeshId,
    },
    /// A value is too long for its place.
    #[error("a value is too long to be stored: {0}")]
    TooLong(String),
    /// The disk or the system fails.
    #[error("the store in {} cannot be read or written: {error}", .directory.display())]
    Io {
        /// The directory.
        directory: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}
