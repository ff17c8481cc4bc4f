//! The door: bytes become [`Signed`], and when every signature holds, [`Verified`].

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::codec::{self, CodecError};
use super::{Record, RecordId, check};
use crate::identity::{DeviceId, Identity, Signature, verify};
use crate::limits::RECORD_BYTES;

/// The first byte of everything signed. A later format counts on.
const VERSION: u8 = 1;

/// Why bytes are no record to rely on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Not the bytes of a record.
    #[error("not a record: {0}")]
    Codec(#[from] CodecError),
    /// Made by a newer Warren.
    #[error("record format {0} is newer than this version of Warren understands")]
    NewerVersion(u8),
    /// The author did not sign this.
    #[error("the author's signature does not fit the record")]
    Signature,
    /// The invite key did not sign this newcomer.
    #[error("the invite key's signature does not fit the newcomer")]
    InviteSignature,
    /// The newcomer did not sign this.
    #[error("the newcomer's signature does not fit what the record says of it")]
    NewcomerSignature,
    /// The parts contradict each other or exceed a limit.
    #[error("impossible record: {0}")]
    Content(&'static str),
}

/// A statement that somebody signs: records, and short-lived ones such as where a device is now.
pub trait Signable: Serialize + DeserializeOwned {
    /// Precedes the bytes that are signed, so that a signature over one kind never fits another. Ends in `\0`.
    const DOMAIN: &'static [u8];
    /// The longest encoding accepted, with signature, in bytes.
    const LIMIT: usize;

    /// Who signs.
    fn author(&self) -> DeviceId;

    /// What the statement must satisfy by itself, beyond the author's signature.
    fn check(&self) -> Result<(), RecordError>;
}

impl Signable for Record {
    const DOMAIN: &'static [u8] = b"warren record v1\0";
    const LIMIT: usize = RECORD_BYTES;

    fn author(&self) -> DeviceId {
        self.author
    }

    fn check(&self) -> Result<(), RecordError> {
        check::check(self)
    }
}

/// A statement with a signature that nobody has checked yet. All one can do with it is [`Signed::verify`].
pub struct Signed<T> {
    value: T,
    signature: Signature,
    bytes: Vec<u8>,
}

impl<T: Signable> Signed<T> {
    /// Reads canonical bytes of at most [`Signable::LIMIT`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        if let Some(version) = bytes.first().copied().filter(|version| *version > VERSION) {
            return Err(RecordError::NewerVersion(version));
        }
        let (version, value, signature): (u8, T, Signature) = codec::decode(bytes, T::LIMIT)?;
        if version != VERSION {
            return Err(RecordError::Content("there is no record format 0"));
        }
        Ok(Self { value, signature, bytes: bytes.to_vec() })
    }

    /// Checks the author's signature and the statement itself. The only way to a [`Verified`], but for making
    /// one's own.
    pub fn verify(self) -> Result<Verified<T>, RecordError> {
        if !verify(&self.value.author(), &message(&self.value)?, &self.signature) {
            return Err(RecordError::Signature);
        }
        self.value.check()?;
        let id = RecordId::from_bytes(*blake3::hash(&self.bytes).as_bytes());
        Ok(Verified(Arc::new(Content { id, value: self.value, bytes: self.bytes })))
    }
}

impl<T> fmt::Debug for Signed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signed({} bytes, unchecked)", self.bytes.len())
    }
}

/// A statement whose signatures hold. Cheap to clone.
pub struct Verified<T>(Arc<Content<T>>);

struct Content<T> {
    id: RecordId,
    value: T,
    bytes: Vec<u8>,
}

impl<T: Signable> Verified<T> {
    /// Signs one's own statement. Refused if it breaks the rules that others will hold it to, or if `identity`
    /// is not its author.
    pub fn sign(value: T, identity: &Identity) -> Result<Self, RecordError> {
        let signature = identity.sign(&message(&value)?);
        let bytes = codec::encode(&(VERSION, &value, signature), T::LIMIT)?;
        Signed { value, signature, bytes }.verify()
    }

    /// Reads and checks bytes: [`Signed::from_bytes`], then [`Signed::verify`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        Signed::from_bytes(bytes)?.verify()
    }

    /// The hash of the bytes.
    pub fn id(&self) -> RecordId {
        self.0.id
    }

    /// What is said.
    pub fn value(&self) -> &T {
        &self.0.value
    }

    /// The canonical bytes, signature included.
    pub fn bytes(&self) -> &[u8] {
        &self.0.bytes
    }
}

impl Verified<Record> {
    /// The record.
    pub fn record(&self) -> &Record {
        &self.0.value
    }
}

fn message<T: Signable>(value: &T) -> Result<Vec<u8>, CodecError> {
    let mut message = T::DOMAIN.to_vec();
    message.extend(codec::encode(value, T::LIMIT)?);
    Ok(message)
}

impl<T> Clone for Verified<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> PartialEq for Verified<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}

impl<T> Eq for Verified<T> {}

impl<T: fmt::Debug> fmt::Debug for Verified<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Verified").field(&self.0.id).field(&self.0.value).finish()
    }
}
