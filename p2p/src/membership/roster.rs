//! The roster: who is in the mesh now, as it follows from a set of records.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};

use super::Refusal;
use super::precedence;
use crate::identity::{DeviceId, Subnet, WireGuardKey};
use crate::limits::MEMBERS;
use crate::record::{
    Grants, Invite, Join, MeshId, Name, Os, Record, RecordId, Relation, Timestamp, Verified,
};

/// A member of the mesh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its key.
    pub id: DeviceId,
    /// The name shown, unique in the mesh: the one it wants, or that with a number.
    pub name: Name,
    /// Its WireGuard key, which no other member has.
    pub wireguard: WireGuardKey,
    /// Which epoch that key is of.
    pub epoch: u32,
    /// Its address, which no other member has.
    pub ipv4: Ipv4Addr,
    /// Its address.
    pub ipv6: Ipv6Addr,
    /// What it says it runs.
    pub os: Os,
    /// The device that stands for its owner: members with the same are each other's own.
    pub owner: DeviceId,
    /// Whether it may invite, remove and appoint.
    pub admin: bool,
    /// When it joined, by the clock of its witness.
    pub joined_at: Timestamp,
    /// Who let it in; itself in the founder's case.
    pub witness: DeviceId,
    /// Whose invite it came by; itself in the founder's case.
    pub inviter: DeviceId,
    /// The invite it came by; none in the founder's case.
    pub invite: Option<RecordId>,
    /// What the inviter's device grants it on arrival.
    pub grants_on_arrival: Grants,
    /// The devices it is shown, if it is a guest with a narrow invite; empty means all.
    pub only: Vec<DeviceId>,
    /// Offers to forward packets.
    pub relay: bool,
    /// Offers to be a way to the Internet.
    pub exit: bool,
}

/// An invite, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InviteState {
    /// The record.
    pub invite: Invite,
    /// Who gave it.
    pub author: DeviceId,
    /// When, by the author's clock.
    pub issued_at: Timestamp,
    /// The devices that came by it, in the order they came; removed ones too, for a use does not come back.
    pub used_by: Vec<DeviceId>,
    /// An admin took it back.
    pub revoked: bool,
    /// Whoever gave it had no right to, or has it no more.
    pub void: bool,
}

/// A device that is out for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Departed {
    /// The removal that shows it; the smallest id if there are several.
    pub removal: RecordId,
    /// Who removed it; itself if it left.
    pub by: DeviceId,
    /// When, by that device's clock.
    pub at: Timestamp,
}

/// Why a device that joined is not among the members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suspension {
    /// The founder's Device record, which tells its WireGuard key, is not here yet.
    NoWireGuardKey,
    /// It claims the WireGuard key of another member.
    WireGuardKeyOf(DeviceId),
}

/// That a device joined, whether or not it is still in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Joined {
    pub(super) at: Timestamp,
    pub(super) witness: DeviceId,
    pub(super) inviter: DeviceId,
    pub(super) invite: Option<RecordId>,
    pub(super) record: RecordId,
    pub(super) owner: DeviceId,
}

/// By what an admin is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rank {
    /// 0 for the founder, one more for each appointment between.
    pub(super) level: u32,
    /// The appointment it acts under; none for the founder.
    pub(super) appointment: Option<RecordId>,
}

/// Who is in the mesh, by which name and address, and what became of every invite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roster {
    pub(super) mesh: MeshId,
    pub(super) name: Option<Name>,
    pub(super) subnet: Subnet,
    pub(super) members: BTreeMap<DeviceId, Member>,
    pub(super) removed: BTreeMap<DeviceId, Departed>,
    pub(super) suspended: BTreeMap<DeviceId, Suspension>,
    pub(super) invites: BTreeMap<RecordId, InviteState>,
    pub(super) invite_keys: BTreeMap<DeviceId, BTreeSet<RecordId>>,
    pub(super) joined: BTreeMap<DeviceId, Joined>,
    pub(super) admins: BTreeMap<DeviceId, Rank>,
    /// What each device said as an admin, invites apart, that stands; and under which appointment.
    pub(super) statements: BTreeMap<DeviceId, BTreeMap<RecordId, Option<RecordId>>>,
    /// The appointments in force.
    pub(super) appointments: BTreeMap<DeviceId, BTreeSet<RecordId>>,
    pub(super) equivocations: BTreeMap<DeviceId, BTreeSet<u64>>,
    pub(super) names: BTreeMap<Name, DeviceId>,
}

impl Roster {
    /// What `records` say about `mesh`. Pure: the order and repetition of records make no difference, records of
    /// other meshes none at all.
    pub fn fold<'a>(mesh: MeshId, records: impl Iterator<Item = &'a Verified<Record>>) -> Self {
        precedence::fold(mesh, records)
    }

    /// Which mesh.
    pub fn mesh(&self) -> MeshId {
        self.mesh
    }

    /// What people call the mesh; none until the Genesis record is here.
    pub fn name(&self) -> Option<&Name> {
        self.name.as_ref()
    }

    /// Where IPv4 addresses come from.
    pub fn subnet(&self) -> Subnet {
        self.subnet
    }

    /// Everybody in the mesh.
    pub fn members(&self) -> &BTreeMap<DeviceId, Member> {
        &self.members
    }

    /// The member with this key.
    pub fn member(&self, device: &DeviceId) -> Option<&Member> {
        self.members.get(device)
    }

    /// Whether the device is in the mesh.
    pub fn is_member(&self, device: &DeviceId) -> bool {
        self.members.contains_key(device)
    }

    /// Devices that are out for good.
    pub fn removed(&self) -> &BTreeMap<DeviceId, Departed> {
        &self.removed
    }

    /// Devices that joined but cannot take part now, and why.
    pub fn suspended(&self) -> &BTreeMap<DeviceId, Suspension> {
        &self.suspended
    }

    /// Every invite, by the id of its record.
    pub fn invites(&self) -> &BTreeMap<RecordId, InviteState> {
        &self.invites
    }

    /// The invite of this key, in whatever state; of several, one that stands.
    pub fn invite_by_key(&self, key: &DeviceId) -> Option<(&RecordId, &InviteState)> {
        let invites = self.invite_keys.get(key)?.iter().filter_map(|id| self.invites.get_key_value(id));
        invites.min_by_key(|(_, state)| state.revoked || state.void)
    }

    /// The invite whose id begins so, in whatever state.
    pub fn invite_by_terms(&self, terms: &[u8; 16]) -> Option<(&RecordId, &InviteState)> {
        let mut first = [0; 32];
        first[..16].copy_from_slice(terms);
        let found = self.invites.range(RecordId::from_bytes(first)..).next();
        found.filter(|(id, _)| id.as_bytes().starts_with(terms))
    }

    /// Authors that gave one sequence number to two records: a device restored from an old copy, or a cheat.
    pub fn equivocations(&self) -> &BTreeMap<DeviceId, BTreeSet<u64>> {
        &self.equivocations
    }

    /// Whether the device may invite, remove and appoint.
    pub fn is_admin(&self, device: &DeviceId) -> bool {
        self.admins.contains_key(device)
    }

    /// How two devices stand to each other; strangers are guests.
    pub fn relation(&self, a: &DeviceId, b: &DeviceId) -> Relation {
        match (self.member(a), self.member(b)) {
            (Some(a), Some(b)) if a.owner == b.owner => Relation::Own,
            (Some(_) | None, Some(_) | None) => Relation::Guest,
        }
    }

    /// Whether `a` is shown `b`: a guest with a narrow invite sees the devices named in it, and they see it.
    pub fn sees(&self, a: &DeviceId, b: &DeviceId) -> bool {
        let shows = |viewer: &DeviceId, other: &DeviceId| {
            self.member(viewer).is_none_or(|viewer| viewer.only.is_empty() || viewer.only.contains(other))
        };
        a == b || (shows(a, b) && shows(b, a))
    }

    /// `wish`, or the first of `wish-2`, `wish-3`, ... that no member has.
    pub fn free_name(&self, wish: &Name) -> Name {
        let numbered = (2..).map(|number| wish.numbered(number));
        let mut names = std::iter::once(wish.clone()).chain(numbered);
        names.find(|name| !self.names.contains_key(name)).expect("members are few, numbers many")
    }

    /// How an invite stands at `now`, in the words that whoever holds its code is to read.
    pub fn check_invite(&self, invite: &RecordId, now: Timestamp) -> Result<&InviteState, Refusal> {
        let state = self.invites.get(invite).ok_or(Refusal::UnknownInvite)?;
        if state.revoked || state.void {
            return Err(Refusal::Revoked);
        }
        if state.used_by.len() >= state.invite.uses as usize {
            return Err(Refusal::UsedUp { uses: state.invite.uses });
        }
        let not_after = state.invite.not_after;
        if now > not_after { Err(Refusal::Expired { not_after, now }) } else { Ok(state) }
    }

    /// What a member asks itself before it lets a newcomer in at `now`: whether the record would stand, and
    /// whether the name is free. The signatures are checked too.
    pub fn check_join(&self, join: &Join, now: Timestamp) -> Result<(), Refusal> {
        let newcomer = &join.newcomer;
        join.check(&self.mesh).map_err(|_| Refusal::Forged)?;
        if self.removed.contains_key(&newcomer.device) {
            return Err(Refusal::Removed);
        }
        if self.joined.contains_key(&newcomer.device) {
            return Err(Refusal::AlreadyMember);
        }
        let state = self.check_invite(&newcomer.invite, now)?;
        if state.invite.key != newcomer.key {
            return Err(Refusal::Forged);
        }
        if self.members.len() >= self.capacity() {
            return Err(Refusal::Full(u32::try_from(self.members.len()).unwrap_or(u32::MAX)));
        }
        if self.names.contains_key(&newcomer.name) {
            let suggestion = self.free_name(&newcomer.name);
            return Err(Refusal::NameTaken { taken: newcomer.name.clone(), suggestion });
        }
        if self.members.values().any(|member| member.wireguard == newcomer.wireguard) {
            return Err(Refusal::Forged);
        }
        Ok(())
    }

    pub(super) fn capacity(&self) -> usize {
        MEMBERS.min(self.subnet.capacity() as usize)
    }
}
