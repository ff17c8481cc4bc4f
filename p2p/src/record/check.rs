//! What a record must satisfy by itself, before anybody asks what it means in a roster.

use super::body::{Admin, Body, Invite, Join, Newcomer, Record, Removal, Subject};
use super::codec::{self, CodecError};
use super::{Grants, MeshId, RecordError};
use crate::identity::verify;
use crate::limits::{INVITE_SCOPE, INVITE_USES, KEEPS, PORT_GRANTS, RECORD_BYTES, SEQUENCES};

/// Precedes what the invite key signs.
const INVITE_DOMAIN: &[u8] = b"warren join by invite v1\0";
/// Precedes what the newcomer signs.
const DEVICE_DOMAIN: &[u8] = b"warren join by device v1\0";

impl Newcomer {
    /// What the invite key signs.
    pub(crate) fn invite_message(&self, mesh: &MeshId) -> Result<Vec<u8>, CodecError> {
        self.message(INVITE_DOMAIN, mesh)
    }

    /// What the newcomer signs.
    pub(crate) fn device_message(&self, mesh: &MeshId) -> Result<Vec<u8>, CodecError> {
        self.message(DEVICE_DOMAIN, mesh)
    }

    fn message(&self, domain: &[u8], mesh: &MeshId) -> Result<Vec<u8>, CodecError> {
        let mut message = domain.to_vec();
        message.extend(codec::encode(&(mesh, self), RECORD_BYTES)?);
        Ok(message)
    }
}

impl Join {
    /// Whether both inner signatures hold for `mesh`.
    pub fn check(&self, mesh: &MeshId) -> Result<(), RecordError> {
        let newcomer = &self.newcomer;
        if !verify(&newcomer.key, &newcomer.invite_message(mesh)?, &self.invite_signature) {
            return Err(RecordError::InviteSignature);
        }
        if !verify(&newcomer.device, &newcomer.device_message(mesh)?, &self.device_signature) {
            return Err(RecordError::NewcomerSignature);
        }
        Ok(())
    }
}

/// Whether the parts of `record` fit each other, inner signatures included.
pub(super) fn check(record: &Record) -> Result<(), RecordError> {
    let is_genesis = matches!(record.body, Body::Genesis(_));
    if is_genesis != (record.mesh == MeshId::UNFOUNDED) {
        return Err(RecordError::Content("only a Genesis record names no mesh"));
    }
    if record.sequence >= SEQUENCES {
        return Err(RecordError::Content("an author writes at most 65536 records"));
    }
    if record.authority.is_some() && !record.needs_authority() {
        return Err(RecordError::Content("an authority is cited for what needs none"));
    }
    match &record.body {
        Body::Genesis(_) if record.sequence != 0 => {
            Err(RecordError::Content("a Genesis record is its author's first"))
        }
        Body::Genesis(_) | Body::Device(_) | Body::Receipt(_) => Ok(()),
        Body::Invite(invite) => check_invite(record, invite),
        Body::Join(join) => check_join(record, join),
        Body::Admin(Admin::Appoint { device }) if *device == record.author => {
            Err(RecordError::Content("nobody appoints itself"))
        }
        Body::Admin(Admin::Appoint { .. }) => Ok(()),
        Body::Admin(Admin::Dismiss { appointments, keeps, .. }) => {
            check_set(appointments, KEEPS)?;
            check_set(keeps, KEEPS)
        }
        Body::Removal(Removal { keeps, .. }) => check_set(keeps, KEEPS),
    }
}

impl Record {
    /// Whether only an admin may say this. A device may remove and dismiss itself.
    pub(crate) fn needs_authority(&self) -> bool {
        match &self.body {
            Body::Invite(_) | Body::Admin(Admin::Appoint { .. }) => true,
            Body::Admin(Admin::Dismiss { device, .. }) => *device != self.author,
            Body::Removal(removal) => removal.subject != Subject::Device(self.author),
            Body::Genesis(_) | Body::Join(_) | Body::Device(_) | Body::Receipt(_) => false,
        }
    }
}

fn check_invite(record: &Record, invite: &Invite) -> Result<(), RecordError> {
    if invite.uses == 0 || invite.uses > INVITE_USES {
        return Err(RecordError::Content("an invite has between 1 and 10000 uses"));
    }
    if invite.key == record.author {
        return Err(RecordError::Content("an invite key is no device's key"));
    }
    check_set(&invite.only, INVITE_SCOPE)?;
    check_grants(&invite.grants)
}

fn check_grants(grants: &Grants) -> Result<(), RecordError> {
    check_set(&grants.ports, PORT_GRANTS)?;
    if grants.ports.iter().all(|range| range.first > 0 && range.first <= range.last) {
        Ok(())
    } else {
        Err(RecordError::Content("a range of ports is empty"))
    }
}

fn check_join(record: &Record, join: &Join) -> Result<(), RecordError> {
    if join.newcomer.device == record.author {
        return Err(RecordError::Content("nobody witnesses its own joining"));
    }
    if join.newcomer.key == join.newcomer.device {
        return Err(RecordError::Content("an invite key is no device's key"));
    }
    join.check(&record.mesh)
}

/// Sets are written ascending and without repetition, so that each has one form.
fn check_set<T: Ord>(set: &[T], limit: usize) -> Result<(), RecordError> {
    if set.len() > limit {
        return Err(RecordError::Content("a list is longer than allowed"));
    }
    if set.windows(2).all(|pair| pair[0] < pair[1]) {
        Ok(())
    } else {
        Err(RecordError::Content("a set is not in ascending order"))
    }
}
