//! Values to bytes and back, in one form only and never beyond a cap.
//!
//! bincode 2, standard configuration: integers of variable length, little endian, lengths before sequences.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// No message of this crate is longer, whatever cap a caller names: bounds what a claimed length can make the
/// decoder reserve. In bytes.
const HARD_LIMIT: usize = 8 * 1024 * 1024;

/// Why bytes are not a value, or a value makes no bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// More bytes than the cap.
    #[error("{length} bytes where at most {limit} are allowed")]
    TooLong {
        /// Bytes given or made.
        length: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// The bytes do not describe the value.
    #[error("malformed bytes: {0}")]
    Malformed(String),
    /// The value ends before the bytes do.
    #[error("{0} bytes too many at the end")]
    Trailing(usize),
    /// The bytes spell the value in a way that encoding it would not.
    #[error("the bytes are not in canonical form")]
    NotCanonical,
}

/// The bytes of `value`, at most `limit` of them.
pub fn encode<T: Serialize>(value: &T, limit: usize) -> Result<Vec<u8>, CodecError> {
    let bytes = canonical(value)?;
    let length = bytes.len();
    if length > limit { Err(CodecError::TooLong { length, limit }) } else { Ok(bytes) }
}

/// The value whose canonical bytes are `bytes`, all of them and at most `limit`.
pub fn decode<T: Serialize + DeserializeOwned>(bytes: &[u8], limit: usize) -> Result<T, CodecError> {
    if bytes.len() > limit {
        return Err(CodecError::TooLong { length: bytes.len(), limit });
    }
    let config = bincode::config::standard().with_limit::<HARD_LIMIT>();
    let (value, read) = bincode::serde::decode_from_slice(bytes, config)
        .map_err(|error| CodecError::Malformed(error.to_string()))?;
    if read != bytes.len() {
        return Err(CodecError::Trailing(bytes.len() - read));
    }
    if canonical(&value)? == bytes { Ok(value) } else { Err(CodecError::NotCanonical) }
}

fn canonical<T: Serialize>(value: &T) -> Result<Vec<u8>, CodecError> {
    bincode::serde::encode_to_vec(value, bincode::config::standard())
        .map_err(|error| CodecError::Malformed(error.to_string()))
}
