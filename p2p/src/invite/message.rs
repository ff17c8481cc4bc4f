//! What a newcomer and a member say to each other.

use serde::{Deserialize, Serialize};

use super::Refusal;
use crate::limits::{JOIN_REQUEST_BYTES, JOIN_RESPONSE_BYTES};
use crate::record::codec::{self, CodecError};
use crate::record::{Join, Name, Timestamp};

/// From the newcomer, whose connection proves that it holds the invite key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// What are the terms?
    Ask {
        /// The beginning of the Invite record's id, from the code.
        terms: [u8; 16],
        /// What time the newcomer has.
        now: Timestamp,
    },
    /// Let me in.
    Join(Box<Join>),
}

/// From the member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Response {
    /// These are the terms.
    Terms(Box<Terms>),
    /// You are in: the member's records, yours among them, each after what it builds on.
    Admitted {
        /// Signed records.
        records: Vec<Vec<u8>>,
    },
    /// No.
    Refused(Refusal),
}

/// What a code leads to. The records prove themselves; the rest is the member's word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// The Genesis record, whose hash is the mesh id in the code.
    pub genesis: Vec<u8>,
    /// The Invite record, whose hash begins as the code says.
    pub invite: Vec<u8>,
    /// Whether the invite can be used now.
    pub standing: Standing,
    /// How many members the mesh has.
    pub members: u32,
    /// The name of whoever gave the invite, if it is (still) a member.
    pub inviter: Option<Name>,
    /// What time the member has.
    pub now: Timestamp,
}

/// How an invite stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// It can be used.
    Open,
    /// It cannot, and why.
    Closed(Refusal),
}

impl Request {
    /// The bytes to send.
    pub fn encode(&self) -> Result<Vec<u8>, CodecError> {
        codec::encode(self, JOIN_REQUEST_BYTES)
    }

    /// Reads what a newcomer sent.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        codec::decode(bytes, JOIN_REQUEST_BYTES)
    }
}

impl Response {
    /// The bytes to send.
    pub fn encode(&self) -> Result<Vec<u8>, CodecError> {
        codec::encode(self, JOIN_RESPONSE_BYTES)
    }

    /// Reads what a member sent.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        codec::decode(bytes, JOIN_RESPONSE_BYTES)
    }
}
