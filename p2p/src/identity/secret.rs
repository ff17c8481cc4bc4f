//! The secret half of a device.

use std::fmt;

use ed25519_dalek::{Signer, SigningKey};
use libp2p_identity::Keypair;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use super::{DeviceId, Signature, WireGuardKey};
use crate::record::MeshId;

/// A device's Ed25519 secret. Wiped from memory when dropped, never shown.
#[derive(Clone)]
pub struct Identity(SigningKey);

impl Identity {
    /// Makes the identity of these 32 secret random bytes (which the caller draws and wipes).
    pub fn generate(seed: [u8; 32]) -> Self {
        Self(SigningKey::from_bytes(&Zeroizing::new(seed)))
    }

    /// The identity that [`Identity::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(bytes))
    }

    /// The 32 secret bytes.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The public half.
    pub fn device_id(&self) -> DeviceId {
        DeviceId::of_own_key(self.0.verifying_key().to_bytes())
    }

    /// Signs `message`, which must begin with a domain string of its own.
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature::from_bytes(self.0.sign(message).to_bytes())
    }

    /// The same key for libp2p.
    pub fn libp2p_keypair(&self) -> Keypair {
        Keypair::ed25519_from_bytes(&mut *self.to_bytes()).expect("any 32 bytes are an Ed25519 secret")
    }

    /// The WireGuard secret of this device in `mesh`: HKDF-SHA256 of the identity, as libp2p derives secrets.
    /// A higher `epoch` is a fresh key; the public half stands in a record signed by the identity.
    pub fn wireguard_secret(&self, mesh: &MeshId, epoch: u32) -> Zeroizing<[u8; 32]> {
        let domain = format!("warren wg v1/{mesh}/{epoch}");
        let secret = self.libp2p_keypair().derive_secret(domain.as_bytes());
        Zeroizing::new(secret.expect("libp2p derives secrets from every Ed25519 key"))
    }

    /// The public half of [`Identity::wireguard_secret`].
    pub fn wireguard_public(&self, mesh: &MeshId, epoch: u32) -> WireGuardKey {
        let secret = StaticSecret::from(*self.wireguard_secret(mesh, epoch));
        WireGuardKey::of_own_key(PublicKey::from(&secret).to_bytes())
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(..)")
    }
}
