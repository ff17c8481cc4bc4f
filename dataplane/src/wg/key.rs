//! X25519 keys as WireGuard uses them.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::tunnel;

/// The WireGuard public key of a device, which names it everywhere in this crate.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(pub [u8; 32]);

impl fmt::Debug for PublicKey {
    /// The first bytes are enough to tell peers apart in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.0;
        write!(f, "PublicKey({a:02x}{b:02x}{c:02x}{d:02x}..)")
    }
}

/// The WireGuard private key of this device.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct PrivateKey([u8; 32]);

/// A public key of small order: every secret agreed with it is known to everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the public key is of low order, no secret can be agreed with it")]
pub struct LowOrderKey;

impl PrivateKey {
    /// Take 32 secret bytes as they are; X25519 clamps them itself (RFC 7748, 5).
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(tunnel::public_half(&self.0))
    }

    /// The key under which this device and `peer` authenticate path probes. Both sides derive the same one.
    pub fn probe_key(&self, peer: &PublicKey) -> Result<Zeroizing<[u8; 32]>, LowOrderKey> {
        let ours = self.public();
        let shared = tunnel::diffie_hellman(&self.0, &peer.0).ok_or(LowOrderKey)?;
        let mut material = Zeroizing::new([0; 96]);
        let (secret, keys) = material.split_at_mut(32);
        let (smaller, larger) = keys.split_at_mut(32);
        secret.copy_from_slice(&*shared);
        smaller.copy_from_slice(&ours.min(*peer).0);
        larger.copy_from_slice(&ours.max(*peer).0);
        Ok(Zeroizing::new(blake3::derive_key("warren probe v1", &*material)))
    }

    pub(super) const fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for PrivateKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for PrivateKey {}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(..)")
    }
}
