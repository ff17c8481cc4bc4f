//! Which records count, whatever order they came in: the rules, and what cheating can gain.
//!
//! # Rules
//!
//! 1. *Genesis.* The record whose id is the mesh. Its author is the founder: the first member, admin of level 0.
//! 2. *Authority.* Invites, appointments, dismissals and removals of others need an admin and cite the
//!    appointment it acts under. The chain of citations ends at the founder; its length is the record's *depth*
//!    (0 for the founder's own) and, since a record cannot cite one that cites it, there are no cycles. An
//!    appointment of depth d makes an admin of level d + 1.
//! 3. *Bars.* A standing removal of a device, or dismissal of its appointments, of depth d bars what is strictly
//!    junior: devices of a level above d (or none), appointments of depth d or more. So the appointer, whoever
//!    appointed the appointer, and the founder can take an admin down; two admins of one level cannot touch
//!    each other, nor can anybody touch the founder. A device may always remove or dismiss itself.
//! 4. *Reach.* A bar voids every record of greater depth that the barred device wrote (a dismissal: wrote under
//!    the appointments named), and what rests on it in turn, down each chain until a record that the bar
//!    `keeps`. Several bars: each must keep it. So what was done before stays if the remover lists it, and what
//!    a stolen key signs afterwards is void whatever time it claims.
//! 5. *Invites.* An invite stands if no bar reaches it and no admin revoked it. A bar that reaches the invite, a
//!    revocation, and a removal of the witness each void a Join that they do not keep, unless the device that
//!    joined has become an admin at least as senior as the bar.
//! 6. *Joins* are taken in the order of (witness' time, id). One counts if its invite has that key and rule 5
//!    leaves it, the time is not after the invite's end, the witness joined at an earlier time, the device has
//!    not joined before, the invite has uses left and the mesh has room. A removed device goes on counting as
//!    one that joined (its use is spent, what it witnessed and the remover kept stays), but is no member.
//! 7. *Removal beats everything*: a device with an effective removal is no member, ever again.
//! 8. *Device records*: the highest sequence, then the smaller id, of members only.
//! 9. *Names, addresses and WireGuard keys* go to whoever joined first (`naming.rs`).
//!
//! Ties are broken by record ids, which nobody can choose freely.
//!
//! # What a leaving device's removal of itself reaches
//!
//! Its own admin records, like any bar, if the bars above it keep that removal. But not the Joins it witnessed:
//! a plain member must not be able to throw others out by leaving, and whoever wants to witness falsely need
//! not leave to do so.
//!
//! # What a malicious member could gain
//!
//! - *Backdating.* A witness chooses the time it writes, bounded below by its own joining. With the secret of a
//!   used code (which the inviter, the newcomer, and whoever read the code have) an older member could write an
//!   earlier Join and push out a newer one of the same invite. It cannot push out anybody older than itself,
//!   nor anybody whose code it does not know; and the record names it as the witness.
//! - *Outliving the end of an invite* in the same way: a member may let in a friend by an expired code that has
//!   uses left. Revoking the invite ends that.
//! - *Equivocating*, two records under one sequence number: both are judged by themselves, so there is nothing
//!   to gain; `Roster::equivocations` shows it.
//! - *Withholding* records from peers: members exchange with many others; a lone one sees what its only peer
//!   shows, and a removal reaches it when it meets an honest member.
//! - *An admin* can remove all that is junior to it and let in whom it likes: that is what the role means. It
//!   cannot do more than that by forging times or order, and its superior can undo its hold.
//! - *A founder's stolen key* owns the mesh; the way out is another mesh.
//! - *A flood* ends at the log's caps for one author, on which peers cut it off.
//!
//! # Limits
//!
//! Admins hang on [`ADMIN_LEVELS`] levels; appointments below do not count. A bar keeps 1,024 records at most.
//! If the witness of a Join loses its own membership in a race for one invite, those it let in meanwhile are out
//! with it and need another code.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::authority::{Authority, Bar};
use super::naming;
use super::roster::{Departed, InviteState, Joined, Roster};
use crate::identity::{DeviceId, Subnet};
#[cfg(doc)]
use crate::limits::ADMIN_LEVELS;
use crate::record::{
    Body, Device, Genesis, Invite, Join, MeshId, Record, RecordId, Relation, Subject, Timestamp, Verified,
};

/// The records of one mesh, each once, by kind.
pub(super) struct Sorted<'a> {
    pub(super) genesis: Option<(&'a Record, &'a Genesis)>,
    /// What needs an authority, and what devices say to remove or dismiss themselves.
    pub(super) statements: BTreeMap<RecordId, &'a Record>,
    joins: BTreeMap<(Timestamp, RecordId), (&'a Record, &'a Join)>,
    devices: BTreeMap<DeviceId, (u64, RecordId, &'a Device)>,
    equivocations: BTreeMap<DeviceId, BTreeSet<u64>>,
}

impl<'a> Sorted<'a> {
    fn new(mesh: MeshId, records: impl Iterator<Item = &'a Verified<Record>>) -> Self {
        let mut sorted = Self {
            genesis: None,
            statements: BTreeMap::new(),
            joins: BTreeMap::new(),
            devices: BTreeMap::new(),
            equivocations: BTreeMap::new(),
        };
        let mut seen = BTreeMap::new();
        for verified in records {
            let (id, record) = (verified.id(), verified.record());
            if record.mesh != mesh && MeshId::from(id) != mesh {
                continue;
            }
            if seen.insert((record.author, record.sequence), id).is_some_and(|other| other != id) {
                sorted.equivocations.entry(record.author).or_default().insert(record.sequence);
            }
            match &record.body {
                Body::Genesis(genesis) => sorted.genesis = Some((record, genesis)),
                Body::Invite(_) | Body::Admin(_) | Body::Removal(_) => {
                    sorted.statements.insert(id, record);
                }
                Body::Join(join) => {
                    sorted.joins.insert((record.issued_at, id), (record, join));
                }
                Body::Device(device) => {
                    let newer = |(sequence, other, _): &(u64, RecordId, &Device)| {
                        (record.sequence, *other) > (*sequence, id)
                    };
                    if sorted.devices.get(&record.author).is_none_or(newer) {
                        sorted.devices.insert(record.author, (record.sequence, id, device));
                    }
                }
                Body::Receipt(_) => {}
            }
        }
        sorted
    }
}

pub(super) fn fold<'a>(mesh: MeshId, records: impl Iterator<Item = &'a Verified<Record>>) -> Roster {
    let sorted = Sorted::new(mesh, records);
    let mut roster = Roster {
        mesh,
        name: None,
        subnet: Subnet::DEFAULT,
        members: BTreeMap::new(),
        removed: BTreeMap::new(),
        suspended: BTreeMap::new(),
        invites: BTreeMap::new(),
        invite_keys: BTreeMap::new(),
        joined: BTreeMap::new(),
        admins: BTreeMap::new(),
        statements: BTreeMap::new(),
        appointments: BTreeMap::new(),
        equivocations: sorted.equivocations.clone(),
        names: BTreeMap::new(),
    };
    let Some((record, genesis)) = sorted.genesis else { return roster };
    let founder = record.author;
    roster.name = Some(genesis.mesh_name.clone());
    roster.subnet = genesis.subnet;
    let first = Joined {
        at: record.issued_at,
        witness: founder,
        inviter: founder,
        invite: None,
        record: mesh.into(),
        owner: founder,
    };
    roster.joined.insert(founder, first);

    let authority = Authority::of(founder, &sorted.statements);
    depart(&mut roster, &sorted, &authority);
    invites(&mut roster, &sorted, &authority);
    let joins = joins(&mut roster, &sorted, &authority);
    roster.admins = authority.admins.clone();
    roster.appointments = authority.appointments.clone();
    for (id, record) in &sorted.statements {
        if authority.stands(id) && !matches!(record.body, Body::Invite(_)) {
            roster.statements.entry(record.author).or_default().insert(*id, record.authority);
        }
    }
    let devices = sorted.devices.iter().map(|(id, (_, _, device))| (*id, *device)).collect();
    naming::settle(&mut roster, (founder, genesis), &joins, &devices);
    roster
}

/// Rule 7.
fn depart(roster: &mut Roster, sorted: &Sorted<'_>, authority: &Authority) {
    for (id, record) in &sorted.statements {
        let Body::Removal(removal) = &record.body else { continue };
        let Subject::Device(device) = removal.subject else { continue };
        if device == record.author || authority.removals.contains(id) {
            let departed = Departed { removal: *id, by: record.author, at: record.issued_at };
            roster.removed.entry(device).or_insert(departed);
        }
    }
}

/// Rule 5, as far as it concerns the invites themselves.
fn invites(roster: &mut Roster, sorted: &Sorted<'_>, authority: &Authority) {
    for (id, record) in &sorted.statements {
        let Body::Invite(invite) = &record.body else { continue };
        if !authority.knows(id) {
            continue;
        }
        let state = InviteState {
            invite: invite.clone(),
            author: record.author,
            issued_at: record.issued_at,
            used_by: Vec::new(),
            revoked: authority.revocations.contains_key(id),
            void: !authority.stands(id),
        };
        roster.invites.insert(*id, state);
        roster.invite_keys.entry(invite.key).or_default().insert(*id);
    }
}

/// Rule 6. Returns the Joins that count, in their order.
fn joins<'a>(roster: &mut Roster, sorted: &Sorted<'a>, authority: &Authority) -> Vec<(DeviceId, &'a Join)> {
    let mut counted = Vec::new();
    let mut room = roster.capacity().saturating_sub(1);
    for (&(at, id), &(record, join)) in &sorted.joins {
        let newcomer = &join.newcomer;
        let Some(state) = roster.invites.get(&newcomer.invite) else { continue };
        let Some(witness) = roster.joined.get(&record.author) else { continue };
        let removed = roster.removed.contains_key(&newcomer.device);
        let fits = state.invite.key == newcomer.key
            && at <= state.invite.not_after
            && at > witness.at
            && !roster.joined.contains_key(&newcomer.device)
            && state.used_by.len() < state.invite.uses as usize
            && (removed || room > 0)
            && !is_void(id, join, record, authority);
        if !fits {
            continue;
        }
        let owner = owner(roster, &state.invite, state.author, newcomer.device);
        let joined = Joined {
            at,
            witness: record.author,
            inviter: state.author,
            invite: Some(newcomer.invite),
            record: id,
            owner,
        };
        roster.joined.insert(newcomer.device, joined);
        if let Some(state) = roster.invites.get_mut(&newcomer.invite) {
            state.used_by.push(newcomer.device);
        }
        if !removed {
            room -= 1;
        }
        counted.push((newcomer.device, join));
    }
    counted
}

/// Rule 5: whether a bar reaches the Join.
fn is_void(id: RecordId, join: &Join, record: &Record, authority: &Authority) -> bool {
    let level = authority.level(&join.newcomer.device);
    let invite = &join.newcomer.invite;
    let reaches = |bar: &Rc<Bar>| !bar.keeps.contains(&id) && level.is_none_or(|level| level > bar.depth);
    authority.reaching(invite).iter().any(reaches)
        || authority.revocations.get(invite).is_some_and(|bars| bars.iter().any(reaches))
        || authority.removed(&record.author).iter().any(reaches)
}

fn owner(roster: &Roster, invite: &Invite, inviter: DeviceId, newcomer: DeviceId) -> DeviceId {
    match invite.relation {
        Relation::Own => roster.joined.get(&inviter).map_or(inviter, |inviter| inviter.owner),
        Relation::Guest => newcomer,
    }
}
