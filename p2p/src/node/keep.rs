//! Where records and addresses go to stay.

use crate::{
    discovery::Remembered,
    identity::DeviceId,
    record::{Grants, Record, RecordId, Verified},
};

/// Why something could not be kept: a sentence for the person whose disk is full.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct KeepError(pub String);

/// The store as the node sees it. All or nothing, and on disk when it returns.
pub trait Keep {
    /// Writes records that are new and deletes those that they replace.
    fn keep_records(&mut self, added: &[Verified<Record>], dropped: &[RecordId]) -> Result<(), KeepError>;

    /// Writes the addresses of a member; losing them is a nuisance, not an error.
    fn keep_addresses(&mut self, device: &DeviceId, addresses: &[Remembered]);

    /// Writes what we grant a member.
    fn keep_grants(&mut self, device: &DeviceId, grants: &Grants) -> Result<(), KeepError>;
}
