//! Names of records and of meshes: hashes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::identity::BASE32;

/// Why a text is no identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an identifier has 52 characters of letters and digits")]
pub struct IdError;

macro_rules! hash_type {
    ($name:ident, $doc:literal) => {
        #[doc = $doc]
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name([u8; 32]);

        impl $name {
            /// Takes 32 bytes as they are.
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The 32 bytes.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// The first 8 characters, enough to tell the few apart that people see at once.
            pub fn short(&self) -> String {
                let mut text = self.to_string();
                text.truncate(8);
                text
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&BASE32.encode(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.short())
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let bytes = BASE32.decode(text.as_bytes()).map_err(|_| IdError)?;
                Ok(Self(bytes.try_into().map_err(|_| IdError)?))
            }
        }
    };
}

hash_type!(RecordId, "The BLAKE3 hash of a record's canonical bytes, its signature included.");
hash_type!(MeshId, "The name of a mesh: the id of its Genesis record.");

impl MeshId {
    /// What stands in the Genesis record itself, which cannot hold its own hash.
    pub const UNFOUNDED: Self = Self([0; 32]);
}

impl From<RecordId> for MeshId {
    fn from(genesis: RecordId) -> Self {
        Self(genesis.0)
    }
}

impl From<MeshId> for RecordId {
    fn from(mesh: MeshId) -> Self {
        Self(mesh.0)
    }
}
