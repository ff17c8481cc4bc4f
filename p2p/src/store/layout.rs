//! Everything that is on the disk, in one table.
//!
//! | where | key | value |
//! | --- | --- | --- |
//! | file `seal` | | [`MAGIC`], [`SCHEMA`], sums of all entries but addresses (`seal.rs`), a hash |
//! | tree `meta` | `mesh` | mesh id, 32 bytes; absent until the device is in a mesh |
//! | tree `records` | record id, 32 bytes | the record's canonical bytes, whose hash is the key |
//! | tree `addresses` | device id, 32 bytes | [`Addresses`](super::Addresses), by the record codec |
//! | tree `grants` | device id, 32 bytes | [`Grants`](crate::record::Grants), by the record codec: what this device allows that one |
//! | tree `settings` | name, UTF-8 | whatever the owner of the name writes |
//!
//! Records, grants and settings may not be lost; addresses are found again. A change of any format counts
//! [`SCHEMA`] up.

/// The number of this layout.
pub(super) const SCHEMA: u32 = 1;
/// What shows that the files are ours.
pub(super) const MAGIC: &[u8] = b"warren store";

/// The trees.
pub(super) const META: &str = "meta";
pub(super) const RECORDS: &str = "records";
pub(super) const ADDRESSES: &str = "addresses";
pub(super) const GRANTS: &str = "grants";
pub(super) const SETTINGS: &str = "settings";

/// All of them.
pub(super) const TREES: [&str; 5] = [META, RECORDS, ADDRESSES, GRANTS, SETTINGS];
/// Those that may not be lost.
pub(super) const SEALED: [&str; 4] = [META, RECORDS, GRANTS, SETTINGS];

/// The key of the mesh in `meta`.
pub(super) const KEY_MESH: &[u8] = b"mesh";
