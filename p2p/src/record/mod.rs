//! Records: signed, content-addressed facts, the only thing that changes who is in a mesh.
//!
//! ```text
//! bytes = version 1 | Record { mesh, author, sequence, authority, issued_at, body } | signature of the author
//! id    = BLAKE3(bytes)          mesh id = id of the Genesis record
//! ```
//!
//! | body | author | says |
//! | --- | --- | --- |
//! | [`Genesis`] | founder | the mesh's name and network, the founder's device |
//! | [`Invite`] | admin | whoever holds this key may join on these terms |
//! | [`Join`] | the member that let the newcomer in: the *witness* | this device joined by that invite; carries the invite key's and the newcomer's own signature |
//! | [`Device`] | the device | its name, its WireGuard key, what it offers |
//! | [`Admin`] | admin | a device becomes an admin, or is one no longer |
//! | [`Removal`] | admin, or a device of itself | a device or an invite is out, for good |
//! | [`Receipt`] | any member | I have applied that removal |
//!
//! Bytes become a [`Signed`] and, when every signature in them holds, a [`Verified`]: there is no other way to
//! make one, and only `Verified` records reach the log, the store and the roster. Bytes have one form: what
//! does not encode again to the very same bytes is refused, so a record has one id.
//!
//! An admin cites its *authority*, the record that appointed it. The chain of authorities ends at the founder
//! and, being made of hashes, has no cycle; see [`membership`](crate::membership) for what follows from it.
//!
//! What is absent: addresses of devices now (they change by the minute and are told, not recorded), grants
//! (each device is master of its own door), deletion (a removal is one more fact), clocks and randomness.

mod body;
mod check;
pub mod codec;
mod founding;
mod grants;
mod id;
mod name;
mod signed;
mod timestamp;

pub use body::{
    Admin, Body, Device, Genesis, Invite, Join, Newcomer, Receipt, Record, Relation, Removal, Subject,
};
pub use codec::CodecError;
pub use founding::{Founding, found};
pub use grants::{Grants, PortGrant, Protocol};
pub use id::{IdError, MeshId, RecordId};
pub use name::{Name, NameError, Os, OsError};
pub use signed::{RecordError, Signable, Signed, Verified};
pub use timestamp::Timestamp;

#[cfg(test)]
mod tests;
