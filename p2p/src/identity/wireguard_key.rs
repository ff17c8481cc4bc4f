//! The public key that packets are sealed for.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::device_id::is_reduced;

/// An X25519 public key: canonical, and not of small order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "[u8; 32]", into = "[u8; 32]")]
pub struct WireGuardKey([u8; 32]);

/// Why 32 bytes are no usable WireGuard key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireGuardKeyError {
    /// The number is not reduced, or the unused top bit is set.
    #[error("the WireGuard key is not written in its one canonical form")]
    NotCanonical,
    /// A handshake with this key would give a secret that everybody knows.
    #[error("the WireGuard key is of small order and keeps nothing secret")]
    Weak,
}

/// The reduced u-coordinates of small order on Curve25519 and its twist, little endian
/// (<https://cr.yp.to/ecdh.html#validate>): 0, 1, -1 and the two of order 8.
pub(super) const SMALL_ORDER: [[u8; 32]; 5] = [
    [0; 32],
    {
        let mut one = [0; 32];
        one[0] = 1;
        one
    },
    {
        let mut minus_one = [0xff; 32];
        minus_one[0] = 0xec;
        minus_one[31] = 0x7f;
        minus_one
    },
    [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda,
        0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
    ],
    [
        0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b, 0x04,
        0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57,
    ],
];

impl WireGuardKey {
    /// Checks that `bytes` are a key worth a handshake.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, WireGuardKeyError> {
        if bytes[31] & 0x80 != 0 || !is_reduced(&bytes) {
            return Err(WireGuardKeyError::NotCanonical);
        }
        if SMALL_ORDER.contains(&bytes) {
            return Err(WireGuardKeyError::Weak);
        }
        Ok(Self(bytes))
    }

    pub(super) const fn of_own_key(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes as WireGuard sends them.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl TryFrom<[u8; 32]> for WireGuardKey {
    type Error = WireGuardKeyError;

    fn try_from(bytes: [u8; 32]) -> Result<Self, Self::Error> {
        Self::from_bytes(bytes)
    }
}

impl From<WireGuardKey> for [u8; 32] {
    fn from(key: WireGuardKey) -> Self {
        key.0
    }
}

impl fmt::Display for WireGuardKey {
    /// Base 64, as every WireGuard tool prints keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::BASE64.encode(&self.0))
    }
}

impl fmt::Debug for WireGuardKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WireGuardKey({self})")
    }
}
