//! Who a device is: one Ed25519 key pair, and everything that follows from it.
//!
//! A device has one identity per mesh, so that two meshes of one device cannot be linked. The identity *is* the
//! libp2p key, and the WireGuard key is derived from it, so there is one secret to keep and one file to lose:
//!
//! ```text
//! Identity (32 secret bytes, file of mode 0600)
//!   ├─ DeviceId          the public half; names the device everywhere
//!   ├─ libp2p key pair   the same key; its PeerId is the DeviceId in other clothes
//!   └─ WireGuard secret  derive_secret("warren wg v1/<mesh>/<epoch>"); raising the epoch rotates it
//! DeviceId ── hash ──> IPv4 and IPv6 address inside the mesh
//! ```
//!
//! A [`DeviceId`] that exists is a canonical encoding of a point that is not of small order: whoever was removed
//! cannot come back under another spelling of the same key. What is absent: randomness (seeds come in as
//! arguments), and any secret in a `Debug` output.

mod address;
mod base32;
mod device_id;
pub mod key_file;
mod secret;
mod signature;
mod wireguard_key;

pub use address::{AddressesUsedUp, Subnet, SubnetError, ipv4, ipv6};
pub(crate) use base32::BASE32;
pub use device_id::{DeviceId, DeviceIdError};
pub use secret::Identity;
pub use signature::{Signature, verify};
pub use wireguard_key::{WireGuardKey, WireGuardKeyError};

#[cfg(test)]
mod tests;
