//! What an admin's record must say so that it does what the admin means, and nothing else.

use std::collections::BTreeSet;

use super::{Refusal, Roster};
use crate::identity::DeviceId;
use crate::limits::KEEPS;
use crate::record::{Admin, Body, RecordId, Removal, Subject};

impl Roster {
    /// The record by which `by` removes `device`, or leaves if they are the same. Keeps whom the device let in
    /// and what it said as an admin, but none of its open invites.
    pub fn remove_device(&self, by: &DeviceId, device: &DeviceId) -> Result<Body, Refusal> {
        if !self.joined.contains_key(device) || self.removed.contains_key(device) {
            return Err(Refusal::Unknown);
        }
        if by != device {
            self.check_senior(by, device)?;
        }
        let mut keeps = self.joins(|joined| joined.witness == *device || joined.inviter == *device);
        keeps.extend(self.statements.get(device).into_iter().flat_map(|said| said.keys()));
        let subject = Subject::Device(*device);
        Ok(Body::Removal(Removal { subject, keeps: capped(keeps)? }))
    }

    /// The record by which `by` takes an invite back. Keeps whoever joined by it.
    pub fn revoke_invite(&self, by: &DeviceId, invite: &RecordId) -> Result<Body, Refusal> {
        if !self.is_admin(by) {
            return Err(Refusal::NotAllowed);
        }
        let state = self.invites.get(invite).ok_or(Refusal::Unknown)?;
        if state.revoked || state.void {
            return Err(Refusal::Revoked);
        }
        let keeps = self.joins(|joined| joined.invite == Some(*invite));
        let subject = Subject::Invite(*invite);
        Ok(Body::Removal(Removal { subject, keeps: capped(keeps)? }))
    }

    /// The record by which `by` makes `device` an admin, one level below itself.
    pub fn appoint_admin(&self, by: &DeviceId, device: &DeviceId) -> Result<Body, Refusal> {
        if !self.is_admin(by) {
            return Err(Refusal::NotAllowed);
        }
        if !self.is_member(device) || by == device {
            return Err(Refusal::Unknown);
        }
        Ok(Body::Admin(Admin::Appoint { device: *device }))
    }

    /// The record by which `by` ends all appointments of `device` that are in force. Keeps whom the device
    /// invited and what it said as an admin, but none of its open invites.
    pub fn dismiss_admin(&self, by: &DeviceId, device: &DeviceId) -> Result<Body, Refusal> {
        if by != device {
            self.check_senior(by, device)?;
        }
        let appointments: BTreeSet<RecordId> = self.appointments.get(device).cloned().unwrap_or_default();
        if appointments.is_empty() {
            return Err(Refusal::Unknown);
        }
        let mut keeps = self.joins(|joined| joined.inviter == *device);
        let said = self.statements.get(device).into_iter().flatten();
        keeps.extend(
            said.filter(|(_, under)| under.is_some_and(|id| appointments.contains(&id))).map(|(id, _)| id),
        );
        let appointments = capped(appointments)?;
        Ok(Body::Admin(Admin::Dismiss { device: *device, appointments, keeps: capped(keeps)? }))
    }

    /// Whether `by` is an admin closer to the founder than `device`.
    fn check_senior(&self, by: &DeviceId, device: &DeviceId) -> Result<(), Refusal> {
        match (self.admins.get(by), self.admins.get(device)) {
            (Some(_), None) => Ok(()),
            (Some(by), Some(device)) if by.level < device.level => Ok(()),
            (Some(_) | None, Some(_) | None) => Err(Refusal::NotAllowed),
        }
    }

    /// The Joins that count and are so. Removed devices have theirs: what they witnessed rests on it.
    fn joins(&self, which: impl Fn(&super::roster::Joined) -> bool) -> BTreeSet<RecordId> {
        let joins = self.joined.values().filter(|joined| joined.invite.is_some() && which(joined));
        joins.map(|joined| joined.record).collect()
    }
}

fn capped(set: BTreeSet<RecordId>) -> Result<Vec<RecordId>, Refusal> {
    if set.len() > KEEPS { Err(Refusal::TooMuchToKeep) } else { Ok(set.into_iter().collect()) }
}
