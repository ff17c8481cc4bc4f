//! The public name of a device.

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::VerifyingKey;
use libp2p_identity::{PeerId, PublicKey};
use serde::{Deserialize, Serialize};

use super::BASE32;

/// A device's Ed25519 public key: canonical, and not of small order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "[u8; 32]", into = "[u8; 32]")]
pub struct DeviceId([u8; 32]);

/// Why 32 bytes are no device id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DeviceIdError {
    /// Not 52 characters of the alphabet.
    #[error("a device id has 52 characters of letters and digits")]
    Malformed,
    /// The bytes are no point of the curve.
    #[error("the bytes are no Ed25519 public key")]
    NotAKey,
    /// The bytes spell a key in another way than the one way allowed.
    #[error("the Ed25519 public key is not written in its one canonical form")]
    NotCanonical,
    /// The key has a small order: anybody could sign for it.
    #[error("the Ed25519 public key is of small order and proves nothing")]
    Weak,
}

/// The field prime 2^255 - 19, little endian (RFC 8032, section 5.1).
const FIELD_PRIME: [u8; 32] = {
    let mut prime = [0xff; 32];
    prime[0] = 0xed;
    prime[31] = 0x7f;
    prime
};

/// Whether the 255 low bits of `bytes` are a number below the field prime, so written in the only allowed way.
pub(super) fn is_reduced(bytes: &[u8; 32]) -> bool {
    let mut value = *bytes;
    value[31] &= 0x7f;
    value.iter().rev().lt(FIELD_PRIME.iter().rev())
}

impl DeviceId {
    /// Checks that `bytes` are the canonical encoding of a key that can be relied on.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, DeviceIdError> {
        if !is_reduced(&bytes) {
            return Err(DeviceIdError::NotCanonical);
        }
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| DeviceIdError::NotAKey)?;
        // The points whose x is zero have two spellings (the sign of zero); both are of small order.
        if key.is_weak() {
            return Err(DeviceIdError::Weak);
        }
        Ok(Self(bytes))
    }

    pub(super) const fn of_own_key(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes of the public key.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first 8 characters, for lists where people tell devices apart.
    pub fn short(&self) -> String {
        let mut text = self.to_string();
        text.truncate(8);
        text
    }

    /// The same key as libp2p names it.
    pub fn to_peer_id(&self) -> PeerId {
        let key = libp2p_identity::ed25519::PublicKey::try_from_bytes(&self.0)
            .expect("a DeviceId is a valid point since it was checked when it was made");
        PublicKey::from(key).to_peer_id()
    }

    /// The device behind a libp2p peer, unless its key is of another kind or not acceptable.
    pub fn from_peer_id(peer: &PeerId) -> Option<Self> {
        // Ed25519 keys are short enough to stand in the peer id itself, behind the identity hash (code 0).
        let multihash = peer.as_ref();
        if multihash.code() != 0 {
            return None;
        }
        Self::from_public_key(&PublicKey::try_decode_protobuf(multihash.digest()).ok()?)
    }

    /// The device behind a libp2p public key, unless it is of another kind or not acceptable.
    pub fn from_public_key(key: &PublicKey) -> Option<Self> {
        Self::from_bytes(key.clone().try_into_ed25519().ok()?.to_bytes()).ok()
    }
}

impl TryFrom<[u8; 32]> for DeviceId {
    type Error = DeviceIdError;

    fn try_from(bytes: [u8; 32]) -> Result<Self, Self::Error> {
        Self::from_bytes(bytes)
    }
}

impl From<DeviceId> for [u8; 32] {
    fn from(device: DeviceId) -> Self {
        device.0
    }
}

impl FromStr for DeviceId {
    type Err = DeviceIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = BASE32.decode(text.as_bytes()).map_err(|_| DeviceIdError::Malformed)?;
        Self::from_bytes(bytes.try_into().map_err(|_| DeviceIdError::Malformed)?)
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE32.encode(&self.0))
    }
}

impl fmt::Debug for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceId({})", self.short())
    }
}
