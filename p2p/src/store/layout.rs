//! Everything that is on the disk, in one table.
//!
//! | tree | key | value |
//! | --- | --- | --- |
//! | `meta` | `magic` | `warren store` |
//! | `meta` | `schema` | [`SCHEMA`], 4 bytes, big endian |
//! | `meta` | `mesh` | mesh id, 32 bytes; absent until the device is in a mesh |
//! | `records` | record id, 32 bytes | the record's canonical bytes, whose hash is the key |
//! | `addresses` | device id, 32 bytes | [`Addresses`](super::Addresses), by the record codec |
//! | `grants` | device id, 32 bytes | [`Grants`](crate::record::Grants), by the record codec: what this device allows that one |
//! | `settings` | name, UTF-8 | whatever the owner of the name writes |
//!
//! Records, grants and settings may not be lost; addresses are found again. A change of any format counts
//! [`SCHEMA`] up.

/// The number of this layout.
pub(super) const SCHEMA: u32 = 1;
/// What shows that the files are ours.
pub(super) const MAGIC: &[u8] = b"warren store";

/// Trees.
pub(super) const META: &str = "meta";
pub(super) const RECORDS: &str = "records";
pub(super) const ADDRESSES: &str = "addresses";
pub(super) const GRANTS: &str = "grants";
pub(super) const SETTINGS: &str = "settings";

/// Keys of `meta`.
pub(super) const KEY_MAGIC: &[u8] = b"magic";
pub(super) const KEY_SCHEMA: &[u8] = b"schema";
pub(super) const KEY_MESH: &[u8] = b"mesh";
